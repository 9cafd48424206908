//! `search`: a text or an image to the images that resemble it, as lines, JSON or a contact sheet.

use std::path::PathBuf;

use futures::executor::block_on;
use imagerag::gallery::{Found, Gallery, SearchOptions};
use imagerag::reference::Filter;
use imagerag::{EmbedderExt, Image};
use serde_json::json;

use crate::command::tell;
use crate::encoder::Encoder;
use crate::sheet::{Row, contact_sheet};
use crate::{Place, command};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// What to find, in words.
    #[arg(required_unless_present = "image", conflicts_with = "image")]
    text: Option<String>,
    /// What to find, as a picture.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The most images.
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// The least cosine similarity, in [-1, 1].
    #[arg(long, allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Only images under one of these licenses, such as CC0-1.0,CC-BY-4.0.
    #[arg(long, value_delimiter = ',')]
    license: Vec<String>,
    /// Only images by one of these authors.
    #[arg(long, value_delimiter = ',')]
    author: Vec<String>,
    /// Only images of at least this width and height, in pixels.
    #[arg(long, value_name = "PIXELS")]
    min_side: Option<u32>,
    /// Leaves out images this close to a better one, in cosine similarity; 0.94 is a good value.
    #[arg(long, value_name = "SIMILARITY")]
    near_duplicates: Option<f32>,
    /// Compares every image, though there is an index.
    #[cfg(feature = "faiss")]
    #[arg(long)]
    exact: bool,
    /// Draws what was found.
    #[arg(long, value_name = "OUT.png")]
    sheet: Option<PathBuf>,
    /// Prints JSON lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    encoder: Encoder,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(sheet) = &options.sheet {
        command::prepare(sheet)?;
    }
    let gallery = open(options)?;
    let embedder = options.encoder.load(true)?;
    block_on(gallery.check_embedder(&embedder))?;
    let queries = match (&options.text, &options.image) {
        (Some(text), _) => vec![block_on(embedder.embed_text(text))?],
        (None, Some(path)) => vec![block_on(embedder.embed_image(&Image::open(path)?))?],
        (None, None) => Vec::new(),
    };
    let mut found =
        block_on(gallery.search(&queries, &options.search()))?.pop().unwrap_or_default();
    found.retain(|found| options.threshold.is_none_or(|least| found.score >= least));
    for found in &found {
        tell!("{}", if options.json { as_json(found) } else { line(found) });
    }
    if found.is_empty() && !options.json {
        tell!("nothing among {} images", gallery.count()?);
    }
    if let Some(sheet) = &options.sheet {
        draw(&found)?.save(sheet)?;
    }
    Ok(())
}

/// The gallery, through its index where there is one.
fn open(options: &Options) -> imagerag::Result<Gallery> {
    let gallery = Gallery::open(&options.place.folder)?;
    #[cfg(feature = "faiss")]
    if !options.exact && options.place.folder.join("index/index.json").exists() {
        return gallery.with_faiss(gallery.saved_index()?);
    }
    Ok(gallery)
}

impl Options {
    fn search(&self) -> SearchOptions {
        let mut filter = Filter::all();
        if !self.license.is_empty() {
            filter = filter.licenses(&self.license);
        }
        if !self.author.is_empty() {
            filter = filter.authors(&self.author);
        }
        if let Some(side) = self.min_side {
            filter = filter.width(side..=u32::MAX).height(side..=u32::MAX);
        }
        let search = SearchOptions::new(self.limit).with_filter(filter);
        match self.near_duplicates {
            Some(similarity) => search.without_near_duplicates(similarity),
            None => search,
        }
    }
}

fn line(found: &Found) -> String {
    let record = &found.entry.record;
    let license = record.metadata.license.as_deref().unwrap_or("license unknown");
    let caption = record.metadata.caption.as_deref().unwrap_or("");
    format!("{:.3}  {license}  {}  {caption}", found.score, shortened(&record.source))
}

/// A source below this folder by its relative path.
fn shortened(source: &str) -> &str {
    let here = std::env::current_dir().unwrap_or_default();
    let below = here.to_str().and_then(|here| source.strip_prefix(here)?.strip_prefix('/'));
    below.unwrap_or(source)
}

fn as_json(found: &Found) -> String {
    let record = &found.entry.record;
    json!({
        "score": found.score,
        "id": found.entry.id,
        "hash": record.hash.to_string(),
        "source": record.source,
        "metadata": record.metadata,
    })
    .to_string()
}

/// What was found, one below the other; without a picture where its pixels cannot be had.
fn draw(found: &[Found]) -> imagerag::Result<Image> {
    let rows: Vec<Row> = found
        .iter()
        .map(|found| {
            let record = &found.entry.record;
            let picture = record.image();
            let missing = picture.as_ref().err().map(|error| error.chain().to_string());
            let said = [
                format!("{:.3}", found.score),
                record.metadata.license.clone().unwrap_or_else(|| "license unknown".to_owned()),
                record.source.rsplit('/').next().unwrap_or_default().to_owned(),
                record.metadata.caption.clone().unwrap_or_default(),
                missing.unwrap_or_default(),
            ];
            Row { caption: said.join("  "), pictures: vec![picture.ok()] }
        })
        .collect();
    contact_sheet("found", &["image"], &rows)
}

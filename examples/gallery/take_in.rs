//! `build` and `add`: folders, shards and embeddings into a gallery, with a bar and a rate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use futures::executor::block_on;
use imagerag::gallery::ingest::{
    ClipRetrieval, Folder, Ingest, IngestProgress, Item, LeftOut, LeftOutKind, WebDataset,
};
use imagerag::gallery::{Fingerprint, Gallery, Rejected};
use imagerag::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Place;
use crate::command::tell;
use crate::encoder::Encoder;
use crate::inform::tell_reasons;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Where the images are: a folder tree with pictures and WebDataset shards (.tar), a picture, a
    /// shard, or a folder that clip-retrieval wrote.
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// What the sources are, where that is not plain from what is in them.
    #[arg(long = "as", value_enum)]
    kind: Option<Kind>,
    #[command(flatten)]
    encoder: Encoder,
    /// Loads no encoder: the sources are embeddings that the encoder of this name made.
    #[arg(long, value_name = "NAME", conflicts_with = "encoder")]
    embedded_by: Option<String>,
    /// The shards that the embeddings of clip-retrieval were made of: pixels are read from them.
    #[arg(long, value_name = "DIR")]
    shards: Option<PathBuf>,
    /// Images that are embedded and acknowledged together.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Threads that read and decode; one a core by default.
    #[arg(long)]
    threads: Option<usize>,
    /// The largest image, width times height.
    #[arg(long, value_name = "PIXELS")]
    max_pixels: Option<u64>,
    /// The largest file.
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
    /// Notes paths relative to the gallery's folder, which can then be moved with the images.
    #[arg(long)]
    relative: bool,
    /// Prints the counts as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Folder,
    Shards,
    ClipRetrieval,
}

type Images = Box<dyn Iterator<Item = Result<Item, Rejected>> + Send>;

pub(crate) fn run(options: &Options, make: bool) -> Result<(), Box<dyn std::error::Error>> {
    // Whatever is wrong with the sources is told before anything is loaded.
    let readers: Vec<(&PathBuf, Images)> = options
        .sources
        .iter()
        .map(|source| Ok((source, open(source, options)?)))
        .collect::<Result<_>>()?;
    let folder = &options.place.folder;
    if !make {
        Gallery::open(folder)?;
    }
    let (gallery, mut ingest) = match &options.embedded_by {
        Some(name) => {
            let gallery = open_named(folder, name, &options.sources)?;
            let ingest = Ingest::into(&gallery);
            (gallery, ingest)
        }
        None => {
            let embedder = options.encoder.load(options.json)?;
            let gallery = block_on(Gallery::open_or_create(folder, &embedder))?;
            let ingest = Ingest::into(&gallery).with_embedder(Arc::clone(&embedder));
            (gallery, ingest)
        }
    };
    ingest = ingest.with_batch(options.batch);
    if options.relative {
        ingest = ingest.with_relative_paths();
    }
    if let Some(threads) = options.threads {
        ingest = ingest.with_threads(threads);
    }
    if let Some(pixels) = options.max_pixels {
        ingest = ingest.with_max_pixels(pixels);
    }
    if let Some(bytes) = options.max_bytes {
        ingest = ingest.with_max_bytes(bytes);
    }
    let (mut all, mut lost) = (Vec::new(), Vec::new());
    for (source, images) in readers {
        let done = take_in(&ingest, images)?;
        if !options.json {
            let (source, elapsed) = (source.display(), done.elapsed);
            let rate = done.rate();
            tell!("took in    {source}: {done}, {elapsed:.1?}, {rate:.0} images/s");
            tell_left_out(&done.left_out);
        }
        if !done.adds_up() {
            lost.push(format!("{}: {} found, but {done}", source.display(), done.found));
        }
        let source = source.display().to_string();
        all.push(serde_json::json!({ "source": source, "progress": done }));
    }
    if options.json {
        tell!("{}", serde_json::json!({ "sources": all, "images": gallery.count()? }));
    } else {
        tell!("gallery    {} images in {}", gallery.count()?, folder.display());
        if all.iter().any(|one| one["progress"]["rejected"] != 0) {
            tell_reasons(&gallery.rejected()?);
        }
    }
    if lost.is_empty() { Ok(()) } else { Err(lost.join("; ").into()) }
}

/// Each kind of file that was left out, with the number and the first.
fn tell_left_out(left_out: &LeftOut) {
    use LeftOutKind::{Hidden, Other, System, WithoutPicture};
    for kind in [System, Hidden, WithoutPicture, Other] {
        let names = left_out.names(kind).join(", ");
        let count = left_out.count(kind);
        let rest = if count > left_out.names(kind).len() as u64 { ", …" } else { "" };
        if count > 0 {
            tell!("left out   {count} {kind}: {names}{rest}");
        }
    }
}

/// The images at `source`.
fn open(source: &Path, options: &Options) -> Result<Images> {
    let kind = match options.kind {
        Some(kind) => kind,
        None => kind_of(source)?,
    };
    Ok(match kind {
        Kind::Folder if !source.is_dir() => {
            let absolute = std::path::absolute(source);
            let absolute = absolute.map_err(|error| Error::io(source, error))?;
            Box::new(std::iter::once(Ok(Item::file(absolute))))
        }
        Kind::Folder => Box::new(Folder::open(source)?.with_shards().counted()),
        Kind::Shards => Box::new(WebDataset::open(source)?),
        Kind::ClipRetrieval => {
            let images = ClipRetrieval::open(source)?;
            match &options.shards {
                Some(shards) => Box::new(images.with_shards(shards)?),
                None => Box::new(images),
            }
        }
    })
}

/// What is at `source`, by what is in it.
fn kind_of(source: &Path) -> Result<Kind> {
    let found = std::fs::metadata(source).map_err(|error| Error::io(source, error))?;
    let name = source.to_string_lossy().to_lowercase();
    let is_shard = [".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"];
    Ok(if source.join("img_emb").is_dir() {
        Kind::ClipRetrieval
    } else if found.is_file() && is_shard.iter().any(|ending| name.ends_with(ending)) {
        Kind::Shards
    } else {
        Kind::Folder
    })
}

/// The gallery of the encoder `name`, which is not at hand.
fn open_named(folder: &Path, name: &str, sources: &[PathBuf]) -> Result<Gallery> {
    if folder.join("gallery.json").exists() {
        let gallery = Gallery::open(folder)?;
        let dim = gallery.fingerprint().dim();
        gallery.fingerprint().check(&Fingerprint::named(name, dim)?)?;
        return Ok(gallery);
    }
    let Some(first) = sources.iter().find(|source| source.join("img_emb").is_dir()) else {
        let expected = "a folder that clip-retrieval wrote, with --embedded-by";
        return Err(Error::invalid_input("source", expected, "none"));
    };
    Gallery::create(folder, &Fingerprint::named(name, ClipRetrieval::open(first)?.dim())?)
}

fn take_in(ingest: &Ingest, images: Images) -> Result<IngestProgress> {
    let bar = match images.size_hint().1 {
        Some(total) => ProgressBar::new(total as u64).with_style(style("[{bar:30}] {pos}/{len}")),
        None => ProgressBar::no_length().with_style(style("{spinner} {pos}")),
    };
    let done = block_on(ingest.run(images, |progress| {
        bar.set_position(progress.seen());
        let left = progress.remaining().map(|left| format!(", {} s left", left.as_secs()));
        let (rate, left) = (progress.rate(), left.unwrap_or_default());
        bar.set_message(format!("{rate:.0} images/s{left}, {} rejected", progress.rejected));
    }));
    bar.finish_and_clear();
    done
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(&format!("{template} {{msg}}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

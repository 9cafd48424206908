//! `to-milvus` and `from-milvus`: a gallery to a collection of Milvus, and back.

use futures::executor::block_on;
use std::error::Error;

use imagerag::gallery::Gallery;
use imagerag::index::VectorIndex;
use imagerag::retriever::{Milvus, MilvusIndexType};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Place;
use crate::command::tell;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The collection's name: letters, digits and _.
    #[arg(value_name = "COLLECTION")]
    name: String,
    /// Where Milvus is.
    #[arg(long, value_name = "ADDRESS", default_value = "http://localhost:19530")]
    milvus: String,
    /// The database; `default` by default.
    #[arg(long)]
    database: Option<String>,
}

impl Options {
    fn connect(&self) -> imagerag::Result<Milvus> {
        let mut builder = Milvus::builder(&self.milvus);
        // The login, NAME:PASSWORD or an API key, does not stand on a command line.
        if let Ok(token) = std::env::var("MILVUS_TOKEN") {
            builder = builder.token(token);
        }
        if let Some(database) = &self.database {
            builder = builder.database(database);
        }
        block_on(builder.connect())
    }
}

/// Sends the images of a gallery.
pub(crate) fn send(options: &Options) -> Result<(), Box<dyn Error>> {
    let gallery = Gallery::open(&options.place.folder)?;
    let (milvus, bar) = (options.connect()?, bar());
    let sent =
        block_on(gallery.to_milvus(&milvus, &options.name, MilvusIndexType::Flat, show(&bar)));
    bar.finish_and_clear();
    let index = sent?;
    let count = block_on(index.count())?;
    tell!("sent       {gallery} to {index} of {milvus}, which holds {count} images");
    Ok(())
}

/// Fetches the images of a collection.
pub(crate) fn fetch(options: &Options) -> Result<(), Box<dyn Error>> {
    let milvus = options.connect()?;
    let (index, bar) = (block_on(milvus.open(&options.name))?, bar());
    let fetched = block_on(Gallery::from_milvus(&options.place.folder, &index, show(&bar)));
    bar.finish_and_clear();
    let gallery = fetched?;
    tell!("fetched    {index} of {milvus} to {gallery}, which holds {} images", gallery.count()?);
    Ok(())
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} {per_sec}, {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar) -> impl Fn(usize, usize) + '_ {
    |done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    }
}

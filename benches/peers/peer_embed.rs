//! Turns a folder of pictures into a gallery with imagerag, and prints what it took as one line of JSON.
//!
//! `cargo xtask peers embed` runs it in turn with transformers on the same files.

mod arguments;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use arguments::Arguments;
use futures::executor::block_on;
use imagerag::Image;
use imagerag::embedder::{ClipEmbedder, Embedder};
use imagerag::gallery::Gallery;
use imagerag::gallery::ingest::{Folder, Ingest};
use imagerag::models::{DType, Device};

fn main() -> Result<(), Box<dyn Error>> {
    let given = Arguments::read();
    let (pictures, out) = (Path::new(given.get("--pictures")?), Path::new(given.get("--out")?));
    let batch: usize = given.number("--batch")?;
    let embedder = ClipEmbedder::load(given.get("--model")?, Device::Cpu, DType::F32)?;
    // The first call of any size is slower: libtorch chooses how to compute it.
    let first = Image::open(pictures.join("0000.jpg"))?;
    block_on(embedder.embed_images(&vec![first; batch.min(32)]))?;

    let gallery = block_on(Gallery::open_or_create(out.join("gallery"), &embedder))?;
    let start = Instant::now();
    let ingest = Ingest::into(&gallery)
        .with_batch(batch)
        .with_threads(given.number("--threads")?)
        .with_embedder(embedder);
    let done = block_on(ingest.run(Folder::open(pictures)?, |_| {}))?;
    let seconds = start.elapsed().as_secs_f64();
    gallery.export(out)?;
    println!("{{\"images\": {}, \"seconds\": {seconds}}}", done.added);
    Ok(())
}

//! `index`: the vectors of a gallery to a FAISS index that `search` then uses.

use std::time::Instant;

use imagerag::gallery::Gallery;
use imagerag::index::FaissIndex;

use crate::Place;
use crate::command::tell;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// What FAISS builds, such as Flat, HNSW32, IVF4096,Flat or OPQ64,IVF4096,PQ64np.
    factory: String,
    /// Inverted lists that a search visits; more find more, slower.
    #[arg(long)]
    nprobe: Option<usize>,
    /// Candidates that a search keeps in HNSW's graph; more find more, slower.
    #[arg(long)]
    ef_search: Option<usize>,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let began = Instant::now();
    let gallery = Gallery::open(&options.place.folder)?;
    let mut builder = FaissIndex::builder(gallery.fingerprint().dim(), &options.factory);
    if let Some(nprobe) = options.nprobe {
        builder = builder.nprobe(nprobe);
    }
    if let Some(ef_search) = options.ef_search {
        builder = builder.ef_search(ef_search);
    }
    gallery.build_index(builder)?;
    let (factory, elapsed) = (&options.factory, began.elapsed());
    tell!("index      {factory} of {} images, {elapsed:.1?}", gallery.count()?);
    Ok(())
}

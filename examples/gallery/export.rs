//! `export`: a gallery to JSON lines and one `.npy`, row for row.

use std::path::PathBuf;

use imagerag::gallery::Gallery;

use crate::Place;
use crate::command::tell;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The folder that images.jsonl and vectors.npy are written to.
    #[arg(value_name = "FOLDER")]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let count = Gallery::open(&options.place.folder)?.export(&options.out)?;
    let out = options.out.display();
    tell!("wrote      {count} images: {out}/images.jsonl, {out}/vectors.npy");
    Ok(())
}

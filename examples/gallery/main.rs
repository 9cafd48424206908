//! A gallery of one's own on the command line: images in, embedded once; captions to images out.
//!
//! ```text
//! cargo xtask cargo -- run --release --features tch,gallery,faiss --example gallery -- \
//!     build my.gallery examples/tinyworld/gallery
//! cargo xtask cargo -- run --release --features tch,gallery,faiss --example gallery -- \
//!     search my.gallery "a photo of a mibbo" --license CC0-1.0 --limit 3 --sheet found.png
//! ```
//!
//! prints
//!
//! ```text
//! encoder    CLIP ViT-96x3/4@32 on cpu in f32, 29.2ms
//! took in    examples/tinyworld/gallery: 240 added, 0 updated, 0 already there, 0 rejected, 893.7ms, 269 images/s
//! gallery    240 images in my.gallery
//! ```
//!
//! and
//!
//! ```text
//! 0.700  CC0-1.0  examples/tinyworld/gallery/mibbo-5.png  a photo of a mibbo
//! 0.686  CC0-1.0  examples/tinyworld/gallery/mibbo-3.png  a photo of a mibbo
//! 0.679  CC0-1.0  examples/tinyworld/gallery/mibbo-2.png  a photo of a mibbo
//! ```
//!
//! `--help` tells the other commands. Without `--encoder` the small CLIP of the tiny world
//! embeds: it runs anywhere, and knows the tiny world alone.

#[path = "../support/command.rs"]
mod command;
mod encoder;
mod export;
mod find;
#[cfg(feature = "faiss")]
mod index;
mod inform;
#[cfg(feature = "milvus")]
mod milvus;
#[path = "../support/place.rs"]
mod place;
#[path = "../support/sheet.rs"]
mod sheet;
mod take_in;
mod tidy;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A gallery: images that are embedded once and found ever after.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a gallery of images, or goes on where making it was interrupted.
    Build(take_in::Options),
    /// Adds images to a gallery that is there.
    Add(take_in::Options),
    /// Removes images by their source or hash.
    Remove(tidy::Remove),
    /// Finds the images that a text or an image resembles.
    Search(find::Options),
    /// Tells what is in a gallery, and what could not be taken in.
    Stats(inform::Stats),
    /// Compares the gallery's own files with their checksums, looks whether the pictures are there, and
    /// with --pictures reads those too; tells what is wrong, and ends with 1 if anything is.
    Verify(inform::Verify),
    /// Finds images that are nearly the same, and removes them if asked to.
    Dedup(tidy::Dedup),
    /// Gives the space of removed images back.
    Compact(Place),
    /// Notes that pictures, or the gallery without them, were moved from one folder to another.
    Relocate(tidy::Relocate),
    /// Builds a FAISS index, which `search` uses from then on.
    #[cfg(feature = "faiss")]
    Index(index::Options),
    /// Writes what is known of the images, and their embeddings, to files that anything reads.
    Export(export::Options),
    /// Sends the images to a collection of Milvus; sent again, what changed. MILVUS_TOKEN logs in.
    #[cfg(feature = "milvus")]
    ToMilvus(milvus::Options),
    /// Makes a gallery of a collection that `to-milvus` filled.
    #[cfg(feature = "milvus")]
    FromMilvus(milvus::Options),
}

/// A gallery's folder.
#[derive(clap::Args)]
struct Place {
    /// The gallery's folder.
    #[arg(value_name = "GALLERY")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    command::end(run(Options::parse().command))
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Build(options) => take_in::run(&options, true),
        Command::Add(options) => take_in::run(&options, false),
        Command::Remove(options) => tidy::remove(&options),
        Command::Search(options) => find::run(&options),
        Command::Stats(options) => inform::stats(&options),
        Command::Verify(options) => inform::verify(&options),
        Command::Dedup(options) => tidy::dedup(&options),
        Command::Compact(place) => tidy::compact(&place),
        Command::Relocate(options) => tidy::relocate(&options),
        #[cfg(feature = "faiss")]
        Command::Index(options) => index::run(&options),
        Command::Export(options) => export::run(&options),
        #[cfg(feature = "milvus")]
        Command::ToMilvus(options) => milvus::send(&options),
        #[cfg(feature = "milvus")]
        Command::FromMilvus(options) => milvus::fetch(&options),
    }
}

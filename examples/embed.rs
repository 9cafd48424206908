//! Prints the features of images by a CLIP, SigLIP, DINO or DINOv2 checkpoint.
//!
//! ```text
//! cargo xtask cargo -- run --release --features tch --example embed -- \
//!     --model facebook/dinov2-small/ quetzal.jpg trogon.jpg > features.jsonl
//! ```
//!
//! With the small random checkpoint of the tests,
//!
//! ```text
//!     --model tests/fixtures/dino/vit_224 examples/tinyworld/gallery/bruno-1.png no-such.png
//! ```
//!
//! prints one JSON line for each image, in their order,
//!
//! ```text
//! {"image":"examples/tinyworld/gallery/bruno-1.png","embedding":[-0.0990217,0.9150797,…]}
//! ```
//!
//! in which a path that is not UTF-8 is a URL such as `file:photos/caf%E9.jpg`, as in a gallery's export; and
//! on standard error what could not be read. Then the exit status is 1, after all other images:
//!
//! ```text
//! error: cannot access no-such.png: No such file or directory (os error 2)
//! ```
//!
//! In f32 on the CPU the numbers are transformers' pooled features, to rounding, of pictures that its image
//! processors prepare with Pillow (`backend="pil"`); `--normalize` scales each to length 1.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "it writes no image")]
mod command;
#[path = "support/place.rs"]
mod place;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use futures::executor::block_on;
use imagerag::Image;
use imagerag::embedder::{Embedding, ImageFeatures};
use imagerag::models::{DType, Device, Preprocessing};
use imagerag::retriever::CatalogEntry;
use place::place;
use serde::Serialize;

use command::tell;

/// Prints one JSON line for each image: its features by a CLIP, SigLIP, DINO or DINOv2 checkpoint.
#[derive(Parser)]
struct Options {
    /// The checkpoint: a folder in transformers' layout, or the name of a repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    model: String,
    /// The images.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// f32, f16 or bf16.
    #[arg(long, default_value = "f32")]
    dtype: DType,
    /// Whose settings turn images into the network's input: file, the checkpoint's
    /// preprocessor_config.json; or official, what its authors' programs do.
    #[arg(long, default_value = "file")]
    preprocessing: Preprocessing,
    /// Scales each embedding to length 1.
    #[arg(long)]
    normalize: bool,
}

#[derive(Serialize)]
struct Line {
    image: String,
    embedding: Vec<f32>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let model = match open(&options) {
        Ok(model) => model,
        Err(error) => return command::end(Err(error)),
    };
    let mut status = ExitCode::SUCCESS;
    for path in &options.images {
        match line(&model, path, options.normalize) {
            Ok(line) => tell!("{line}"),
            Err(error) => status = command::end(Err(error)),
        }
    }
    status
}

fn open(options: &Options) -> Result<ImageFeatures, Box<dyn Error>> {
    let Options { device, dtype, preprocessing, .. } = *options;
    Ok(ImageFeatures::open(place(&options.model)?, device, dtype, preprocessing)?)
}

/// The line of the image at `path`; an error names it.
fn line(model: &ImageFeatures, path: &Path, normalize: bool) -> Result<String, Box<dyn Error>> {
    let named = |error: imagerag::Error| format!("{}: {}", path.display(), error.chain());
    let image = Image::open(path)?;
    let rows = block_on(model.features(&[image])).map_err(named)?;
    let mut embedding = rows.into_iter().next().unwrap_or_default();
    if normalize {
        embedding = Embedding::new(embedding).map_err(named)?.values().to_vec();
    }
    // As galleries write paths, so that no two are the same text.
    let image = CatalogEntry::file(path).source.to_string();
    Ok(serde_json::to_string(&Line { image, embedding })?)
}

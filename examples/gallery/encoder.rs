//! What is said of an encoder on the command line to the encoder.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use imagerag::models::{DType, Device};
use imagerag::retriever::{ClipEmbedder, Embedder};
use imagerag::{Error, Result};

use crate::place::place;

/// The CLIP that the repository carries.
const EMBEDDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tinyworld/models/clip");

#[derive(clap::Args)]
pub(crate) struct Encoder {
    /// The encoder: a folder in transformers' layout, or the name of a repository; the small CLIP
    /// of the embedded world by default.
    #[arg(long, value_name = "DIR_OR_REPO", default_value = EMBEDDED, hide_default_value = true)]
    encoder: String,
    /// cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// f32, f16 or bf16.
    #[arg(long, default_value = "f32")]
    dtype: DType,
}

impl Encoder {
    /// Loads it, and says so unless `quiet`.
    pub(crate) fn load(&self, quiet: bool) -> Result<Arc<dyn Embedder>> {
        let began = Instant::now();
        let folder = place(&self.encoder)?;
        let embedder: Arc<dyn Embedder> = match kind(&folder)?.as_str() {
            "clip" => Arc::new(ClipEmbedder::load(folder, self.device, self.dtype)?),
            found => {
                let path = folder.join("config.json");
                return Err(Error::invalid_file(path, "model_type", "clip", found));
            }
        };
        if !quiet {
            let (device, dtype) = (self.device, self.dtype);
            let elapsed = began.elapsed();
            println!("encoder    {embedder} on {device} in {dtype}, {elapsed:.1?}");
        }
        Ok(embedder)
    }
}

/// The `model_type` of the checkpoint in `folder`.
fn kind(folder: &Path) -> Result<String> {
    #[derive(serde::Deserialize)]
    struct Config {
        model_type: String,
    }
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
    let config: Config = serde_json::from_str(&text)
        .map_err(|error| Error::invalid_file(&path, "configuration", "a model_type", error))?;
    Ok(config.model_type)
}

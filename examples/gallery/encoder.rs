//! What is said of an encoder on the command line to the encoder.

use std::sync::Arc;
use std::time::Instant;

use imagerag::Result;
use imagerag::embedder::{Embedder, open_embedder};
use imagerag::models::{DType, Device};

use crate::command::tell;
use crate::place::place;

/// The CLIP that the repository carries.
const EMBEDDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tinyworld/models/clip");

#[derive(clap::Args)]
pub(crate) struct Encoder {
    /// The encoder, CLIP or SigLIP: a folder in transformers' layout, or the name of a repository; the small CLIP
    /// of the tiny world by default.
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
        let embedder: Arc<dyn Embedder> =
            Arc::from(open_embedder(folder, self.device, self.dtype)?);
        if !quiet {
            let (device, dtype) = (self.device, self.dtype);
            let elapsed = began.elapsed();
            tell!("encoder    {embedder} on {device} in {dtype}, {elapsed:.1?}");
        }
        Ok(embedder)
    }
}

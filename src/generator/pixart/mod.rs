//! Prompts to images: PixArt-Σ from a diffusers folder.

mod binning;
mod builder;
mod caption;
mod check;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod model;
mod prompt;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

use crate::Result;
use crate::generator::local::{Local, local_generator};
use crate::models::{DType, Device};

use model::Model;

pub use builder::PixArtSigmaBuilder;

/// PixArt-Σ on libtorch, of 256 to 2,048 pixels a side. It draws from the prompt alone. The model has
/// a thread of its own. Requests of one call that agree in size, steps and guidance are drawn as one
/// batch; see [`batch_pixels`](PixArtSigmaBuilder::batch_pixels).
///
/// In f32 on the CPU a seed gives the image that diffusers' `PixArtSigmaPipeline` gives with
/// `torch.Generator("cpu").manual_seed(seed)` where the Python packages `beautifulsoup4` and `ftfy`
/// are installed; see [`clean_caption`](PixArtSigmaBuilder::clean_caption).
///
/// Images may have any size: see [`resolution_binning`](PixArtSigmaBuilder::resolution_binning).
///
/// A prompt is cut to the [`max_sequence_length`](PixArtSigmaBuilder::max_sequence_length) tokens that
/// the text encoder reads; [`Drawn::note`](super::Drawn::note) and the first [`Step`](super::Step)
/// then say which words were not read. The encodings of the latest prompts are kept.
///
/// ```no_run
/// # async fn draw() -> imagerag::Result<()> {
/// use imagerag::generator::{GenerateRequest, GeneratorExt, PixArtSigma};
/// use imagerag::models::{DType, Device};
///
/// let pixart = PixArtSigma::load("PixArt-Sigma-XL-2-1024-MS", Device::Cuda(0), DType::Bf16)?;
/// let request = GenerateRequest::new("a cassowary in the snow").with_seed(7).with_size(1200, 800);
/// pixart.generate_one(&request).await?.image.save("cassowary.png")
/// # }
/// ```
#[derive(Debug)]
pub struct PixArtSigma(Local<Model>);

local_generator!(PixArtSigma);

impl PixArtSigma {
    /// The checkpoint in `folder`, a diffusers pipeline, with every setting at its default.
    ///
    /// # Errors
    /// Those of [`PixArtSigmaBuilder::load`].
    pub fn load(folder: impl AsRef<Path>, device: Device, dtype: DType) -> Result<Self> {
        Self::builder(folder).device(device).dtype(dtype).load()
    }
}

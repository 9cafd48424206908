//! Prompts, with or without a reference beside them, to images: FLUX.1 from a diffusers folder, with
//! OminiControl.

mod adapters;
mod builder;
mod check;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod model;
#[cfg(test)]
mod omini_tests;
mod preset;
#[cfg(test)]
mod tests;
mod text;
mod tokens;

use std::path::Path;

use crate::Result;
use crate::generator::local::{Local, local_generator};
use crate::models::{DType, Device};

use model::Model;

pub use builder::FluxBuilder;
pub use preset::FluxPreset;

/// FLUX.1 on libtorch, schnell and dev. The model has a thread of its own. Requests of one call
/// that agree in size, steps, guidance and all of their condition except its picture are drawn as
/// one batch; see [`batch_pixels`](FluxBuilder::batch_pixels).
///
/// In f32 on the CPU a seed gives the image that diffusers' `FluxPipeline` gives with
/// `torch.Generator("cpu").manual_seed(seed)`.
///
/// With [`omini_control`](FluxBuilder::omini_control) it takes a
/// [`ConditionImage`](crate::conditioner::ConditionImage). A seed then gives the image of
/// OminiControl's own program after `torch.manual_seed(seed)`: the starting noise is drawn first,
/// then the noise to sample the condition's latents.
///
/// A prompt is cut to the tokens that the text encoders read: 77 for CLIP,
/// [`max_sequence_length`](FluxBuilder::max_sequence_length) for T5.
/// [`Drawn::note`](super::Drawn::note) and the first [`Step`](super::Step) then say which words each
/// did not read. The encodings of the latest prompts are kept.
///
/// FLUX.1-dev takes the request's
/// [`guidance_scale`](crate::generator::GenerateRequest::guidance_scale) as an input of the network
/// (`guidance_embeds` in its config). FLUX.1-schnell has no such input: a scale above 1 is an
/// error. A [`negative_prompt`](crate::generator::GenerateRequest::negative_prompt) is an error
/// unless [`true_cfg_scale`](FluxBuilder::true_cfg_scale) is above 1.
///
/// ```no_run
/// # async fn draw() -> imagerag::Result<()> {
/// use imagerag::generator::{Flux, GenerateRequest, GeneratorExt};
/// use imagerag::models::{DType, Device};
///
/// let flux = Flux::load("FLUX.1-schnell", Device::Cuda(0), DType::Bf16)?;
/// let request = GenerateRequest::new("a cassowary in the snow").with_seed(7);
/// flux.generate_one(&request).await?.image.save("cassowary.png")
/// # }
/// ```
#[derive(Debug)]
pub struct Flux(Local<Model>);

local_generator!(Flux);

impl Flux {
    /// The checkpoint in `folder`, a diffusers pipeline, with every setting at its default.
    ///
    /// # Errors
    /// Those of [`FluxBuilder::load`].
    pub fn load(folder: impl AsRef<Path>, device: Device, dtype: DType) -> Result<Self> {
        Self::builder(folder).device(device).dtype(dtype).load()
    }
}

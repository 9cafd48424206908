//! Prompts, with or without a reference beside them, to images: FLUX.1 from a diffusers folder, with
//! OminiControl.

mod adapters;
mod builder;
mod check;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod model;
mod offload;
#[cfg(test)]
mod omini_tests;
mod preset;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

use crate::Result;
use crate::generator::local::{Local, local_generator};
use crate::models::{DType, Device};

use model::Model;

pub use builder::FluxBuilder;
pub use offload::Offload;
pub use preset::FluxPreset;

/// FLUX.1 on libtorch, schnell and dev. One model is resident, on a thread of its own. Requests of
/// one call that agree in size, steps, guidance and all of their condition but its picture are drawn
/// as one batch where memory allows, each as it would be alone to 1/255; see
/// [`batch_pixels`](FluxBuilder::batch_pixels).
///
/// In f32 on the CPU a seed gives the image that diffusers' `FluxPipeline` gives with
/// `torch.Generator("cpu").manual_seed(seed)`.
///
/// With [`omini_control`](FluxBuilder::omini_control) it takes a
/// [`ConditionImage`](crate::conditioner::ConditionImage). A seed then gives the image of
/// OminiControl's own program after `torch.manual_seed(seed)`: the starting noise is drawn first, then
/// the noise of the condition's latents, where a sample is asked for.
///
/// Of a prompt that is longer than the text encoders read (77 tokens for CLIP,
/// [`max_sequence_length`](FluxBuilder::max_sequence_length) for T5), the rest is left
/// out. The states of the latest prompts are kept.
///
/// A checkpoint that is told its guidance (FLUX.1-dev) takes any
/// [`guidance_scale`](crate::generator::GenerateRequest::guidance_scale) as the number it is, and one that is not
/// (FLUX.1-schnell) refuses one above 1. A
/// [`negative_prompt`](crate::generator::GenerateRequest::negative_prompt) is refused unless
/// [`true_cfg_scale`](FluxBuilder::true_cfg_scale) says how much it counts.
///
/// ```no_run
/// # async fn draw() -> imagerag::Result<()> {
/// use imagerag::generator::{Flux, GenerateRequest, Generator};
/// use imagerag::models::{DType, Device};
///
/// let flux = Flux::load("FLUX.1-schnell", Device::Cuda(0), DType::Bf16)?;
/// let images = flux.generate(&[GenerateRequest::new("a cassowary in the snow")]).await?;
/// images[0].save("cassowary.png")
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

//! Prompts, with or without a reference beside them, to images: FLUX.1 from a diffusers folder, with
//! OminiControl.

mod adapters;
mod builder;
mod checkpoint;
mod job;
mod model;
mod offload;
#[cfg(test)]
mod omini_tests;
mod preset;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::path::Path;

use async_trait::async_trait;

use crate::conditioner::ConditioningKind;
use crate::generator::drawing::draw_each;
use crate::generator::{GenerateRequest, Generator};
use crate::models::common::worker::Worker;
use crate::models::{DType, Device};
use crate::{Image, Result};

use job::{Abilities, Defaults, Job};
use model::Model;

pub use builder::FluxBuilder;
pub use offload::Offload;
pub use preset::FluxPreset;

/// FLUX.1 on libtorch, schnell and dev. One model is resident, on a thread of its own, and draws
/// one image at a time.
///
/// In f32 on the CPU a seed gives the image that diffusers' `FluxPipeline` gives with
/// `torch.Generator("cpu").manual_seed(seed)`.
///
/// With [`with_omini_control`](FluxBuilder::with_omini_control) it takes a
/// [`ConditionImage`](crate::conditioner::ConditionImage). A seed then gives the image of
/// OminiControl's own program after `torch.manual_seed(seed)`: the starting noise is drawn first, then
/// the noise of the condition's latents, where a sample is asked for.
///
/// Of a prompt that is longer than the text encoders read (77 tokens for CLIP,
/// [`with_max_sequence_length`](FluxBuilder::with_max_sequence_length) for T5), the rest is left
/// out. The states of the latest prompts are kept.
///
/// A checkpoint that is told its guidance (FLUX.1-dev) takes any
/// [`guidance_scale`](GenerateRequest::guidance_scale) as the number it is, and one that is not
/// (FLUX.1-schnell) refuses one above 1. A
/// [`negative_prompt`](GenerateRequest::negative_prompt) is refused unless
/// [`with_true_cfg_scale`](FluxBuilder::with_true_cfg_scale) says how much it counts.
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
pub struct Flux {
    name: String,
    worker: Worker<Model>,
    defaults: Defaults,
    abilities: Abilities,
}

impl Flux {
    /// The checkpoint in `folder`, a diffusers pipeline, with every setting at its default.
    ///
    /// # Errors
    /// Those of [`FluxBuilder::load`].
    pub fn load(folder: impl AsRef<Path>, device: Device, dtype: DType) -> Result<Self> {
        Self::builder(folder).device(device).dtype(dtype).load()
    }

    /// Settings to load the checkpoint in `folder` with.
    pub fn builder(folder: impl AsRef<Path>) -> FluxBuilder {
        FluxBuilder::new(folder.as_ref())
    }

    /// Width and height of an image where a request asks for none, in pixels.
    pub const fn default_size(&self) -> (u32, u32) {
        self.abilities.default_size
    }

    /// Sides of images are multiples of this many pixels.
    pub const fn size_multiple(&self) -> u32 {
        self.abilities.size_multiple()
    }
}

#[async_trait]
impl Generator for Flux {
    fn accepts(&self) -> &[ConditioningKind] {
        &self.abilities.accepts
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Image>> {
        let jobs = requests
            .iter()
            .map(|request| Job::new(request, &self.defaults, &self.abilities))
            .collect::<Result<Vec<_>>>()?;
        draw_each(&self.worker, jobs, Model::draw).await
    }
}

impl fmt::Display for Flux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Flux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flux")
            .field("name", &self.name)
            .field("defaults", &self.defaults)
            .field("abilities", &self.abilities)
            .finish_non_exhaustive()
    }
}

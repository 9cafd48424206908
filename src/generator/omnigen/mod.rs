//! Prompts that name pictures to images: OmniGen from diffusers' folder or from its authors'.

mod builder;
mod check;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod guidance;
mod memory;
#[cfg(test)]
mod memory_tests;
mod model;
mod room;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::Result;
use crate::generator::GenerateRequest;
use crate::generator::local::{Local, local_generator};
use crate::models::{DType, Device};

use memory::Batch;
use model::Model;

pub use builder::OmniGenBuilder;
pub use check::RopePositions;
pub use memory::{KvCache, MemoryEstimate};

/// OmniGen on libtorch. The model has a thread of its own.
///
/// It reads [images](crate::conditioner::Conditioning::Images) in the prompt: number `n`, from 1,
/// stands where the prompt says `<img><|image_n|></img>`. The numbers of a prompt are exactly those of
/// its images; a number may be repeated. The conditioner
/// [`InPrompt`](crate::conditioner::InPrompt) writes such prompts.
///
/// In f32 on the CPU a seed gives the image that diffusers' `OmniGenPipeline` gives after
/// `torch.manual_seed(seed)`, where transformers reads the tokenizer as its file says: version 5 rebuilds
/// some, see [`TokenizerReading`](crate::models::TokenizerReading). There the latents of the references are sampled first, and the noise
/// after them, so that another reference also means other noise. With
/// [`reference_latents`](OmniGenBuilder::reference_latents) of
/// [`ConditionLatents::Mean`](crate::conditioner::ConditionLatents::Mean) nothing is sampled, and the
/// noise is that of `torch.Generator("cpu").manual_seed(seed)`.
///
/// What stands before the noise (prompt, references, times) goes through the network once; each step
/// then computes the noise alone. diffusers computes all of it in every step, and gets the same
/// numbers. Rows that guidance cancels are not computed; see
/// [`image_guidance_scale`](OmniGenBuilder::image_guidance_scale).
///
/// ```no_run
/// # async fn draw() -> imagerag::Result<()> {
/// use imagerag::Image;
/// use imagerag::conditioner::Conditioning;
/// use imagerag::generator::{GenerateRequest, GeneratorExt, OmniGen};
/// use imagerag::models::{DType, Device};
///
/// let omnigen = OmniGen::load("OmniGen-v1-diffusers", Device::Cuda(0), DType::Bf16)?;
/// let prompt = "the bird <img><|image_1|></img> on a roof in the rain";
/// let images = vec![Image::open("cassowary.jpg")?];
/// let request = GenerateRequest::new(prompt)
///     .with_conditioning(Conditioning::Images(images))
///     .with_seed(7);
/// omnigen.generate_one(&request).await?.image.save("roof.png")
/// # }
/// ```
#[derive(Debug)]
pub struct OmniGen(Local<Model>);

local_generator!(OmniGen, image_mark: "<img><|image_{n}|></img>");

impl OmniGen {
    /// The checkpoint in `folder` with every setting at its default.
    ///
    /// # Errors
    /// Those of [`OmniGenBuilder::load`].
    pub fn load(folder: impl AsRef<Path>, device: Device, dtype: DType) -> Result<Self> {
        Self::builder(folder).device(device).dtype(dtype).load()
    }

    /// What `request` takes of memory, drawn alone. Nothing is computed.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for a request that
    /// [`generate`](crate::generator::Generator::generate) would refuse.
    pub fn estimate(&self, request: &GenerateRequest) -> Result<MemoryEstimate> {
        let checks = &self.0.config.family;
        let job = self.0.job(request)?;
        Ok(checks.footprint.estimate(&Batch::of(checks, [&*job].into_iter())?))
    }
}

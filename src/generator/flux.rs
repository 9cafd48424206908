//! Prompts to images: FLUX.1 from a diffusers folder.

mod checkpoint;
mod job;
mod model;
mod preset;
mod residency;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::conditioner::ConditioningKind;
use crate::generator::{GenerateRequest, Generator};
use crate::models::worker::Worker;
use crate::models::{DType, Device, VaeTiling};
use crate::{Error, Image, Result};

use checkpoint::Checkpoint;
use job::{Abilities, Defaults, Job};
use model::Model;
use residency::Placing;

pub use preset::FluxPreset;
pub use residency::Residency;

/// The most tokens of a prompt that T5 is given. diffusers, `FluxPipeline.check_inputs`.
const MAX_SEQUENCE_LENGTH: usize = 512;

/// FLUX.1 on libtorch, schnell and dev. One model is resident, on a thread of its own, and draws
/// one image at a time.
///
/// In f32 on the CPU a seed gives the image that diffusers' `FluxPipeline` gives with
/// `torch.Generator("cpu").manual_seed(seed)`.
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
    tiling: VaeTiling,
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
        FluxBuilder {
            folder: folder.as_ref().to_owned(),
            device: Device::default(),
            dtype: DType::default(),
            preset: None,
            steps: None,
            guidance_scale: None,
            max_sequence_length: None,
            true_cfg_scale: 1.0,
            negative_prompt: None,
            residency: Residency::default(),
            tiling: VaeTiling::default(),
        }
    }

    /// Width and height of an image where a request asks for none, in pixels.
    pub const fn default_size(&self) -> (u32, u32) {
        self.abilities.default_size()
    }

    /// Sides of images are multiples of this many pixels.
    pub const fn size_multiple(&self) -> u32 {
        self.abilities.size_multiple()
    }
}

/// Settings of [`Flux`]; [`load`](Self::load) ends them.
#[derive(Clone, Debug)]
#[must_use]
pub struct FluxBuilder {
    folder: PathBuf,
    device: Device,
    dtype: DType,
    preset: Option<FluxPreset>,
    steps: Option<usize>,
    guidance_scale: Option<f64>,
    max_sequence_length: Option<usize>,
    true_cfg_scale: f64,
    negative_prompt: Option<String>,
    residency: Residency,
    tiling: VaeTiling,
}

impl FluxBuilder {
    /// Where to compute; the CPU where nothing is said.
    pub const fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The format to compute in; f32 where nothing is said. The VAE is run in f32 in place of f16
    /// where the checkpoint asks for it (`force_upcast`).
    pub const fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// Steps, guidance and prompt length of a use; where nothing is said, those of FLUX.1-dev for
    /// a checkpoint that is told its guidance, and those of FLUX.1-schnell for any other.
    pub const fn with_preset(mut self, preset: FluxPreset) -> Self {
        self.preset = Some(preset);
        self
    }

    /// Denoising steps where a request asks for none, at least 1; the preset's where nothing is
    /// said.
    pub const fn with_steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Guidance where a request asks for none, at least 0; the preset's where nothing is said.
    pub const fn with_guidance_scale(mut self, scale: f64) -> Self {
        self.guidance_scale = Some(scale);
        self
    }

    /// Tokens of a prompt that T5 reads, its end included, 1 to 512; the preset's where nothing is
    /// said. Shorter prompts are filled up to it, and the image depends on it.
    pub const fn with_max_sequence_length(mut self, tokens: usize) -> Self {
        self.max_sequence_length = Some(tokens);
        self
    }

    /// Classifier-free guidance away from the negative prompt, at the price of a second pass in
    /// every step: 1, which is off, where nothing is said; more than 1 strengthens.
    pub const fn with_true_cfg_scale(mut self, scale: f64) -> Self {
        self.true_cfg_scale = scale;
        self
    }

    /// The negative prompt where a request has none; counts with
    /// [`with_true_cfg_scale`](Self::with_true_cfg_scale) above 1.
    pub fn with_negative_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.negative_prompt = Some(prompt.into());
        self
    }

    /// Where the large networks are while they are not needed; on the device where nothing is said.
    pub const fn with_residency(mut self, residency: Residency) -> Self {
        self.residency = residency;
        self
    }

    /// When to decode in tiles.
    pub const fn with_vae_tiling(mut self, tiling: VaeTiling) -> Self {
        self.tiling = tiling;
        self
    }

    /// Loads the checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) and [`Error::InvalidFile`](crate::Error::InvalidFile) for
    /// files that are missing or do not fit, [`Error::InvalidInput`](crate::Error::InvalidInput)
    /// for settings that do not fit the checkpoint,
    /// [`Error::Unavailable`](crate::Error::Unavailable) for a device that is not there, and
    /// [`Error::Backend`](crate::Error::Backend) where memory ends.
    pub fn load(self) -> Result<Flux> {
        let Self { folder, device, dtype, residency, tiling, .. } = self;
        // 1. what is small, and the settings
        let checkpoint = Checkpoint::open(&folder)?;
        let abilities = Abilities {
            scale_factor: checkpoint.vae.scale_factor(),
            guidance_embeds: checkpoint.transformer.guidance_embeds,
            accepts: vec![ConditioningKind::None],
            scheduler: checkpoint.scheduler.clone(),
        };
        let preset = self.preset.unwrap_or(FluxPreset::of(abilities.guidance_embeds));
        let defaults = Defaults {
            steps: self.steps.unwrap_or(preset.steps()),
            guidance_scale: self.guidance_scale.or(preset.guidance_scale()),
            true_cfg_scale: self.true_cfg_scale,
            negative_prompt: self.negative_prompt,
        };
        defaults.validate(&abilities)?;
        let length = self.max_sequence_length.unwrap_or(preset.max_sequence_length());
        if !(1..=MAX_SEQUENCE_LENGTH).contains(&length) {
            let expected = format!("1 to {MAX_SEQUENCE_LENGTH} tokens");
            return Err(Error::invalid_input("max sequence length", expected, length));
        }

        // 2. the networks
        let named = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let named = named.file_name().unwrap_or(named.as_os_str()).to_string_lossy();
        let name = format!("FLUX({named})");
        let worker = Worker::spawn(name.clone(), move || {
            let placing = Placing { device: device.open()?, kind: dtype.kind(), residency };
            Model::load(checkpoint, length, placing)
        })?;
        Ok(Flux { name, worker, defaults, abilities, tiling })
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
        let mut images = Vec::new();
        for job in jobs {
            let (scheduler, tiling) = (self.abilities.scheduler.clone(), self.tiling);
            let draw =
                move |model: &mut Model, cancel: &_| model.draw(&job, &scheduler, tiling, cancel);
            images.push(self.worker.run(draw).await?);
        }
        Ok(images)
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
            .field("tiling", &self.tiling)
            .finish_non_exhaustive()
    }
}

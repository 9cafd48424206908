//! A folder and settings to a loaded [`Flux`].

use std::path::{Path, PathBuf};

use super::adapters;
use super::checkpoint::Checkpoint;
use super::job::{Abilities, Defaults};
use super::model::Model;
use super::offload::Placing;
use super::{Flux, FluxPreset, Offload};
use crate::conditioner::ConditioningKind;
use crate::models::common::worker::Worker;
use crate::models::{DType, Device, VaeTiling};
use crate::{Error, Result};

/// The most tokens of a prompt that T5 is given. diffusers, `FluxPipeline.check_inputs`.
const MAX_SEQUENCE_LENGTH: usize = 512;
/// Latents a side where nobody asks for a size. diffusers, `FluxPipeline.default_sample_size`.
const DEFAULT_LATENTS: u32 = 128;

/// Settings of [`Flux`]; [`load`](Self::load) ends them.
#[derive(Clone, Debug)]
#[must_use]
pub struct FluxBuilder {
    folder: PathBuf,
    device: Device,
    dtype: DType,
    preset: Option<FluxPreset>,
    size: Option<(u32, u32)>,
    steps: Option<usize>,
    guidance_scale: Option<f64>,
    adapters: Vec<PathBuf>,
    max_sequence_length: Option<usize>,
    true_cfg_scale: f64,
    negative_prompt: Option<String>,
    offload: Offload,
    tiling: VaeTiling,
}

impl FluxBuilder {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            device: Device::default(),
            dtype: DType::default(),
            preset: None,
            size: None,
            steps: None,
            guidance_scale: None,
            adapters: Vec::new(),
            max_sequence_length: None,
            true_cfg_scale: 1.0,
            negative_prompt: None,
            offload: Offload::default(),
            tiling: VaeTiling::default(),
        }
    }

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

    /// Reads a reference through OminiControl's LoRA in `file`, such as `subject_512.safetensors`,
    /// whose name is the adapter's. May be called for several; each request names one.
    pub fn with_omini_control(mut self, file: impl AsRef<Path>) -> Self {
        self.adapters.push(file.as_ref().to_owned());
        self
    }

    /// Steps, guidance and prompt length of a use; where nothing is said, those of FLUX.1-dev for
    /// a checkpoint that is told its guidance, and those of FLUX.1-schnell for any other.
    pub const fn with_preset(mut self, preset: FluxPreset) -> Self {
        self.preset = Some(preset);
        self
    }

    /// Width and height in pixels where a request asks for none; 1,024 each for FLUX.1 where nothing
    /// is said.
    pub const fn with_size(mut self, width: u32, height: u32) -> Self {
        self.size = Some((width, height));
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
    /// said. Shorter prompts are filled up to it, so that the image depends on it: diffusers takes
    /// 512 for every checkpoint.
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
    pub const fn with_offload(mut self, offload: Offload) -> Self {
        self.offload = offload;
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
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn load(self) -> Result<Flux> {
        let Self { folder, device, dtype, adapters, offload, tiling, .. } = self;
        // 1. what is small, and the settings
        let checkpoint = Checkpoint::open(&folder)?;
        let scale_factor = checkpoint.vae.scale_factor();
        let side = DEFAULT_LATENTS.saturating_mul(scale_factor);
        let abilities = Abilities {
            scale_factor,
            default_size: self.size.unwrap_or((side, side)),
            guidance_embeds: checkpoint.transformer.guidance_embeds,
            accepts: [vec![ConditioningKind::None], adapters::kinds(&adapters)?].concat(),
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
        let worker = Worker::spawn(name.clone(), device, move |device| {
            let placing = Placing { device, kind: dtype.kind(), offload };
            Model::load(checkpoint, &adapters, length, tiling, placing)
        })?;
        Ok(Flux { name, worker, defaults, abilities })
    }
}

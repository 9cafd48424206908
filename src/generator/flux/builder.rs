//! A folder and settings to a loaded [`Flux`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::Checks;
use super::checkpoint::Checkpoint;
use super::model::{Model, Options};
use super::tokens::Tokenizers;
use super::{Flux, FluxPreset, adapters};
use crate::Result;
use crate::conditioner::ConditioningKind;
use crate::error::require;
use crate::generator::local::{Local, LocalConfig};
use crate::generator::offload::Offload;
use crate::generator::settings::{Settings, shared_setters};
use crate::models::flux::latents::PATCH;

/// The most tokens of a prompt that T5 is given. diffusers, `FluxPipeline.check_inputs`.
const MAX_SEQUENCE_LENGTH: usize = 512;
/// Latents a side where nobody asks for a size. diffusers, `FluxPipeline.default_sample_size`.
const DEFAULT_LATENTS: u32 = 128;

/// Settings of [`Flux`]; [`load`](Self::load) makes it.
///
/// On a GPU with less memory than the checkpoint, networks wait in host memory:
/// ```no_run
/// use imagerag::generator::{Flux, FluxBuilder, FluxPreset, Offload};
/// use imagerag::models::{DType, Device, VaeTiling};
///
/// fn small(folder: &str) -> FluxBuilder {
///     Flux::builder(folder)
///         .device(Device::Cuda(0))
///         .dtype(DType::Bf16)
///         .offload(Offload::Cpu)
///         .vae_tiling(VaeTiling::Always)
/// }
///
/// let schnell = small("FLUX.1-schnell").size(512, 512).load()?;
/// // As in the paper's experiments, with a LoRA that reads references.
/// let paper = small("FLUX.1-schnell")
///     .preset(FluxPreset::Paper)
///     .omini_control("subject_512.safetensors")
///     .load()?;
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct FluxBuilder {
    settings: Settings,
    preset: Option<FluxPreset>,
    size: Option<(u32, u32)>,
    adapters: Vec<PathBuf>,
    max_sequence_length: Option<usize>,
    true_cfg_scale: f64,
    offload: Offload,
}

impl Flux {
    /// Settings to load the checkpoint in `folder` with.
    pub fn builder(folder: impl AsRef<Path>) -> FluxBuilder {
        FluxBuilder {
            settings: Settings::new(folder.as_ref()),
            preset: None,
            size: None,
            adapters: Vec::new(),
            max_sequence_length: None,
            true_cfg_scale: 1.0,
            offload: Offload::default(),
        }
    }
}

impl FluxBuilder {
    shared_setters! {
        steps: "the preset's where nothing is said.",
        guidance: "the preset's where nothing is said.",
        negative: "; counts with [`true_cfg_scale`](Self::true_cfg_scale) above 1."
    }

    /// Loads OminiControl's LoRA in `file`, such as `subject_512.safetensors`, to read references.
    /// The adapter's name is the file's without extension. You may load several; each request names
    /// one.
    pub fn omini_control(mut self, file: impl AsRef<Path>) -> Self {
        self.adapters.push(file.as_ref().to_owned());
        self
    }

    /// Steps, guidance and prompt length together. By default [`FluxPreset::Dev`] for a checkpoint
    /// with `guidance_embeds` in its config, and [`FluxPreset::Schnell`] for any other.
    pub const fn preset(mut self, preset: FluxPreset) -> Self {
        self.preset = Some(preset);
        self
    }

    /// Width and height in pixels if a request names none; by default 1,024 each for FLUX.1.
    pub const fn size(mut self, width: u32, height: u32) -> Self {
        self.size = Some((width, height));
        self
    }

    /// Tokens of a prompt that T5 reads, end token included, 1 to 512; the preset's by default.
    /// Shorter prompts are padded to this length, so the image depends on it. diffusers takes 512
    /// for every checkpoint.
    pub const fn max_sequence_length(mut self, tokens: usize) -> Self {
        self.max_sequence_length = Some(tokens);
        self
    }

    /// Classifier-free guidance with the negative prompt (diffusers' `true_cfg_scale`), which needs
    /// a second pass in every step. 1, the default, is off; more than 1 strengthens.
    pub const fn true_cfg_scale(mut self, scale: f64) -> Self {
        self.true_cfg_scale = scale;
        self
    }

    /// Where the large networks are while they are not needed; on the device by default.
    pub const fn offload(mut self, offload: Offload) -> Self {
        self.offload = offload;
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
        let Self { settings, adapters, true_cfg_scale, offload, .. } = self;
        // 1. what is small, and the settings
        let checkpoint = Checkpoint::open(&settings.folder, settings.variant.as_deref())?;
        let guidance_embeds = checkpoint.transformer.guidance_embeds;
        let preset = self.preset.unwrap_or(FluxPreset::of(guidance_embeds));
        let max_sequence_length = self.max_sequence_length.unwrap_or(preset.max_sequence_length());
        let fits = (1..=MAX_SEQUENCE_LENGTH).contains(&max_sequence_length);
        let expected = format!("1 to {MAX_SEQUENCE_LENGTH} tokens");
        require(fits, "max sequence length", expected, max_sequence_length)?;
        let tokenizers = Arc::new(Tokenizers::open(&checkpoint, max_sequence_length)?);
        let scale_factor = checkpoint.vae.scale_factor();
        let side = DEFAULT_LATENTS.saturating_mul(scale_factor);
        let pixels_per_token = scale_factor * PATCH as u32;
        let config = LocalConfig {
            name: format!("FLUX({})", checkpoint.index.name()),
            default_size: self.size.unwrap_or((side, side)),
            size_multiple: pixels_per_token,
            accepts: [vec![ConditioningKind::None], adapters::kinds(&adapters)?].concat(),
            steps: settings.steps.unwrap_or(preset.steps()),
            guidance_scale: settings.guidance_scale.or(preset.guidance_scale()),
            negative_prompt: settings.negative_prompt.clone(),
            family: Checks {
                pixels_per_token,
                guidance_embeds,
                true_cfg_scale,
                scheduler: checkpoint.scheduler.clone(),
                tokenizers: Arc::clone(&tokenizers),
            },
        };
        Checks::check_config(&config)?;
        // 2. the networks
        let parts = adapters.len() + Model::PARTS;
        let tiling = settings.tiling;
        let options = Options { adapters, tokenizers, true_cfg_scale, offload, tiling };
        let load = move |loader: &_| Model::load(checkpoint, options, loader);
        Local::load(config, settings, parts, load).map(Flux)
    }
}

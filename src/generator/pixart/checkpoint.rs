//! A pipeline folder to the settings of PixArt-Σ's parts, compared with each other before any weights
//! are read.

use std::path::Path;

use crate::Result;
use crate::models::SchedulerKind;
use crate::models::common::json::require;
use crate::models::model_index::{ModelIndex, Pipelines};
use crate::models::pixart::config::{CLASSES, PixArtConfig};
use crate::models::schedule::SchedulerConfig;
use crate::models::t5::T5Config;
use crate::models::vae::VaeConfig;

const PIPELINES: Pipelines = Pipelines {
    classes: &["PixArtSigmaPipeline"],
    parts: &["transformer", "vae", "text_encoder", "tokenizer", "scheduler"],
};

/// The small files of a checkpoint.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) index: ModelIndex,
    pub(super) scheduler: SchedulerConfig,
    pub(super) text_encoder: T5Config,
    pub(super) transformer: PixArtConfig,
    pub(super) vae: VaeConfig,
}

impl Checkpoint {
    /// The checkpoint in `folder`, with this `variant` of its weights where they have it, and this
    /// `scheduler` in place of its own.
    pub(super) fn open(
        folder: &Path,
        variant: Option<&str>,
        scheduler: Option<SchedulerKind>,
    ) -> Result<Self> {
        let index = ModelIndex::open(folder, &PIPELINES, variant)?;
        index.require("text_encoder", "T5EncoderModel")?;
        index.require("vae", "AutoencoderKL")?;
        // The class that the config names is checked there, whichever of both this is.
        if index.class_of("transformer") != Some(CLASSES[1]) {
            index.require("transformer", CLASSES[0])?;
        }
        index.require_variant(&["text_encoder", "transformer", "vae"])?;
        let scheduler_path = index.part("scheduler").join("scheduler_config.json");
        let transformer = index.part("transformer").join("config.json");
        let mut vae = VaeConfig::open(&index.part("vae").join("config.json"))?;
        // diffusers' pipeline scales latents and does nothing else to them.
        (vae.shift_factor, vae.latents_mean, vae.latents_std) = (None, None, None);
        let checkpoint = Self {
            scheduler: SchedulerConfig::open(
                &scheduler_path,
                index.class_of("scheduler"),
                scheduler,
            )?,
            text_encoder: T5Config::open(&index.part("text_encoder"))?,
            transformer: PixArtConfig::read(&transformer)?,
            vae,
            index,
        };
        checkpoint.compare(&transformer)?;
        Ok(checkpoint)
    }

    /// Refuses a transformer, of the config at `path`, that its neighbors do not fit.
    fn compare(&self, path: &Path) -> Result<()> {
        let transformer = &self.transformer;
        let (latents, channels) = (self.vae.latent_channels, "the VAE's latent_channels");
        let (states, text) = (self.text_encoder.d_model, "the width of text_encoder");
        let width = match transformer.caption_channels {
            Some(_) => "caption_channels",
            None => "cross_attention_dim",
        };
        for (field, found, expected, whose) in [
            ("in_channels", transformer.in_channels, latents, channels),
            (width, transformer.text_width(), states, text),
        ] {
            require(path, field, found == expected, format!("{expected}, {whose}"), found)?;
        }
        Ok(())
    }

    /// Pixels of a token, a side.
    pub(super) fn pixels_per_token(&self) -> u32 {
        let patch = u32::try_from(self.transformer.patch_size).unwrap_or(u32::MAX);
        self.vae.scale_factor().saturating_mul(patch)
    }

    /// Pixels a side of the training images.
    pub(super) fn default_side(&self) -> u32 {
        let latents = u32::try_from(self.transformer.sample_size).unwrap_or(u32::MAX);
        self.vae.scale_factor().saturating_mul(latents)
    }
}

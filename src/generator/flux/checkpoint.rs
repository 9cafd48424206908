//! A pipeline folder to the settings of FLUX's parts, compared with each other before any weights
//! are read.

use std::path::Path;

use crate::Result;
use crate::models::clip::TextConfig;
use crate::models::common::json::require;
use crate::models::flux::config::FluxConfig;
use crate::models::flux::latents::PATCH;
use crate::models::model_index::{ModelIndex, Pipelines};
use crate::models::schedule::FlowMatchConfig;
use crate::models::t5::T5Config;
use crate::models::vae::VaeConfig;

/// Without those whose transformer reads more than the latents of the image: Control, Fill.
const PIPELINES: Pipelines = Pipelines {
    classes: &[
        "FluxPipeline",
        "FluxImg2ImgPipeline",
        "FluxInpaintPipeline",
        "FluxKontextPipeline",
        "FluxKontextInpaintPipeline",
    ],
    parts: &[
        "transformer",
        "vae",
        "text_encoder",
        "text_encoder_2",
        "tokenizer",
        "tokenizer_2",
        "scheduler",
        // Not read.
        "feature_extractor",
        "image_encoder",
    ],
};

/// The small files of a checkpoint.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) index: ModelIndex,
    pub(super) scheduler: FlowMatchConfig,
    pub(super) text_encoder: TextConfig,
    pub(super) text_encoder_2: T5Config,
    pub(super) transformer: FluxConfig,
    pub(super) vae: VaeConfig,
}

impl Checkpoint {
    /// The checkpoint in `folder`, with this `variant` of its weights where they have it.
    pub(super) fn open(folder: &Path, variant: Option<&str>) -> Result<Self> {
        let index = ModelIndex::open(folder, &PIPELINES, variant)?;
        for (part, class) in [
            ("text_encoder", "CLIPTextModel"),
            ("text_encoder_2", "T5EncoderModel"),
            ("transformer", "FluxTransformer2DModel"),
            ("vae", "AutoencoderKL"),
        ] {
            index.require(part, class)?;
        }
        index.require_variant(&["text_encoder", "text_encoder_2", "transformer", "vae"])?;
        let scheduler = index.part("scheduler").join("scheduler_config.json");
        let transformer = index.part("transformer").join("config.json");
        let checkpoint = Self {
            scheduler: FlowMatchConfig::open(&scheduler, index.class_of("scheduler"))?,
            text_encoder: TextConfig::open(&index.part("text_encoder"))?,
            text_encoder_2: T5Config::open(&index.part("text_encoder_2"))?,
            transformer: FluxConfig::read(&transformer)?,
            vae: VaeConfig::open(&index.part("vae").join("config.json"))?,
            index,
        };
        checkpoint.compare(&transformer)?;
        Ok(checkpoint)
    }

    /// Refuses a transformer, of the config at `path`, that its neighbors do not fit.
    fn compare(&self, path: &Path) -> Result<()> {
        let transformer = &self.transformer;
        let (packed, four) =
            (PATCH.pow(2) * self.vae.latent_channels, "four times the VAE's latent_channels");
        let (states, text) = (self.text_encoder_2.d_model, "the width of text_encoder_2");
        let (pooled, whole) = (self.text_encoder.sizes.encoder.width, "the width of text_encoder");
        for (field, found, expected, whose) in [
            ("in_channels", transformer.in_channels, packed, four),
            ("out_channels", transformer.out_channels, packed, four),
            ("joint_attention_dim", transformer.joint_attention_dim, states, text),
            ("pooled_projection_dim", transformer.pooled_projection_dim, pooled, whole),
        ] {
            require(path, field, found == expected, format!("{expected}, {whose}"), found)?;
        }
        Ok(())
    }
}

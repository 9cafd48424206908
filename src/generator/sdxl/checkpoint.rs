//! A pipeline folder to the settings of SDXL's parts, compared with each other before any weights
//! are read.

use std::path::Path;
use std::sync::Arc;

use super::model::Options;
use super::tokens::Tokenizers;
use crate::Result;
use crate::models::clip::TextConfig;
use crate::models::common::json::require;
use crate::models::model_index::{ModelIndex, Pipelines};
use crate::models::schedule::SchedulerConfig;
use crate::models::sdxl::config::UNetConfig;
use crate::models::vae::VaeConfig;

/// Latents a side where a UNet's config names none. diffusers, `default_sample_size`.
const DEFAULT_LATENTS: i64 = 128;

/// The inpainting pipeline is among them: its own UNets, of nine channels, do not fit the VAE.
const PIPELINES: Pipelines = Pipelines {
    classes: &["StableDiffusionXL*"],
    parts: &[
        "unet",
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
    pub(super) scheduler: SchedulerConfig,
    /// By their folders, in order.
    pub(super) text_encoders: Vec<(&'static str, TextConfig)>,
    pub(super) tokenizers: Arc<Tokenizers>,
    pub(super) unet: UNetConfig,
    pub(super) vae: VaeConfig,
}

impl Checkpoint {
    /// The checkpoint in `folder`, with this `variant` of its weights where they have it.
    pub(super) fn open(folder: &Path, variant: Option<&str>, options: &Options) -> Result<Self> {
        let index = ModelIndex::open(folder, &PIPELINES, variant)?;
        let path = index.part("scheduler").join("scheduler_config.json");
        let scheduler =
            SchedulerConfig::open(&path, index.class_of("scheduler"), options.scheduler)?;
        let unet_path = index.part("unet").join("config.json");
        let text_encoder = |name: &&'static str| {
            let mut config = TextConfig::open(&index.part(name))?;
            if let Some(class) = index.class_of(name) {
                // The pipeline's class counts, whatever class wrote the folder.
                config.architectures = Some(vec![class.to_owned()]);
            }
            Ok((*name, config))
        };
        // As in SDXL's refiner, the first encoder may be absent, and only it.
        let absent = usize::from(index.leaves_out("text_encoder"));
        let encoders = &["text_encoder", "text_encoder_2"][absent..];
        index.require_variant(&[encoders, &["unet", "vae"]].concat())?;
        let text_encoders = encoders.iter().map(text_encoder).collect::<Result<Vec<_>>>()?;
        let checkpoint = Self {
            scheduler,
            tokenizers: Arc::new(Tokenizers::open(&index, &text_encoders, options.long_prompts)?),
            text_encoders,
            unet: UNetConfig::read(&unet_path)?,
            vae: VaeConfig::open(&index.part("vae").join("config.json"))?,
            index,
        };
        checkpoint.compare(&unet_path)?;
        Ok(checkpoint)
    }

    /// Refuses a UNet, of the config at `path`, that its neighbors do not fit.
    fn compare(&self, path: &Path) -> Result<()> {
        let (unet, latents) = (&self.unet, self.vae.latent_channels);
        let width: i64 =
            self.text_encoders.iter().map(|(_, config)| config.sizes.encoder.width).sum();
        let (channels, widths) =
            ("the VAE's latent_channels", "the text encoders' widths together");
        for (field, found, expected, whose) in [
            ("in_channels", unet.in_channels, latents, channels),
            ("out_channels", unet.out_channels, latents, channels),
            ("cross_attention_dim", unet.cross_attention_dim, width, widths),
        ] {
            require(path, field, found == expected, format!("{expected}, {whose}"), found)?;
        }
        let pooled = self.text_encoders.iter().find_map(|(_, config)| config.projection());
        let (expected, index) = ("CLIPTextModelWithProjection", self.index.path());
        require(&index, "text_encoder_2", pooled.is_some(), expected, "none with a projection")?;
        if let Some((added, pooled)) = unet.added.zip(pooled) {
            // Six numbers tell the sizes: see `Sizes::time_ids`.
            let width = pooled + 6 * added.time_embed_dim;
            let expected = format!("{width}, as text_encoder_2's projection_dim asks for");
            let field = "projection_class_embeddings_input_dim";
            require(path, field, added.input_dim == width, expected, added.input_dim)?;
        }
        Ok(())
    }

    /// Width and height in pixels of the images that the UNet was trained on.
    pub(super) fn default_size(&self) -> (u32, u32) {
        let [height, width] = self.unet.sample_size.unwrap_or([DEFAULT_LATENTS; 2]);
        let pixels = |latents: i64| {
            u32::try_from(latents).unwrap_or(u32::MAX).saturating_mul(self.vae.scale_factor())
        };
        (pixels(width), pixels(height))
    }
}

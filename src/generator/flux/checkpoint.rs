//! A pipeline folder to the settings of FLUX's parts, compared with each other before any weights
//! are read.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::models::clip::TextConfig;
use crate::models::common::json::{read_json, require};
use crate::models::flux::config::FluxConfig;
use crate::models::flux::latents::PATCH;
use crate::models::schedule::FlowMatchConfig;
use crate::models::t5::T5Config;
use crate::models::vae::VaeConfig;
use crate::{Error, Result};

/// The small files of a checkpoint.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) folder: PathBuf,
    pub(super) scheduler: FlowMatchConfig,
    pub(super) text_encoder: TextConfig,
    pub(super) text_encoder_2: T5Config,
    pub(super) transformer: FluxConfig,
    pub(super) vae: VaeConfig,
}

/// Library and class of a part; both null where the pipeline has none.
type Part = Option<(Option<String>, Option<String>)>;

/// `model_index.json`.
#[derive(Deserialize)]
struct Index {
    #[serde(rename = "_class_name")]
    class: String,
    scheduler: Part,
    text_encoder: Part,
    text_encoder_2: Part,
    transformer: Part,
    vae: Part,
}

impl Checkpoint {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such folder");
            return Err(Error::io(folder, source));
        }
        let class = scheduler_class(&folder.join("model_index.json"))?;
        let scheduler = folder.join("scheduler").join("scheduler_config.json");
        let transformer = folder.join("transformer").join("config.json");
        let checkpoint = Self {
            folder: folder.to_owned(),
            scheduler: FlowMatchConfig::open(&scheduler, class.as_deref())?,
            text_encoder: TextConfig::open(&folder.join("text_encoder"))?,
            text_encoder_2: T5Config::open(&folder.join("text_encoder_2"))?,
            transformer: FluxConfig::read(&transformer)?,
            vae: VaeConfig::open(&folder.join("vae").join("config.json"))?,
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

/// Checks the classes in the index at `path`; that of the scheduler.
fn scheduler_class(path: &Path) -> Result<Option<String>> {
    let index: Index = read_json(path)?;
    require(path, "_class_name", index.class == "FluxPipeline", "FluxPipeline", &index.class)?;
    for (part, found, expected) in [
        ("text_encoder", index.text_encoder, "CLIPTextModel"),
        ("text_encoder_2", index.text_encoder_2, "T5EncoderModel"),
        ("transformer", index.transformer, "FluxTransformer2DModel"),
        ("vae", index.vae, "AutoencoderKL"),
    ] {
        // A part that the index does not name has the class that it has everywhere.
        let found = found.map_or(Some(expected.to_owned()), |(_, class)| class);
        let found = found.unwrap_or("none".into());
        require(path, part, found == expected, expected, &found)?;
    }
    Ok(index.scheduler.and_then(|(_, class)| class))
}

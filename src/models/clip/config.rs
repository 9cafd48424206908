//! A CLIP folder's `config.json` to checked settings of its text and image towers.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::models::common::json::{parse_json, positive, read_text, require};
use crate::models::common::layers::Activation;
use crate::{Error, Result};

/// A text tower. A field that the file leaves out has transformers' default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct TextConfig {
    pub(crate) architectures: Option<Vec<String>>,
    pub(crate) vocab_size: i64,
    pub(crate) hidden_size: i64,
    pub(crate) intermediate_size: i64,
    pub(crate) projection_dim: Option<i64>,
    pub(crate) num_hidden_layers: i64,
    pub(crate) num_attention_heads: i64,
    pub(crate) max_position_embeddings: i64,
    pub(crate) hidden_act: Activation,
    pub(crate) layer_norm_eps: f64,
    pub(crate) eos_token_id: i64,
}

impl Default for TextConfig {
    fn default() -> Self {
        // `CLIPTextConfig` in transformers.
        Self {
            architectures: None,
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            projection_dim: Some(512),
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49_407,
        }
    }
}

/// An image tower. A field that the file leaves out has transformers' default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct VisionConfig {
    pub(crate) architectures: Option<Vec<String>>,
    pub(crate) hidden_size: i64,
    pub(crate) intermediate_size: i64,
    pub(crate) projection_dim: Option<i64>,
    pub(crate) num_hidden_layers: i64,
    pub(crate) num_attention_heads: i64,
    pub(crate) num_channels: i64,
    pub(crate) image_size: i64,
    pub(crate) patch_size: i64,
    pub(crate) hidden_act: Activation,
    pub(crate) layer_norm_eps: f64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        // `CLIPVisionConfig` in transformers.
        Self {
            architectures: None,
            hidden_size: 768,
            intermediate_size: 3072,
            projection_dim: Some(512),
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

/// Both towers, in one space of `projection_dim` values.
#[derive(Clone, Debug)]
pub(crate) struct ClipConfig {
    pub(crate) text: TextConfig,
    pub(crate) vision: VisionConfig,
    pub(crate) projection_dim: i64,
}

impl TextConfig {
    /// The settings in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::read(&folder.join("config.json"))
    }

    /// The settings in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path)?)
    }

    /// The settings in `text`, which came from `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        expect_type(path, text, "clip_text_model")?;
        let config: Self = parse_json(path, text)?;
        config.check(path)?;
        Ok(config)
    }

    /// The width of the projection that the checkpoint's class has, if it has one.
    pub(crate) fn projection(&self) -> Option<i64> {
        projection(self.architectures.as_deref(), self.projection_dim)
    }

    fn check(&self, path: &Path) -> Result<()> {
        positive(path, "vocab_size", self.vocab_size)?;
        positive(path, "max_position_embeddings", self.max_position_embeddings)?;
        let sizes = [
            self.hidden_size,
            self.intermediate_size,
            self.num_hidden_layers,
            self.num_attention_heads,
        ];
        check(path, sizes, self.projection(), self.layer_norm_eps)
    }
}

impl VisionConfig {
    /// The settings in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::read(&folder.join("config.json"))
    }

    /// The settings in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path)?)
    }

    /// The settings in `text`, which came from `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        expect_type(path, text, "clip_vision_model")?;
        let config: Self = parse_json(path, text)?;
        config.check(path)?;
        Ok(config)
    }

    /// The width of the projection that the checkpoint's class has, if it has one.
    pub(crate) fn projection(&self) -> Option<i64> {
        projection(self.architectures.as_deref(), self.projection_dim)
    }

    fn check(&self, path: &Path) -> Result<()> {
        require(path, "num_channels", self.num_channels == 3, "3", self.num_channels)?;
        positive(path, "patch_size", self.patch_size)?;
        let (side, patch) = (self.image_size, self.patch_size);
        let expected = format!("{patch}, the patch_size, to {MAX_SIDE}");
        require(path, "image_size", (patch..=MAX_SIDE).contains(&side), expected, side)?;
        let sizes = [
            self.hidden_size,
            self.intermediate_size,
            self.num_hidden_layers,
            self.num_attention_heads,
        ];
        check(path, sizes, self.projection(), self.layer_norm_eps)
    }
}

/// Refuses the settings of something else: all of ours have defaults, so any object would do.
fn expect_type(path: &Path, text: &str, expected: &str) -> Result<()> {
    let fields: Map<String, Value> = parse_json(path, text)?;
    match fields.get("model_type") {
        Some(found) => require(path, "model_type", found == expected, expected, found),
        None => require(
            path,
            "model_type",
            fields.contains_key("hidden_size"),
            expected,
            "no such field",
        ),
    }
}

/// The largest picture a tower may ask for, in pixels a side; released ones take at most 336.
const MAX_SIDE: i64 = 8192;

/// The largest width, depth or number of heads that is believed.
const MAX_SIZE: i64 = 1 << 20;

fn check(path: &Path, sizes: [i64; 4], projection: Option<i64>, eps: f64) -> Result<()> {
    let names = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"];
    for (name, size) in names.into_iter().zip(sizes) {
        let expected = format!("1 to {MAX_SIZE}");
        require(path, name, (1..=MAX_SIZE).contains(&size), expected, size)?;
    }
    let [width, _, _, heads] = sizes;
    let expected = format!("a multiple of {heads}, the num_attention_heads");
    require(path, "hidden_size", width % heads == 0, expected, width)?;
    require(path, "layer_norm_eps", eps.is_finite() && eps >= 0.0, "a number of at least 0", eps)?;
    projection.map_or(Ok(()), |width| positive(path, "projection_dim", width))
}

/// The projection's width where the class of the checkpoint has a projection. A file that names no
/// class is taken for one without.
fn projection(architectures: Option<&[String]>, dim: Option<i64>) -> Option<i64> {
    let projects = |name: &String| name.ends_with("WithProjection") || name == "CLIPModel";
    architectures.is_some_and(|names| names.iter().any(projects)).then_some(dim).flatten()
}

impl ClipConfig {
    /// The settings in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::read(&folder.join("config.json"))
    }

    /// The settings in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path)?)
    }

    /// The settings in `text`, which came from `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            text_config: Option<TextConfig>,
            vision_config: Option<VisionConfig>,
            // Older files repeat the settings here, and transformers lets these win.
            text_config_dict: Option<TextConfig>,
            vision_config_dict: Option<VisionConfig>,
            projection_dim: Option<i64>,
        }
        let file: File = parse_json(path, text)?;
        let missing =
            |field: &str| Error::invalid_file(path, field, "the tower's settings", "none");
        let text =
            file.text_config_dict.or(file.text_config).ok_or_else(|| missing("text_config"))?;
        let vision = file
            .vision_config_dict
            .or(file.vision_config)
            .ok_or_else(|| missing("vision_config"))?;
        // 512 is the default of `CLIPConfig` in transformers.
        let projection_dim = file.projection_dim.unwrap_or(512);
        positive(path, "projection_dim", projection_dim)?;
        text.check(path)?;
        vision.check(path)?;
        Ok(Self { text, vision, projection_dim })
    }
}

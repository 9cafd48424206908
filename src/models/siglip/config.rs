//! A SigLIP folder's `config.json` to checked settings of its text and image towers.

use std::path::Path;

use serde::Deserialize;

use crate::models::common::encoder::EncoderConfig;
use crate::models::common::json::{positive, read_json, require};
use crate::models::common::layers::Activation;
use crate::{Error, Result};

/// Both towers, in one space of `dim` values.
#[derive(Clone, Debug)]
pub(crate) struct SiglipConfig {
    pub(crate) text: TextConfig,
    pub(crate) vision: VisionConfig,
    pub(crate) dim: i64,
}

/// A text tower. A field that the file leaves out has transformers' default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct TextConfig {
    #[serde(flatten)]
    pub(super) sizes: Sizes,
    pub(super) vocab_size: i64,
    pub(crate) max_position_embeddings: i64,
    projection_size: Option<i64>,
}

/// An image tower. A field that the file leaves out has transformers' default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct VisionConfig {
    #[serde(flatten)]
    pub(crate) sizes: Sizes,
    num_channels: i64,
    pub(crate) image_size: i64,
    pub(crate) patch_size: i64,
    vision_use_head: bool,
}

/// What both towers have a value of their own for.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Sizes {
    pub(crate) hidden_size: i64,
    intermediate_size: i64,
    pub(crate) num_hidden_layers: i64,
    num_attention_heads: i64,
    hidden_act: Activation,
    layer_norm_eps: f64,
}

impl Default for TextConfig {
    fn default() -> Self {
        // `SiglipTextConfig` in transformers.
        Self {
            sizes: Sizes::default(),
            vocab_size: 32_000,
            max_position_embeddings: 64,
            projection_size: None,
        }
    }
}

impl Default for VisionConfig {
    fn default() -> Self {
        // `SiglipVisionConfig` in transformers.
        Self {
            sizes: Sizes::default(),
            num_channels: 3,
            image_size: 224,
            patch_size: 16,
            vision_use_head: true,
        }
    }
}

impl Default for Sizes {
    fn default() -> Self {
        // The same in both.
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            hidden_act: Activation::GeluPytorchTanh,
            layer_norm_eps: 1e-6,
        }
    }
}

/// The largest picture a tower may ask for, in pixels a side; released ones take at most 512.
const MAX_SIDE: i64 = 8192;

/// The largest width, depth or number of heads that is believed.
const MAX_SIZE: i64 = 1 << 20;

impl SiglipConfig {
    /// The settings in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::read(&folder.join("config.json"))
    }

    /// The settings in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            model_type: Option<String>,
            text_config: Option<TextConfig>,
            vision_config: Option<VisionConfig>,
        }
        let File { model_type, text_config, vision_config } = read_json(path)?;
        let kind = model_type.as_deref().unwrap_or("no such field");
        require(path, "model_type", kind == "siglip", "siglip", kind)?;
        let missing =
            |field: &str| Error::invalid_file(path, field, "the tower's settings", "none");
        let text = text_config.ok_or_else(|| missing("text_config"))?;
        let vision = vision_config.ok_or_else(|| missing("vision_config"))?;
        positive(path, "vocab_size", text.vocab_size)?;
        positive(path, "max_position_embeddings", text.max_position_embeddings)?;
        text.sizes.check(path)?;
        vision.sizes.check(path)?;
        vision.check(path)?;
        // Texts and images meet in the space of the image tower.
        let (width, dim) = (text.sizes.hidden_size, vision.sizes.hidden_size);
        let found = text.projection_size.unwrap_or(width);
        let expected = format!("{dim}, the image tower's hidden_size");
        require(path, "width of the text tower", found == dim, expected, found)?;
        Ok(Self { text, vision, dim })
    }
}

impl VisionConfig {
    fn check(&self, path: &Path) -> Result<()> {
        require(path, "num_channels", self.num_channels == 3, "3", self.num_channels)?;
        require(path, "vision_use_head", self.vision_use_head, "true", "false")?;
        positive(path, "patch_size", self.patch_size)?;
        let (side, patch) = (self.image_size, self.patch_size);
        let expected = format!("{patch}, the patch_size, to {MAX_SIDE}");
        require(path, "image_size", (patch..=MAX_SIDE).contains(&side), expected, side)
    }
}

impl Sizes {
    /// Those of the transformer.
    pub(super) const fn encoder(&self) -> EncoderConfig {
        EncoderConfig {
            width: self.hidden_size,
            mlp: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            eps: self.layer_norm_eps,
            activation: self.hidden_act,
            causal: false,
        }
    }

    fn check(&self, path: &Path) -> Result<()> {
        let (width, heads, eps) = (self.hidden_size, self.num_attention_heads, self.layer_norm_eps);
        for (name, size) in [
            ("hidden_size", width),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", heads),
        ] {
            let expected = format!("1 to {MAX_SIZE}");
            require(path, name, (1..=MAX_SIZE).contains(&size), expected, size)?;
        }
        let expected = format!("a multiple of {heads}, the num_attention_heads");
        require(path, "hidden_size", width % heads == 0, expected, width)?;
        let usable = eps.is_finite() && eps >= 0.0;
        require(path, "layer_norm_eps", usable, "a number of at least 0", eps)
    }
}

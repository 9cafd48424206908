//! A SigLIP folder's `config.json` to checked settings of its text and image towers.

use std::path::Path;

use crate::Result;
use crate::models::common::encoder::EncoderConfig;
use crate::models::common::fields::{Fields, MAX_WIDTH};
use crate::models::common::layers::Activation;
use crate::models::common::towers::{TextSizes, VisionSizes};

/// Both towers, in one space: that of the image tower.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SiglipConfig {
    pub(crate) text: TextSizes,
    pub(crate) vision: VisionSizes,
}

/// `SiglipTextConfig` and `SiglipVisionConfig` in transformers.
const ENCODER: EncoderConfig = EncoderConfig {
    width: 768,
    mlp: 3072,
    layers: 12,
    heads: 12,
    eps: 1e-6,
    activation: Activation::GeluPytorchTanh,
    causal: false,
};
const TEXT: TextSizes =
    TextSizes { encoder: ENCODER, vocab_size: 32_000, max_tokens: 64, eos_token_id: 49_407 };
const VISION: VisionSizes = VisionSizes { encoder: ENCODER, image_size: 224, patch_size: 16 };

impl SiglipConfig {
    /// The settings in the file at `path`. A field that it leaves out has transformers' default.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::new(&Fields::open(path)?)
    }

    pub(crate) fn new(fields: &Fields) -> Result<Self> {
        fields.is_named("model_type", "siglip")?;
        let text_fields = fields.required_object("text_config")?;
        let vision_fields = fields.required_object("vision_config")?;
        let text = TextSizes::read_or(&text_fields, TEXT)?;
        let vision = read_vision(&vision_fields)?;
        let field = "projection_size";
        let found = text_fields.optional_count(field, MAX_WIDTH)?.unwrap_or(text.encoder.width);
        let expected = format!("{}, the image tower's hidden_size", vision.encoder.width);
        text_fields.require(field, found == vision.encoder.width, expected, found)?;
        Ok(Self { text, vision })
    }

    /// Values of a vector.
    pub(crate) const fn dim(&self) -> i64 {
        self.vision.encoder.width
    }
}

/// The sizes of an image tower in its `fields`. A field that is left out has transformers' default.
pub(crate) fn read_vision(fields: &Fields) -> Result<VisionSizes> {
    fields.only("vision_use_head", true)?;
    VisionSizes::read_or(fields, VISION)
}

/// Google's image towers, by width and layers.
const NAMES: [(i64, i64, &str); 4] =
    [(768, 12, "B"), (1024, 24, "L"), (1152, 27, "SO400M"), (1536, 40, "g-opt")];

/// The architecture with an image tower of these sizes, such as `SigLIP SO400M/14@384`.
pub(crate) fn name(vision: &VisionSizes) -> String {
    format!("SigLIP {}", vision.name(&NAMES))
}

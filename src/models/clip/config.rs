//! A CLIP folder's `config.json` to checked settings of its text and image towers.

use std::path::Path;

use crate::Result;
use crate::models::common::encoder::EncoderConfig;
use crate::models::common::fields::{Fields, MAX_WIDTH};
use crate::models::common::layers::Activation;
use crate::models::common::towers::{TextSizes, VisionSizes};

/// A tower, in a folder of its own or part of a whole model.
#[derive(Clone, Debug)]
pub(crate) struct TowerConfig<S> {
    pub(crate) architectures: Option<Vec<String>>,
    pub(crate) projection_dim: Option<i64>,
    pub(crate) sizes: S,
}

pub(crate) type TextConfig = TowerConfig<TextSizes>;
pub(crate) type VisionConfig = TowerConfig<VisionSizes>;

/// What tells CLIP's text tower from its image tower.
pub(crate) trait Sizes: Sized {
    /// The name in a config of its own.
    const MODEL_TYPE: &'static str;

    /// The sizes in `fields`, with transformers' defaults.
    fn read(fields: &Fields) -> Result<Self>;
}

impl Sizes for TextSizes {
    const MODEL_TYPE: &'static str = "clip_text_model";

    fn read(fields: &Fields) -> Result<Self> {
        Self::read_or(fields, TEXT)
    }
}

impl Sizes for VisionSizes {
    const MODEL_TYPE: &'static str = "clip_vision_model";

    fn read(fields: &Fields) -> Result<Self> {
        Self::read_or(fields, VISION)
    }
}

/// Both towers, in one space of `projection_dim` values.
#[derive(Clone, Debug)]
pub(crate) struct ClipConfig {
    pub(crate) text: TextConfig,
    pub(crate) vision: VisionConfig,
    pub(crate) projection_dim: i64,
}

/// `CLIPTextConfig` in transformers.
const TEXT: TextSizes = TextSizes {
    encoder: EncoderConfig {
        width: 512,
        mlp: 2048,
        layers: 12,
        heads: 8,
        eps: 1e-5,
        activation: Activation::QuickGelu,
        causal: true,
    },
    vocab_size: 49_408,
    max_tokens: 77,
    eos_token_id: 49_407,
};

/// `CLIPVisionConfig` in transformers.
const VISION: VisionSizes = VisionSizes {
    encoder: EncoderConfig { width: 768, mlp: 3072, heads: 12, causal: false, ..TEXT.encoder },
    image_size: 224,
    patch_size: 32,
};

/// The default of all three classes in transformers.
const PROJECTION: i64 = 512;

impl<S: Sizes> TowerConfig<S> {
    /// The settings in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::read(&folder.join("config.json"))
    }

    /// The settings in the file at `path`. A field that it leaves out has transformers' default.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::alone(&Fields::open(path)?)
    }

    /// The settings in a file of its own.
    pub(crate) fn alone(fields: &Fields) -> Result<Self> {
        // All fields have defaults, so any object would do.
        if fields.is_written("model_type") || !fields.is_written("hidden_size") {
            fields.is_named("model_type", S::MODEL_TYPE)?;
        }
        Self::new(fields)
    }

    fn new(fields: &Fields) -> Result<Self> {
        let projection_dim = match fields.is_written("projection_dim") {
            true => fields.optional_count("projection_dim", MAX_WIDTH)?,
            false => Some(PROJECTION),
        };
        let architectures = fields.typed("architectures", None, "a list of names")?;
        Ok(Self { architectures, projection_dim, sizes: S::read(fields)? })
    }

    /// The width of the projection that the checkpoint's class has, if it has one. A file that names
    /// no class is taken for one without.
    pub(crate) fn projection(&self) -> Option<i64> {
        let projects = |name: &String| name.ends_with("WithProjection") || name == "CLIPModel";
        let known = self.architectures.as_ref().is_some_and(|names| names.iter().any(projects));
        self.projection_dim.filter(|_| known)
    }
}

/// OpenAI's and OpenCLIP's image towers, by width and layers.
const NAMES: [(i64, i64, &str); 5] =
    [(768, 12, "B"), (1024, 24, "L"), (1280, 32, "H"), (1408, 40, "g"), (1664, 48, "bigG")];

impl VisionConfig {
    /// The architecture, such as `CLIP ViT-B/32`.
    pub(crate) fn name(&self) -> String {
        format!("CLIP ViT-{}", self.sizes.name(&NAMES))
    }
}

impl ClipConfig {
    /// The settings in the file at `path`. A field that it leaves out has transformers' default.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::new(&Fields::open(path)?)
    }

    pub(crate) fn new(fields: &Fields) -> Result<Self> {
        let tower = |field: &str| match fields.object(&format!("{field}_dict"))? {
            // Older files repeat the settings here, and transformers lets these win.
            Some(tower) => Ok(tower),
            None => fields.required_object(field),
        };
        let (text, vision) = (tower("text_config")?, tower("vision_config")?);
        let (text, vision) = (TextConfig::new(&text)?, VisionConfig::new(&vision)?);
        let found = fields.optional_count("projection_dim", MAX_WIDTH)?;
        Ok(Self { text, vision, projection_dim: found.unwrap_or(PROJECTION) })
    }
}

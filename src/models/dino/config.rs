//! A DINO or DINOv2 folder's `config.json` to checked settings of its network.

use std::path::Path;

use serde_json::Value;

use crate::Result;
use crate::models::common::fields::{Fields, MAX_LAYERS, MAX_SIDE, MAX_TOKENS, MAX_WIDTH};
use crate::models::common::layers::Activation;

/// Which of transformers' classes a checkpoint is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Variant {
    /// `ViTModel`: DINO.
    Vit,
    /// `Dinov2Model`.
    Dinov2,
    /// `Dinov2WithRegistersModel`.
    WithRegisters,
}

/// What shapes a network.
#[derive(Clone, Debug)]
pub(crate) struct DinoConfig {
    pub(crate) variant: Variant,
    pub(super) width: i64,
    pub(super) layers: i64,
    pub(super) heads: i64,
    /// Width of a head.
    pub(super) head: i64,
    /// Width of the dense layers between two attentions.
    pub(super) mlp: i64,
    /// Whether these are gated.
    pub(super) swiglu: bool,
    pub(super) activation: Activation,
    pub(super) eps: f64,
    pub(super) qkv_bias: bool,
    /// Height and width of the pictures that it has stored positions for, in pixels.
    pub(crate) image_size: [i64; 2],
    pub(super) patch_size: i64,
    /// Tokens that stand for no patch, beside the class token.
    pub(super) registers: i64,
}

/// The released networks, by width and layers.
const NAMES: [(i64, i64, &str); 5] =
    [(192, 12, "Ti"), (384, 12, "S"), (768, 12, "B"), (1024, 24, "L"), (1536, 40, "g")];

impl Variant {
    /// What `model_type` is called in files.
    const ALL: [(&str, Self); 3] = [
        ("vit", Self::Vit),
        ("dinov2", Self::Dinov2),
        ("dinov2_with_registers", Self::WithRegisters),
    ];

    /// The variant that `model_type` names.
    pub(crate) fn named(model_type: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == model_type).map(|(_, variant)| *variant)
    }

    /// The network's place in a classifier: `base_model_prefix` in transformers.
    pub(super) fn prefix(self) -> &'static str {
        Self::ALL.iter().find(|(_, variant)| *variant == self).map_or("", |(name, _)| name)
    }
}

impl DinoConfig {
    /// The settings in the file at `path`. A field that it leaves out has transformers' default.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::new(&Fields::open(path)?)
    }

    pub(crate) fn new(fields: &Fields) -> Result<Self> {
        let variant = fields.value("model_type").as_str().and_then(Variant::named);
        let Some(variant) = variant else {
            let expected = Variant::ALL.map(|(name, _)| name).join(", ");
            return Err(fields.invalid("model_type", expected, fields.found("model_type")));
        };
        fields.only("num_channels", 3)?;
        // `ViTConfig`, `Dinov2Config` and `Dinov2WithRegistersConfig` in transformers.
        let (default_eps, default_patch) = match variant {
            Variant::Vit => (1e-12, 16),
            Variant::Dinov2 => (1e-6, 14),
            Variant::WithRegisters => (1e-6, 16),
        };
        let width = fields.count("hidden_size", 768, MAX_WIDTH)?;
        let heads = fields.count("num_attention_heads", 12, MAX_WIDTH)?;
        // transformers divides with a remainder, which no head has.
        let head = fields.optional_count("head_dim", MAX_WIDTH)?.unwrap_or(width / heads);
        let expected = format!("at least {heads}, the num_attention_heads");
        fields.require("hidden_size", head > 0, expected, width)?;
        let swiglu = variant != Variant::Vit && fields.flag("use_swiglu_ffn", false)?;
        let [patch_size, patch_width] = pair(fields, "patch_size", default_patch)?;
        let (expected, found) = ("a square", format!("{patch_width}x{patch_size}"));
        fields.require("patch_size", patch_size == patch_width, expected, found)?;
        let image_size = pair(fields, "image_size", 224)?;
        let expected = format!("at least {patch_size}, the patch_size");
        let [height, width_] = image_size;
        let found = format!("{width_}x{height}");
        fields.require("image_size", height.min(width_) >= patch_size, expected, found)?;
        Ok(Self {
            variant,
            width,
            layers: fields.count("num_hidden_layers", 12, MAX_LAYERS)?,
            heads,
            head,
            mlp: match variant {
                Variant::Vit => fields.count("intermediate_size", 3072, MAX_TOKENS)?,
                Variant::Dinov2 | Variant::WithRegisters => mlp(fields, width, swiglu)?,
            },
            swiglu,
            activation: Activation::read(fields, "hidden_act", Activation::Gelu)?,
            eps: fields.eps("layer_norm_eps", default_eps)?,
            qkv_bias: fields.flag("qkv_bias", true)?,
            image_size,
            patch_size,
            registers: match variant {
                Variant::WithRegisters => {
                    fields.integer("num_register_tokens", 4, 0..=MAX_WIDTH)?
                }
                Variant::Vit | Variant::Dinov2 => 0,
            },
        })
    }

    /// The rows of the stored grid of positions, and its columns.
    pub(super) const fn grid(&self) -> [i64; 2] {
        [self.image_size[0] / self.patch_size, self.image_size[1] / self.patch_size]
    }

    /// The architecture as papers write it, such as `DINO ViT-S/16` and, where pictures of another size
    /// than 224 x 224 pixels are taken, `DINO ViT-B/16@384`.
    pub(crate) fn name(&self) -> String {
        let (width, layers) = (self.width, self.layers);
        let known = NAMES.iter().find(|name| (name.0, name.1) == (width, layers));
        let size = known.map_or_else(|| format!("{width}x{layers}"), |name| name.2.to_owned());
        let architecture = format!("ViT-{size}/{}", self.patch_size);
        match (self.variant, self.image_size) {
            (Variant::Vit, [224, 224]) => format!("DINO {architecture}"),
            (Variant::Vit, [height, width]) if height == width => {
                format!("DINO {architecture}@{height}")
            }
            (Variant::Vit, [height, width]) => format!("DINO {architecture}@{width}x{height}"),
            (Variant::Dinov2, _) => format!("DINOv2 {architecture}"),
            (Variant::WithRegisters, _) => format!("DINOv2 {architecture} with registers"),
        }
    }
}

/// Width of DINOv2's dense layers, of which gated ones have two thirds: `Dinov2MLP` and
/// `Dinov2SwiGLUFFN` in transformers.
fn mlp(fields: &Fields, width: i64, swiglu: bool) -> Result<i64> {
    let ratio = fields.number("mlp_ratio", 4.0)?;
    let mlp = (width as f64 * ratio) as i64;
    let expected = format!("a number that makes 1 to {MAX_TOKENS} of hidden_size = {width}");
    fields.require("mlp_ratio", (1..=MAX_TOKENS).contains(&mlp), expected, ratio)?;
    Ok(if swiglu { ((mlp as f64 * 2.0 / 3.0) as i64 + 7) / 8 * 8 } else { mlp })
}

/// Height and width in pixels: a number for both, or a list of the two.
fn pair(fields: &Fields, field: &str, default: i64) -> Result<[i64; 2]> {
    let side = |value: &Value| fields.in_range(field, value, 1..=MAX_SIDE);
    match fields.or(field, default) {
        Value::Array(sides) => match sides.as_slice() {
            [height, width] => Ok([side(height)?, side(width)?]),
            _ => Err(fields.invalid(field, "a number, or height and width", Value::Array(sides))),
        },
        number => side(&number).map(|side| [side; 2]),
    }
}

//! What CLIP's and SigLIP's towers begin with: token numbers and pixels to vectors with their places.

use serde_json::Value;
use tch::Tensor;

use super::encoder::EncoderConfig;
use super::fields::{Fields, MAX_SIDE, MAX_TOKENS};
use super::layers::{Conv2d, Embedding};
use super::weights::Weights;
use crate::{Error, Result};

/// What shapes a text tower, beside its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextSizes {
    pub(crate) encoder: EncoderConfig,
    pub(crate) vocab_size: i64,
    pub(crate) max_tokens: i64,
    /// The token that ends a text.
    pub(crate) eos_token_id: i64,
}

/// What shapes an image tower, beside its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VisionSizes {
    pub(crate) encoder: EncoderConfig,
    /// Side of the square pictures it takes, in pixels.
    pub(crate) image_size: i64,
    pub(crate) patch_size: i64,
}

impl TextSizes {
    /// The sizes in a tower's `fields`; what is missing there is that of `default`.
    pub(crate) fn read_or(fields: &Fields, default: Self) -> Result<Self> {
        let field = "max_position_embeddings";
        Ok(Self {
            vocab_size: fields.count("vocab_size", default.vocab_size, MAX_TOKENS)?,
            max_tokens: fields.count(field, default.max_tokens, MAX_TOKENS)?,
            eos_token_id: match fields.value("eos_token_id") {
                Value::Null => default.eos_token_id,
                found => fields.in_range("eos_token_id", found, 0..=MAX_TOKENS)?,
            },
            encoder: EncoderConfig::read_or(fields, default.encoder)?,
        })
    }
}

impl VisionSizes {
    /// The sizes in a tower's `fields`; what is missing there is that of `default`.
    pub(crate) fn read_or(fields: &Fields, default: Self) -> Result<Self> {
        fields.only("num_channels", 3)?;
        let patch_size = fields.count("patch_size", default.patch_size, MAX_SIDE)?;
        let image_size = fields.count("image_size", default.image_size, MAX_SIDE)?;
        let expected = format!("at least {patch_size}, the patch_size");
        fields.require("image_size", image_size >= patch_size, expected, image_size)?;
        let encoder = EncoderConfig::read_or(fields, default.encoder)?;
        Ok(Self { encoder, image_size, patch_size })
    }

    /// Number of patches of a picture.
    pub(crate) const fn patches(&self) -> i64 {
        let grid = self.image_size / self.patch_size;
        grid * grid
    }

    /// Size and side as papers write them, such as `B/32` and, for sides other than 224, `L/14@336`;
    /// `names` are those of widths and depths.
    pub(crate) fn name(&self, names: &[(i64, i64, &str)]) -> String {
        let (width, layers) = (self.encoder.width, self.encoder.layers);
        let known = names.iter().find(|name| (name.0, name.1) == (width, layers));
        let size = known.map_or_else(|| format!("{width}x{layers}"), |name| name.2.to_owned());
        let side = match self.image_size {
            224 => String::new(),
            side => format!("@{side}"),
        };
        format!("{size}/{}{side}", self.patch_size)
    }
}

/// Tokens and their places as vectors.
#[derive(Debug)]
pub(crate) struct TextEmbeddings {
    tokens: Embedding,
    positions: Tensor,
    sizes: TextSizes,
}

impl TextEmbeddings {
    pub(crate) fn new(weights: &Weights, sizes: TextSizes) -> Result<Self> {
        let (tokens, width) = (weights.sub("token_embedding"), sizes.encoder.width);
        let places = weights.sub("position_embedding");
        Ok(Self {
            tokens: Embedding::new(&tokens, sizes.vocab_size, width)?,
            positions: places.get("weight", &[sizes.max_tokens, width])?,
            sizes,
        })
    }

    /// Rows of token numbers, all of one length: `[b, tokens, width]`.
    pub(crate) fn forward(&self, ids: &[Vec<i64>]) -> Result<Tensor> {
        let rows = token_rows(ids, self.sizes.max_tokens, self.sizes.vocab_size)?; // [b, tokens]
        let places = self.positions.narrow(0, 0, rows.size()[1]); // [tokens, width]
        Ok(self.tokens.forward(&rows.to_device(places.device())) + places) // [b, tokens, width]
    }
}

/// Rows of token numbers below `vocab_size`, all of one length of 1 to `most`: `[b, tokens]`.
pub(crate) fn token_rows(ids: &[Vec<i64>], most: i64, vocab_size: i64) -> Result<Tensor> {
    let tokens = ids.first().map_or(0, Vec::len) as i64;
    if !(1..=most).contains(&tokens) {
        let expected = match most {
            i64::MAX => "at least 1".to_owned(),
            most => format!("1 to {most}"),
        };
        return Err(Error::invalid_input("tokens of a text", expected, tokens));
    }
    for row in ids {
        if row.len() as i64 != tokens {
            let what = "tokens of a text in a batch";
            return Err(Error::invalid_input(what, tokens.to_string(), row.len()));
        }
        if let Some(&id) = row.iter().find(|id| !(0..vocab_size).contains(*id)) {
            let expected = format!("0 to {}, the text encoder's vocabulary", vocab_size - 1);
            return Err(Error::invalid_input("token number", expected, id));
        }
    }
    Ok(Tensor::from_slice(&ids.concat()).view([ids.len() as i64, tokens])) // [b, tokens]
}

/// The patches of pictures as vectors.
#[derive(Debug)]
pub(crate) struct Patches {
    conv: Conv2d,
    image_size: i64,
}

impl Patches {
    /// The layer at `weights`, which has a bias in SigLIP and none in CLIP.
    pub(crate) fn new(weights: &Weights, sizes: VisionSizes, bias: bool) -> Result<Self> {
        let VisionSizes { encoder, image_size, patch_size: side } = sizes;
        let new = if bias { Conv2d::new } else { Conv2d::no_bias };
        Ok(Self { conv: new(weights, 3, encoder.width, side, side, 0)?, image_size })
    }

    /// The patches of `pixels`, `[b, 3, image_size, image_size]`: `[b, patches, width]`.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (found, side) = (pixels.size(), self.image_size);
        if found.len() != 4 || found[1..] != [3, side, side] {
            let expected = format!("[b, 3, {side}, {side}]");
            return Err(Error::invalid_input("pixels", expected, format!("{found:?}")));
        }
        let pixels = pixels.to_device(self.conv.w.device()).to_kind(self.conv.w.kind());
        Ok(self.conv.forward(&pixels).flatten(2, 3).transpose(1, 2)) // [b, patches, width]
    }
}

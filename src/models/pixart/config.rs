//! The transformer's `config.json` to its widths, depths and heads.

use std::path::Path;

use crate::Result;
use crate::models::common::fields::{Fields, MAX_LAYERS, MAX_SIDE, MAX_WIDTH};
use crate::models::common::layers::Activation;

/// What `PixArtTransformer2DModel` is built from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PixArtConfig {
    pub(crate) num_attention_heads: i64,
    pub(super) attention_head_dim: i64,
    /// Channels of the latents.
    pub(crate) in_channels: i64,
    /// Channels of what is predicted: as many, or twice as many where a variance was learned too.
    pub(crate) out_channels: i64,
    pub(super) num_layers: i64,
    /// Width of the states that cross-attention reads.
    pub(super) cross_attention_dim: i64,
    /// Whether queries, keys and values have a bias.
    pub(super) attention_bias: bool,
    /// Latents a side of the training images.
    pub(crate) sample_size: i64,
    /// Latents a side of a token.
    pub(crate) patch_size: i64,
    pub(super) feed_forward: FeedForwardKind,
    pub(super) norm_eps: f64,
    /// What positions are divided by.
    pub(super) interpolation_scale: f64,
    /// Width of the text encoder's states; none where they are read as they are.
    pub(crate) caption_channels: Option<i64>,
}

/// The first layer of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FeedForwardKind {
    pub(super) activation: Activation,
    /// Whether half of the layer's values weigh the others: none, the first half or the second is
    /// activated.
    pub(super) gated: bool,
}

/// The names that a config has for the class. The released PixArt-Σ checkpoints were written with
/// `Transformer2DModel`, which diffusers reads as the other one where it has `ada_norm_single`.
pub(crate) const CLASSES: [&str; 2] = ["PixArtTransformer2DModel", "Transformer2DModel"];

impl PixArtConfig {
    /// Reads and checks the file at `path`; a field that it leaves out has diffusers' default.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::new(&Fields::open(path)?)
    }

    /// The same of `text`, which came from `path`.
    #[cfg(test)]
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        Self::new(&Fields::parse(path, text)?)
    }

    fn new(fields: &Fields) -> Result<Self> {
        Self::check_kind(fields)?;
        let in_channels = fields.count("in_channels", 4, MAX_WIDTH)?;
        let out_channels = match fields.is_written("out_channels") {
            true => fields.optional_count("out_channels", MAX_WIDTH)?.unwrap_or(in_channels),
            false => 8,
        };
        let fits = [in_channels, 2 * in_channels].contains(&out_channels);
        let expected = format!("{in_channels} or {}, as in_channels asks for", 2 * in_channels);
        fields.require("out_channels", fits, expected, out_channels)?;
        let sample_size = fields.count("sample_size", 128, MAX_SIDE)?;
        let patch_size = fields.count("patch_size", 2, sample_size)?;
        let caption_channels = fields.optional_count("caption_channels", MAX_WIDTH)?;
        let config = Self {
            num_attention_heads: fields.count("num_attention_heads", 16, MAX_WIDTH)?,
            attention_head_dim: fields.count("attention_head_dim", 72, MAX_WIDTH)?,
            in_channels,
            out_channels,
            num_layers: fields.count("num_layers", 28, MAX_LAYERS)?,
            cross_attention_dim: fields.count("cross_attention_dim", 1152, MAX_WIDTH)?,
            attention_bias: fields.flag("attention_bias", true)?,
            sample_size,
            patch_size,
            feed_forward: feed_forward(fields)?,
            norm_eps: fields.eps("norm_eps", 1e-6)?,
            interpolation_scale: match fields.optional_number("interpolation_scale")? {
                Some(scale) => scale,
                None => (sample_size / 64).max(1) as f64,
            },
            caption_channels,
        };
        let scale = config.interpolation_scale;
        fields.require("interpolation_scale", scale > 0.0, "a number above 0", scale)?;
        let width = config.width();
        let (field, expected) = ("attention_head_dim", "a width of all heads that 4 divides");
        fields.require(field, width <= MAX_WIDTH && width % 4 == 0, expected, width)?;
        if caption_channels.is_some() {
            let (field, found) = ("cross_attention_dim", config.cross_attention_dim);
            let expected = format!("{width}, the width of all heads");
            fields.require(field, found == width, expected, found)?;
        }
        Ok(config)
    }

    /// Refuses what is no transformer of PixArt-Σ's shape, which both classes may be.
    fn check_kind(fields: &Fields) -> Result<()> {
        let class = fields.value("_class_name").as_str().unwrap_or(CLASSES[0]);
        fields.require("_class_name", CLASSES.contains(&class), CLASSES.join(" or "), class)?;
        if class == CLASSES[1] {
            fields.is_named("norm_type", "ada_norm_single")?;
        }
        fields.only("norm_type", "ada_norm_single")?;
        fields.only("attention_type", "default")?;
        let tokens = fields.value("num_vector_embeds");
        fields.require("num_vector_embeds", tokens.is_null(), "null", tokens)?;
        fields.refuse(&[
            "norm_elementwise_affine",
            "only_cross_attention",
            "double_self_attention",
        ])?;
        // diffusers' default, where it says nothing, is PixArt-α's at this size.
        let field = "use_additional_conditions";
        let alpha = match fields.value(field).is_null() {
            true => fields.integer("sample_size", 128, 1..=MAX_SIDE)? == 128,
            false => fields.flag(field, false)?,
        };
        let expected = "false: a network that is told size and aspect ratio is PixArt-α's";
        fields.require(field, !alpha, expected, fields.found(field))
    }

    /// Width of the tokens, all heads together.
    pub(crate) const fn width(&self) -> i64 {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Tokens a side of the training images.
    pub(super) const fn base_size(&self) -> i64 {
        self.sample_size / self.patch_size
    }

    /// Width of the text encoder's states.
    pub(crate) fn text_width(&self) -> i64 {
        self.caption_channels.unwrap_or(self.cross_attention_dim)
    }
}

/// diffusers, `FeedForward`.
fn feed_forward(fields: &Fields) -> Result<FeedForwardKind> {
    let kind = |activation, gated| FeedForwardKind { activation, gated };
    fields.choice(
        "activation_fn",
        &[
            ("gelu-approximate", kind(Activation::GeluPytorchTanh, false)),
            ("gelu", kind(Activation::Gelu, false)),
            ("geglu", kind(Activation::Gelu, true)),
            ("geglu-approximate", kind(Activation::QuickGelu, false)),
            ("swiglu", kind(Activation::Silu, true)),
            ("linear-silu", kind(Activation::Silu, false)),
        ],
    )
}

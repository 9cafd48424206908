//! The transformer's `config.json` to its widths, depths and heads.

use std::path::Path;

use serde::Deserialize;

use crate::Result;
use crate::models::common::json::{parse_json, positive, read_text, require};

/// Far above any network's, and small enough that no product of two overflows.
const MAX_WIDTH: i64 = 1 << 16;
/// The largest number of blocks that is believed.
const MAX_LAYERS: i64 = 1 << 10;
/// Axes of a position: a number that FLUX leaves at 0, row and column.
pub(crate) const AXES: usize = 3;

/// What `FluxTransformer2DModel` is built from; defaults are diffusers'.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct FluxConfig {
    #[serde(rename = "_class_name")]
    class: Option<String>,
    patch_size: i64,
    /// Values of a packed latent.
    pub(crate) in_channels: i64,
    /// Values of what is predicted for it; as many where the file says none.
    out_channels: Option<i64>,
    /// Blocks in which text and image have weights of their own.
    pub(crate) num_layers: i64,
    /// Blocks in which they share them.
    pub(crate) num_single_layers: i64,
    pub(crate) attention_head_dim: i64,
    pub(crate) num_attention_heads: i64,
    /// Width of the text's states.
    pub(crate) joint_attention_dim: i64,
    /// Width of the vector that stands for the whole prompt.
    pub(crate) pooled_projection_dim: i64,
    /// Whether the network is told the guidance, as FLUX.1-dev is and FLUX.1-schnell is not.
    pub(crate) guidance_embeds: bool,
    /// How many values of a head turn with each axis of the position.
    pub(crate) axes_dims_rope: [i64; AXES],
}

impl Default for FluxConfig {
    fn default() -> Self {
        Self {
            class: None,
            patch_size: 1,
            in_channels: 64,
            out_channels: None,
            num_layers: 19,
            num_single_layers: 38,
            attention_head_dim: 128,
            num_attention_heads: 24,
            joint_attention_dim: 4096,
            pooled_projection_dim: 768,
            guidance_embeds: false,
            axes_dims_rope: [16, 56, 56],
        }
    }
}

impl FluxConfig {
    /// Reads and checks the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path)?)
    }

    /// The same of `text`, which came from `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let config: Self = parse_json(path, text)?;
        let class = config.class.as_deref().unwrap_or("FluxTransformer2DModel");
        let flux = class == "FluxTransformer2DModel";
        require(path, "_class_name", flux, "FluxTransformer2DModel", class)?;
        for (field, value, most) in [
            ("in_channels", config.in_channels, MAX_WIDTH),
            ("out_channels", config.out_channels(), MAX_WIDTH),
            ("num_layers", config.num_layers, MAX_LAYERS),
            ("num_single_layers", config.num_single_layers, MAX_LAYERS),
            ("attention_head_dim", config.attention_head_dim, MAX_WIDTH),
            ("num_attention_heads", config.num_attention_heads, MAX_WIDTH),
            ("joint_attention_dim", config.joint_attention_dim, MAX_WIDTH),
            ("pooled_projection_dim", config.pooled_projection_dim, MAX_WIDTH),
        ] {
            positive(path, field, value)?;
            require(path, field, value <= most, format!("at most {most}"), value)?;
        }
        // diffusers' pipeline packs the latents itself, and so does no other size.
        require(path, "patch_size", config.patch_size == 1, "1", config.patch_size)?;
        let axes = config.axes_dims_rope;
        let even = axes.iter().all(|&dim| (0..=MAX_WIDTH).contains(&dim) && dim % 2 == 0);
        let fits = even && axes.iter().sum::<i64>() == config.attention_head_dim;
        let expected =
            format!("even numbers whose sum is attention_head_dim, {}", config.attention_head_dim);
        require(path, "axes_dims_rope", fits, expected, format!("{axes:?}"))?;
        Ok(config)
    }

    /// Width of the tokens, all heads together.
    pub(crate) const fn width(&self) -> i64 {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Values of what is predicted for a packed latent.
    pub(crate) fn out_channels(&self) -> i64 {
        // As in diffusers, 0 is as good as none.
        self.out_channels.filter(|&channels| channels != 0).unwrap_or(self.in_channels)
    }
}

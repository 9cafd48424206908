//! The transformer's `config.json` to its widths, depths and heads.

use std::path::Path;

use crate::Result;
use crate::models::common::fields::{Fields, MAX_LAYERS, MAX_WIDTH};

/// Axes of a position: a number that FLUX leaves at 0, row and column.
pub(crate) const AXES: usize = 3;

/// What `FluxTransformer2DModel` is built from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FluxConfig {
    /// Values of a packed latent.
    pub(crate) in_channels: i64,
    /// Values of what is predicted for it.
    pub(crate) out_channels: i64,
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

impl FluxConfig {
    /// Reads and checks the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::new(&Fields::open(path)?)
    }

    /// The same of `text`, which came from `path`.
    #[cfg(test)]
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        Self::new(&Fields::parse(path, text)?)
    }

    fn new(fields: &Fields) -> Result<Self> {
        fields.only("_class_name", "FluxTransformer2DModel")?;
        // diffusers' pipeline packs the latents itself, and so does no other size.
        fields.only("patch_size", 1)?;
        let in_channels = fields.count("in_channels", 64, MAX_WIDTH)?;
        // As in diffusers, 0 is as good as none.
        let out_channels = match fields.value("out_channels").as_i64() {
            Some(0) => None,
            _ => fields.optional_count("out_channels", MAX_WIDTH)?,
        };
        let attention_head_dim = fields.count("attention_head_dim", 128, MAX_WIDTH)?;
        let axes: [i64; AXES] = fields.typed("axes_dims_rope", [16, 56, 56], "three numbers")?;
        let even = axes.iter().all(|&dim| (0..=MAX_WIDTH).contains(&dim) && dim % 2 == 0);
        let fits = even && axes.iter().sum::<i64>() == attention_head_dim;
        let expected =
            format!("even numbers whose sum is attention_head_dim, {attention_head_dim}");
        fields.require("axes_dims_rope", fits, expected, format!("{axes:?}"))?;
        Ok(Self {
            in_channels,
            out_channels: out_channels.unwrap_or(in_channels),
            num_layers: fields.count("num_layers", 19, MAX_LAYERS)?,
            num_single_layers: fields.count("num_single_layers", 38, MAX_LAYERS)?,
            attention_head_dim,
            num_attention_heads: fields.count("num_attention_heads", 24, MAX_WIDTH)?,
            joint_attention_dim: fields.count("joint_attention_dim", 4096, MAX_WIDTH)?,
            pooled_projection_dim: fields.count("pooled_projection_dim", 768, MAX_WIDTH)?,
            guidance_embeds: fields.flag("guidance_embeds", false)?,
            axes_dims_rope: axes,
        })
    }

    /// Width of the tokens, all heads together.
    pub(crate) const fn width(&self) -> i64 {
        self.num_attention_heads * self.attention_head_dim
    }
}

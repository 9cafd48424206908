//! The VAE's `config.json` to checked settings.

use std::path::Path;

use serde_json::Value;

use crate::Result;
use crate::models::common::fields::{Fields, MAX_LAYERS, MAX_SIDE, MAX_WIDTH};
use crate::models::common::layers::Activation;

/// Far above any network's: 4,096 pixels a latent.
const MAX_BLOCKS: usize = 13;

/// What `AutoencoderKL` is built from.
#[derive(Clone, Debug)]
pub(crate) struct VaeConfig {
    pub(super) in_channels: i64,
    pub(super) out_channels: i64,
    /// Whether each block of the encoder attends.
    pub(super) down_attends: Vec<bool>,
    /// Whether each block of the decoder attends.
    pub(super) up_attends: Vec<bool>,
    pub(super) block_out_channels: Vec<i64>,
    pub(super) layers_per_block: i64,
    pub(super) act_fn: Activation,
    /// Channels of the latents.
    pub(crate) latent_channels: i64,
    pub(super) norm_num_groups: i64,
    /// Pixels a side of the training images; the size of a tile.
    pub(super) sample_size: i64,
    /// Latents are multiplied with it for the denoising network.
    pub(crate) scaling_factor: f64,
    /// Is taken off the latents before that, where the checkpoint tells.
    pub(crate) shift_factor: Option<f64>,
    /// Mean of each latent channel, where the checkpoint tells.
    pub(crate) latents_mean: Option<Vec<f64>>,
    /// Standard deviation of each latent channel, where the checkpoint tells.
    pub(crate) latents_std: Option<Vec<f64>>,
    /// Whether 16-bit IEEE floats are too narrow for it.
    pub(crate) force_upcast: bool,
    pub(super) use_quant_conv: bool,
    pub(super) use_post_quant_conv: bool,
    pub(super) mid_block_add_attention: bool,
}

impl VaeConfig {
    /// Reads and checks the file at `path`; a field that it leaves out has diffusers' default.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::new(&Fields::open(path)?)
    }

    /// The same of `text`, which came from `path`.
    #[cfg(test)]
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        Self::new(&Fields::parse(path, text)?)
    }

    fn new(fields: &Fields) -> Result<Self> {
        fields.only("_class_name", "AutoencoderKL")?;
        let norm_num_groups = fields.count("norm_num_groups", 32, MAX_WIDTH)?;
        let block_out_channels = fields.channels(&[64], MAX_BLOCKS, norm_num_groups)?;
        let attends = |field, names: [&str; 2]| {
            fields.attending(field, &names[1..], names, block_out_channels.len())
        };
        let down = ["AttnDownEncoderBlock2D", "DownEncoderBlock2D"];
        let up = ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"];
        let (down_attends, up_attends) =
            (attends("down_block_types", down)?, attends("up_block_types", up)?);
        let latent_channels = fields.count("latent_channels", 4, MAX_WIDTH)?;
        let each = |field| {
            let numbers = fields.numbers(field)?;
            let found = numbers.as_ref().map_or(latent_channels, |values| values.len() as i64);
            let expected = format!("{latent_channels} numbers, as latent_channels says");
            fields.require(field, found == latent_channels, expected, found).map(|()| numbers)
        };
        let scaling_factor = fields.number("scaling_factor", 0.18215)?;
        fields.require("scaling_factor", scaling_factor != 0.0, "other than 0", scaling_factor)?;
        let side = match fields.or("sample_size", 32) {
            Value::Array(sides) => sides.into_iter().next().unwrap_or_default(),
            side => side,
        };
        Ok(Self {
            in_channels: fields.count("in_channels", 3, MAX_WIDTH)?,
            out_channels: fields.count("out_channels", 3, MAX_WIDTH)?,
            down_attends,
            up_attends,
            layers_per_block: fields.count("layers_per_block", 1, MAX_LAYERS)?,
            act_fn: Activation::read(fields, "act_fn", Activation::Silu)?,
            latent_channels,
            norm_num_groups,
            sample_size: fields.in_range("sample_size", &side, 1..=MAX_SIDE)?,
            scaling_factor,
            shift_factor: fields.optional_number("shift_factor")?,
            latents_mean: each("latents_mean")?,
            latents_std: each("latents_std")?,
            force_upcast: fields.flag("force_upcast", true)?,
            use_quant_conv: fields.flag("use_quant_conv", true)?,
            use_post_quant_conv: fields.flag("use_post_quant_conv", true)?,
            mid_block_add_attention: fields.flag("mid_block_add_attention", true)?,
            block_out_channels,
        })
    }

    /// Pixels for each latent, a side.
    pub(crate) fn scale_factor(&self) -> u32 {
        1 << (self.block_out_channels.len() - 1)
    }
}

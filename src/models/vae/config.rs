//! The VAE's `config.json` to checked settings.

use std::path::Path;

use serde::Deserialize;

use crate::Result;
use crate::models::common::json::{parse_json, positive, read_text, require};
use crate::models::common::layers::Activation;

/// What `AutoencoderKL` is built from; defaults are diffusers'.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct VaeConfig {
    pub(super) in_channels: i64,
    pub(super) out_channels: i64,
    pub(super) down_block_types: Vec<DownBlockType>,
    pub(super) up_block_types: Vec<UpBlockType>,
    pub(super) block_out_channels: Vec<i64>,
    pub(super) layers_per_block: i64,
    pub(super) act_fn: Activation,
    /// Channels of the latents.
    pub(crate) latent_channels: i64,
    pub(super) norm_num_groups: i64,
    sample_size: SampleSize,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum DownBlockType {
    DownEncoderBlock2D,
    AttnDownEncoderBlock2D,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum UpBlockType {
    UpDecoderBlock2D,
    AttnUpDecoderBlock2D,
}

/// Pixels a side of the training images.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum SampleSize {
    Side(i64),
    Sides(Vec<i64>),
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DownBlockType::DownEncoderBlock2D],
            up_block_types: vec![UpBlockType::UpDecoderBlock2D],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: Activation::Silu,
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: SampleSize::Side(32),
            scaling_factor: 0.18215,
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

impl VaeConfig {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path)?)
    }

    /// The settings in `text`; `path` is for errors.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let config: Self = parse_json(path, text)?;
        for (field, value) in [
            ("in_channels", config.in_channels),
            ("out_channels", config.out_channels),
            ("latent_channels", config.latent_channels),
            ("layers_per_block", config.layers_per_block),
            ("norm_num_groups", config.norm_num_groups),
        ] {
            positive(path, field, value)?;
            require(path, field, value <= MAX_WIDTH, format!("at most {MAX_WIDTH}"), value)?;
        }
        let blocks = config.block_out_channels.len();
        let range = format!("1 to {MAX_BLOCKS} numbers");
        require(path, "block_out_channels", (1..=MAX_BLOCKS).contains(&blocks), range, blocks)?;
        for &width in &config.block_out_channels {
            let groups = config.norm_num_groups;
            let expected = format!("multiples of norm_num_groups, {groups}, up to {MAX_WIDTH}");
            let fits = (1..=MAX_WIDTH).contains(&width) && width % groups == 0;
            require(path, "block_out_channels", fits, expected, width)?;
        }
        for (field, found) in [
            ("down_block_types", config.down_block_types.len()),
            ("up_block_types", config.up_block_types.len()),
        ] {
            let expected = format!("{blocks} blocks, as block_out_channels has");
            require(path, field, found == blocks, expected, found)?;
        }
        let factor = config.scaling_factor;
        let usable = factor.is_finite() && factor != 0.0;
        require(path, "scaling_factor", usable, "a finite number other than 0", factor)?;
        let shift = config.shift_factor.unwrap_or(0.0);
        require(path, "shift_factor", shift.is_finite(), "a finite number", shift)?;
        for (field, values) in
            [("latents_mean", &config.latents_mean), ("latents_std", &config.latents_std)]
        {
            let found =
                values.as_ref().map_or(config.latent_channels, |values| values.len() as i64);
            let expected = format!("{} numbers, as latent_channels says", config.latent_channels);
            require(path, field, found == config.latent_channels, expected, found)?;
        }
        positive(path, "sample_size", config.sample_size())?;
        Ok(config)
    }

    /// Pixels for each latent, a side.
    pub(crate) fn scale_factor(&self) -> u32 {
        1 << (self.block_out_channels.len() - 1)
    }

    /// Pixels a side of the training images; the size of a tile.
    pub(super) fn sample_size(&self) -> i64 {
        match &self.sample_size {
            SampleSize::Side(side) => *side,
            SampleSize::Sides(sides) => sides.first().copied().unwrap_or(0),
        }
    }
}

/// Far above any network's, and small enough that no product of two overflows.
const MAX_WIDTH: i64 = 1 << 16;
/// Far above any network's: 4,096 pixels a latent.
const MAX_BLOCKS: usize = 13;

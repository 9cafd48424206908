//! Latents to tokens with their positions, and what is said of each token to latents.

use tch::{Kind, Tensor};

use super::config::PixArtConfig;
use crate::Result;
use crate::models::common::layers::Conv2d;
use crate::models::common::weights::Weights;

/// The longest wave of a position. diffusers, `get_1d_sincos_pos_embed_from_grid`.
const LONGEST_WAVE: f64 = 10_000.0;

/// diffusers' `PatchEmbed`.
#[derive(Debug)]
pub(super) struct PatchEmbed {
    proj: Conv2d,
    width: i64,
    base_size: i64,
    interpolation_scale: f64,
    device: tch::Device,
    kind: Kind,
}

impl PatchEmbed {
    pub(super) fn new(weights: &Weights, config: &PixArtConfig) -> Result<Self> {
        let (width, patch) = (config.width(), config.patch_size);
        let proj = &weights.sub("proj");
        Ok(Self {
            proj: Conv2d::new(proj, config.in_channels, width, patch, patch, 0)?,
            width,
            base_size: config.base_size(),
            interpolation_scale: config.interpolation_scale,
            device: weights.device(),
            kind: weights.kind(),
        })
    }

    /// The positions of `rows` · `columns` tokens, row by row: `[1, tokens, width]`. Whatever the
    /// number of rows, they lie between 0 and the side of the training images; so do columns.
    pub(super) fn positions(&self, rows: i64, columns: i64) -> Tensor {
        let places = |count: i64| {
            let places = Tensor::arange(count, (Kind::Float, tch::Device::Cpu));
            places / (count as f64 / self.base_size as f64) / self.interpolation_scale // [count]
        };
        let waves = |places: Tensor| {
            let quarter = self.width / 4;
            let exponents = Tensor::arange(quarter, (Kind::Double, tch::Device::Cpu))
                / (self.width as f64 / 4.0);
            let angles = places.outer(&(exponents * -LONGEST_WAVE.ln()).exp()); // [count, width / 4]
            Tensor::cat(&[angles.sin(), angles.cos()], 1) // [count, width / 2]
        };
        let half = [rows, columns, self.width / 2];
        let row = waves(places(rows)).unsqueeze(1).expand(half, false);
        let column = waves(places(columns)).unsqueeze(0).expand(half, false);
        let table = Tensor::cat(&[column, row], 2).view([1, rows * columns, self.width]);
        // diffusers keeps the table of the training images in the network's type, and others in f32.
        let is_base = (rows, columns) == (self.base_size, self.base_size);
        let kind = if is_base { self.kind } else { Kind::Float };
        table.to_kind(Kind::Float).to_kind(kind).to_device(self.device) // [1, tokens, width]
    }

    /// `[b, in_channels, h, w]` to tokens `[b, tokens, width]` at `positions`.
    pub(super) fn forward(&self, latents: &Tensor, positions: &Tensor) -> Tensor {
        let tokens = self.proj.forward(latents).flatten(2, 3).transpose(1, 2); // [b, tokens, width]
        (tokens + positions).to_kind(self.kind)
    }
}

/// Tokens of `patch` · `patch` latents each, `[b, rows · columns, patch · patch · channels]`, to
/// `[b, channels, patch · rows, patch · columns]`.
pub(super) fn unpatch(tokens: &Tensor, rows: i64, columns: i64, patch: i64) -> Tensor {
    let patches = tokens.view([-1, rows, columns, patch, patch, tokens.size()[2] / patch.pow(2)]);
    let latents = patches.permute([0, 5, 1, 3, 2, 4]); // [b, channels, rows, patch, columns, patch]
    latents.flatten(4, 5).flatten(2, 3)
}

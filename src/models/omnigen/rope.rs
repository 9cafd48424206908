//! Positions to rotations of queries and keys: `OmniGenSuScaledRotaryEmbedding`.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::config::RopeConfig;

/// Where the tokens of a row stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Positions {
    /// Is added to a token's place in its row; what is below 0 then is 0.
    pub(crate) shift: i64,
    /// Tokens of the longest row of the batch, which choose between short and long factors.
    pub(crate) length: i64,
}

/// The rotation of each position of a row, `[tokens, 1, head_dim / 2]` each, in f32.
#[derive(Debug)]
pub(crate) struct Rope {
    cos: Tensor,
    sin: Tensor,
    minus_sin: Tensor,
}

impl Rope {
    /// Of the tokens at `places` in a row.
    pub(super) fn new(
        config: &RopeConfig,
        Positions { shift, length }: Positions,
        places: Range<i64>,
        device: Device,
    ) -> Self {
        let is_long = length > config.original_max_position_embeddings;
        let factors = if is_long { &config.long_factor } else { &config.short_factor };
        // In f32 and in diffusers' order: the angles of far positions have few digits to lose.
        let options = (Kind::Float, Device::Cpu);
        let half = factors.len() as i64;
        let exponents = Tensor::arange_start_step(0, 2 * half, 2, options) / (2 * half); // [head_dim / 2]
        let factors = Tensor::from_slice(factors).to_kind(Kind::Float);
        let frequencies = (factors * Tensor::pow_scalar(config.base, &exponents)).reciprocal();
        let positions = Tensor::arange_start(places.start + shift, places.end + shift, options);
        let angles = positions.clamp_min(0.0).outer(&frequencies).unsqueeze(1); // [tokens, 1, head_dim / 2]
        let scale = config.attention_scale();
        let [cos, sin] = [angles.cos(), angles.sin()].map(|wave| (wave * scale).to_device(device));
        Self { cos, minus_sin: -&sin, sin }
    }

    /// Rows of this rope and others', one after the other: `[rows, tokens, 1, head_dim / 2]`.
    pub(super) fn stack(ropes: &[&Self]) -> Self {
        let stack = |part: fn(&Self) -> &Tensor| {
            Tensor::stack(&ropes.iter().map(|rope| part(rope)).collect::<Vec<_>>(), 0)
        };
        let sin = stack(|rope| &rope.sin);
        Self { cos: stack(|rope| &rope.cos), minus_sin: -&sin, sin }
    }

    /// Where it lies.
    pub(super) fn device(&self) -> Device {
        self.cos.device()
    }

    /// `[b, tokens, heads, head_dim]`, the first half of each head turned with the second, in the
    /// type of `x`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let wide = x.to_kind(Kind::Float);
        let turned = wide.empty_like();
        let half = self.cos.size().last().copied().unwrap_or(0);
        let [a, b] = [0, half].map(|first| wide.narrow(-1, first, half)); // [b, tokens, heads, head_dim / 2]
        let [to_a, to_b] = [0, half].map(|first| turned.narrow(-1, first, half));
        // In two passes over each half: a cos - b sin, and b cos + a sin.
        let _ = a.mul_out(&to_a, &self.cos).addcmul_(&b, &self.minus_sin);
        let _ = b.mul_out(&to_b, &self.cos).addcmul_(&a, &self.sin);
        turned.to_kind(x.kind()) // [b, tokens, heads, head_dim]
    }
}

impl RopeConfig {
    /// What sines and cosines are multiplied with, so that scores of long rows stay as large.
    fn attention_scale(&self) -> f64 {
        let original = self.original_max_position_embeddings as f64;
        let stretch = self.max_position_embeddings as f64 / original;
        if stretch <= 1.0 { 1.0 } else { (1.0 + stretch.ln() / original.ln()).sqrt() }
    }
}

//! Times to the vectors that scale, shift and gate the tokens in every block: adaLN-single.

use tch::{Kind, Tensor};

use super::config::PixArtConfig;
use crate::Result;
use crate::models::common::layers::{Activation, Linear, TimestepEmbedding};
use crate::models::common::math::timestep_embedding;
use crate::models::common::weights::Weights;

/// Sines and cosines of a time. diffusers, `PixArtAlphaCombinedTimestepSizeEmbeddings`.
const WAVES: i64 = 256;

/// diffusers' `AdaLayerNormSingle`: one layer for all blocks, each of which adds a table of its own.
#[derive(Debug)]
pub(super) struct AdaLayerNormSingle {
    embedder: TimestepEmbedding,
    linear: Linear,
    width: i64,
    device: tch::Device,
    kind: Kind,
}

/// What the times of all steps do, found before the first.
#[derive(Debug)]
pub(crate) struct Times {
    /// To the tokens of every block: shift, scale and gate of attention, then of the feed-forward
    /// layer, `[steps, 6, width]`.
    pub(super) blocks: Tensor,
    /// To the tokens after the last block, `[steps, 1, width]`.
    pub(super) last: Tensor,
}

impl AdaLayerNormSingle {
    pub(super) fn new(weights: &Weights, config: &PixArtConfig) -> Result<Self> {
        let (width, embedder) = (config.width(), weights.sub("emb.timestep_embedder"));
        Ok(Self {
            embedder: TimestepEmbedding::new(&embedder, WAVES, width, Activation::Silu)?,
            linear: Linear::new(&weights.sub("linear"), width, 6 * width)?,
            width,
            device: weights.device(),
            kind: weights.kind(),
        })
    }

    /// What each of `timesteps`, in [0, 1000], does.
    pub(super) fn times(&self, timesteps: &[f64]) -> Times {
        let steps: Vec<_> = timesteps.iter().map(|&time| time as f32).collect();
        let steps = Tensor::from_slice(&steps).to_device(self.device);
        let waves = timestep_embedding(&steps, WAVES, true, 0.0).to_kind(self.kind); // [steps, WAVES]
        let embedded = self.embedder.forward(&waves); // [steps, width]
        let blocks = self.linear.forward(&embedded.silu()).view([-1, 6, self.width]);
        Times { blocks, last: embedded.unsqueeze(1) }
    }
}

/// Each token of `x`, `[b, tokens, width]`, to mean 0 and variance 1, then scaled and shifted, by
/// vectors of `[width]`.
pub(super) fn modulate(x: &Tensor, shift: &Tensor, scale: &Tensor, eps: f64) -> Tensor {
    let normed = x.layer_norm::<&Tensor>([x.size()[2]], None, None, eps, true);
    normed * (scale + 1.0) + shift // [b, tokens, width]
}

//! Times, a guidance and a pooled prompt to the vectors that modulate every block, one a time.

use tch::{Kind, Tensor};

use super::config::FluxConfig;
use crate::Result;
use crate::models::common::layers::{Activation, TimestepEmbedding};
use crate::models::common::math::timestep_embedding;
use crate::models::common::weights::Weights;

/// Sines and cosines of a time. diffusers, `CombinedTimestepTextProjEmbeddings`.
const WAVES: i64 = 256;

/// diffusers' `CombinedTimestepTextProjEmbeddings`, with the guidance's where there is one.
#[derive(Debug)]
pub(super) struct TimeTextEmbedding {
    timestep: TimestepEmbedding,
    guidance: Option<TimestepEmbedding>,
    text: TimestepEmbedding,
    device: tch::Device,
    kind: Kind,
}

impl TimeTextEmbedding {
    pub(super) fn new(weights: &Weights, config: &FluxConfig) -> Result<Self> {
        let embed = |name: &str, inputs| {
            TimestepEmbedding::new(&weights.sub(name), inputs, config.width(), Activation::Silu)
        };
        let guidance = config.guidance_embeds.then(|| embed("guidance_embedder", WAVES));
        Ok(Self {
            timestep: embed("timestep_embedder", WAVES)?,
            guidance: guidance.transpose()?,
            text: embed("text_embedder", config.pooled_projection_dim)?,
            device: weights.device(),
            kind: weights.kind(),
        })
    }

    /// The part of a pooled prompt, `[b, pooled_projection_dim]`: `[b, width]`.
    pub(super) fn text(&self, pooled: &Tensor) -> Tensor {
        self.text.forward(pooled)
    }

    /// With `timesteps` in [0, 1000], and the part of the `text`: `[steps, b, width]`, activated, for
    /// every block activates it alike.
    pub(super) fn forward(&self, timesteps: &[f64], guidance: f64, text: &Tensor) -> Tensor {
        // 1. the times, which pass through [0, 1] in the network's own type
        let times = self.waves(self.numbers(timesteps) / 1000.0);
        let mut sum = self.timestep.forward(&times); // [steps, width]

        // 2. the guidance
        if let Some(embedder) = &self.guidance {
            sum += embedder.forward(&self.waves(self.numbers(&[guidance]))); // [steps, width]
        }

        // 3. the text
        (sum.unsqueeze(1) + text).silu() // [steps, b, width]
    }

    fn numbers(&self, values: &[f64]) -> Tensor {
        let values: Vec<_> = values.iter().map(|&value| value as f32).collect();
        Tensor::from_slice(&values).to_device(self.device).to_kind(self.kind) // [n]
    }

    /// `[n, WAVES]` of numbers in thousandths.
    fn waves(&self, numbers: Tensor) -> Tensor {
        timestep_embedding(&(numbers * 1000.0), WAVES, true, 0.0).to_kind(self.kind) // [n, WAVES]
    }
}

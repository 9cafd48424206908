//! A time, a guidance and a pooled prompt to the vector that modulates every block.

use tch::{Kind, Tensor};

use super::config::FluxConfig;
use crate::Result;
use crate::models::layers::{Activation, TimestepEmbedding};
use crate::models::math::timestep_embedding;
use crate::models::weights::Weights;

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
        Ok(Self {
            timestep: embed("timestep_embedder", WAVES)?,
            guidance: match config.guidance_embeds {
                true => Some(embed("guidance_embedder", WAVES)?),
                false => None,
            },
            text: embed("text_embedder", config.pooled_projection_dim)?,
            device: weights.device(),
            kind: weights.kind(),
        })
    }

    /// The part of a pooled prompt, `[b, pooled_projection_dim]`: `[b, width]`.
    pub(super) fn text(&self, pooled: &Tensor) -> Tensor {
        self.text.forward(pooled)
    }

    /// With `timestep` in [0, 1000], and the part of the `text`: `[b, width]`, activated, for every
    /// block activates it alike.
    pub(super) fn forward(&self, timestep: f64, guidance: f64, text: &Tensor) -> Tensor {
        // 1. the time, which passes through [0, 1] in the network's own type
        let time = self.waves(self.number(timestep) / 1000.0);
        let mut sum = self.timestep.forward(&time); // [1, width]

        // 2. the guidance
        if let Some(embedder) = &self.guidance {
            sum += embedder.forward(&self.waves(self.number(guidance))); // [1, width]
        }

        // 3. the text
        (sum + text).silu() // [b, width]
    }

    fn number(&self, value: f64) -> Tensor {
        Tensor::from_slice(&[value as f32]).to_device(self.device).to_kind(self.kind) // [1]
    }

    /// `[1, WAVES]` of a number in thousandths.
    fn waves(&self, number: Tensor) -> Tensor {
        timestep_embedding(&(number * 1000.0), WAVES, true, 0.0).to_kind(self.kind) // [1, WAVES]
    }
}

//! CLIP: texts and pictures to states, and to vectors of one space.

mod config;
mod text;
mod vision;

use tch::Tensor;

use super::common::weights::Weights;
use crate::Result;

pub(crate) use config::{ClipConfig, TextConfig, VisionConfig};
pub(crate) use text::TextModel;
pub(crate) use vision::VisionModel;

/// Both towers of a `CLIPModel`, projected to one space.
#[derive(Debug)]
pub(crate) struct ClipModel {
    pub(crate) text: TextModel,
    pub(crate) vision: VisionModel,
}

impl ClipModel {
    pub(crate) fn new(weights: &Weights, config: &ClipConfig) -> Result<Self> {
        let ClipConfig { text, projection_dim, .. } = config;
        let [text_tower, text_projection] =
            ["text_model", "text_projection"].map(|name| weights.sub(name));
        let dim = Some(*projection_dim);
        // Cosine similarity needs no scale; a checkpoint without it is no CLIP.
        drop(weights.get("logit_scale", &[])?);
        Ok(Self {
            text: TextModel::with_projection(&text_tower, text, &text_projection, dim)?,
            vision: VisionModel::of_model(weights, config)?,
        })
    }

    /// Vectors of prompts, given as rows of token numbers: `[b, projection_dim]`, of any length.
    pub(crate) fn text_features(&self, ids: &[Vec<i64>]) -> Result<Tensor> {
        let output = self.text.forward(ids)?;
        Ok(output.projected.unwrap_or(output.pooled))
    }

    /// Vectors of `[b, 3, image_size, image_size]` pixels: `[b, projection_dim]`, of any length.
    pub(crate) fn image_features(&self, pixels: &Tensor) -> Result<Tensor> {
        self.vision.features(pixels)
    }
}

#[cfg(test)]
mod tests;

//! SigLIP: texts and pictures to vectors of one space, where likeness has a probability.

mod config;
mod text;
mod vision;

use std::path::Path;

use tch::Kind;

use super::common::weights::Weights;
use crate::Result;

pub(crate) use config::{SiglipConfig, name, read_vision};
pub(crate) use text::TextModel;
pub(crate) use vision::VisionModel;

/// Both towers of a `SiglipModel`.
#[derive(Debug)]
pub(crate) struct SiglipModel {
    pub(crate) text: TextModel,
    pub(crate) vision: VisionModel,
}

/// How a cosine similarity becomes a probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Logits {
    /// What it is multiplied with.
    pub(crate) scale: f32,
    /// What is added then.
    pub(crate) bias: f32,
}

impl SiglipModel {
    pub(crate) fn new(weights: &Weights, config: &SiglipConfig) -> Result<Self> {
        Logits::new(weights)?;
        Ok(Self {
            text: TextModel::new(&weights.sub("text_model"), config.text, config.dim())?,
            vision: VisionModel::new(&weights.sub("vision_model"), config.vision)?,
        })
    }
}

impl Logits {
    /// Those of the model in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::new(&Weights::open(folder, tch::Device::Cpu, Kind::Float)?)
    }

    fn new(weights: &Weights) -> Result<Self> {
        let number =
            |name| Ok(weights.get_kind(name, &[1], Kind::Float)?.double_value(&[0]) as f32);
        Ok(Self { scale: number("logit_scale")?.exp(), bias: number("logit_bias")? })
    }

    /// The probability that a text and an image belong together, by the cosine `similarity` of their
    /// vectors.
    pub(crate) fn probability(self, similarity: f32) -> f32 {
        1.0 / (1.0 + (-(similarity * self.scale + self.bias)).exp())
    }
}

#[cfg(test)]
mod tests;

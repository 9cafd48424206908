//! DINO and DINOv2: pixels to a vector of what a picture shows and how it looks, without texts.

mod config;
mod embeddings;
mod layer;

use tch::Tensor;

use super::common::layers::LayerNorm;
use super::common::weights::Weights;
use crate::Result;
use embeddings::Embeddings;
use layer::Layer;

pub(crate) use config::{DinoConfig, Variant};

/// A `ViTModel`, `Dinov2Model` or `Dinov2WithRegistersModel`, without a pooler.
#[derive(Debug)]
pub(crate) struct DinoModel {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

impl DinoModel {
    /// The model that is the whole of `weights`, or the part of a classifier that its class's prefix
    /// names.
    pub(crate) fn new(weights: &Weights, config: &DinoConfig) -> Result<Self> {
        let part = weights.sub(config.variant.prefix());
        let is_part = part.contains("embeddings.cls_token");
        let weights = if is_part { &part } else { weights };
        // Newer releases of transformers have another name for a ViT's layers.
        let old = weights.sub("encoder").sub("layer");
        let new = weights.sub("layers");
        let is_new = new.contains("0.layernorm_before.weight");
        let layers = if is_new { new } else { old };
        let layers = (0..config.layers).map(|i| Layer::new(&layers.sub(i), config));
        Ok(Self {
            embeddings: Embeddings::new(&weights.sub("embeddings"), config)?,
            layers: layers.collect::<Result<_>>()?,
            norm: LayerNorm::new(&weights.sub("layernorm"), config.width, config.eps)?,
        })
    }

    /// The normalised last state of the class token of `pixels`, `[b, 3, height, width]`: `[b, width]`.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let x = self.embeddings.forward(pixels)?; // [b, tokens, width]
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(&x)); // [b, tokens, width]
        Ok(self.norm.forward(&x.select(1, 0))) // [b, width]
    }
}

#[cfg(test)]
mod tests;

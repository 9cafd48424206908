//! Token numbers to SigLIP's text vectors: `SiglipTextModel`.

use tch::Tensor;

use crate::Result;
use crate::models::common::encoder::Encoder;
use crate::models::common::layers::{LayerNorm, Linear};
use crate::models::common::towers::{TextEmbeddings, TextSizes};
use crate::models::common::weights::Weights;

/// A text tower.
#[derive(Debug)]
pub(crate) struct TextModel {
    pub(super) embeddings: TextEmbeddings,
    pub(super) encoder: Encoder,
    final_norm: LayerNorm,
    head: Linear,
}

impl TextModel {
    /// The tower at `weights`, whose vectors have `dim` values.
    pub(super) fn new(weights: &Weights, sizes: TextSizes, dim: i64) -> Result<Self> {
        let encoder = sizes.encoder;
        let final_norm = weights.sub("final_layer_norm");
        Ok(Self {
            embeddings: TextEmbeddings::new(&weights.sub("embeddings"), sizes)?,
            encoder: Encoder::new(&weights.sub("encoder"), encoder)?,
            final_norm: LayerNorm::new(&final_norm, encoder.width, encoder.eps)?,
            head: Linear::new(&weights.sub("head"), encoder.width, dim)?,
        })
    }

    /// The vectors of texts, given as rows of token numbers, all of one length: `[b, dim]`.
    pub(crate) fn forward(&self, ids: &[Vec<i64>]) -> Result<Tensor> {
        // 1. The transformer; every token sees every other, padding too.
        let (_, last) = self.encoder.forward(&self.embeddings.forward(ids)?);
        let last = self.final_norm.forward(&last); // [b, tokens, width]
        // 2. What the last token has become, projected.
        Ok(self.head.forward(&last.select(1, -1))) // [b, dim]
    }
}

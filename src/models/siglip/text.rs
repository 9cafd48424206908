//! Token numbers to SigLIP's text vectors: `SiglipTextModel`.

use tch::Tensor;

use super::config::TextConfig;
use crate::models::common::encoder::Encoder;
use crate::models::common::layers::{Embedding, LayerNorm, Linear};
use crate::models::common::weights::Weights;
use crate::{Error, Result};

/// A text tower.
#[derive(Debug)]
pub(crate) struct TextModel {
    tokens: Embedding,
    positions: Tensor,
    pub(super) encoder: Encoder,
    final_norm: LayerNorm,
    head: Linear,
    vocab_size: i64,
}

impl TextModel {
    /// The tower at `weights`, whose vectors have `dim` values.
    pub(super) fn new(weights: &Weights, config: &TextConfig, dim: i64) -> Result<Self> {
        let encoder = config.sizes.encoder();
        let embeddings = weights.sub("embeddings");
        let tokens = embeddings.sub("token_embedding");
        let positions = embeddings.sub("position_embedding");
        let final_norm = weights.sub("final_layer_norm");
        Ok(Self {
            tokens: Embedding::new(&tokens, config.vocab_size, encoder.width)?,
            positions: positions.get("weight", &[config.max_position_embeddings, encoder.width])?,
            encoder: Encoder::new(&weights.sub("encoder"), encoder)?,
            final_norm: LayerNorm::new(&final_norm, encoder.width, encoder.eps)?,
            head: Linear::new(&weights.sub("head"), encoder.width, dim)?,
            vocab_size: config.vocab_size,
        })
    }

    /// The vectors of texts, given as rows of token numbers, all of one length: `[b, dim]`.
    pub(crate) fn forward(&self, ids: &[Vec<i64>]) -> Result<Tensor> {
        // 1. The transformer; every token sees every other, padding too.
        let (_, last) = self.encoder.forward(&self.embed(ids)?);
        let last = self.final_norm.forward(&last); // [b, tokens, width]
        // 2. What the last token has become, projected.
        Ok(self.head.forward(&last.select(1, -1))) // [b, dim]
    }

    /// Tokens and their places: `[b, tokens, width]`.
    pub(super) fn embed(&self, ids: &[Vec<i64>]) -> Result<Tensor> {
        let tokens = self.check(ids)?;
        let rows = Tensor::from_slice(&ids.concat()).view([ids.len() as i64, tokens]); // [b, tokens]
        let rows = rows.to_device(self.positions.device());
        Ok(self.tokens.forward(&rows) + self.positions.narrow(0, 0, tokens)) // [b, tokens, width]
    }

    /// The number of tokens in each row.
    fn check(&self, ids: &[Vec<i64>]) -> Result<i64> {
        let tokens = ids.first().map_or(0, Vec::len) as i64;
        let invalid = |what: &str, expected: String, found: i64| {
            Err(Error::invalid_input(what, expected, found))
        };
        let most = self.positions.size()[0];
        if !(1..=most).contains(&tokens) {
            return invalid("tokens of a text", format!("1 to {most}"), tokens);
        }
        for row in ids {
            if row.len() as i64 != tokens {
                let found = row.len() as i64;
                return invalid("tokens of a text in a batch", tokens.to_string(), found);
            }
            if let Some(&id) = row.iter().find(|id| !(0..self.vocab_size).contains(*id)) {
                let expected = format!("0 to {}, the text tower's vocabulary", self.vocab_size - 1);
                return invalid("token number", expected, id);
            }
        }
        Ok(tokens)
    }
}

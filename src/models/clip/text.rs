//! Token numbers to CLIP's text states: `CLIPTextModel`, with a projection or without.

use tch::Tensor;

use super::config::TextConfig;
use crate::Result;
use crate::models::common::encoder::Encoder;
use crate::models::common::layers::{LayerNorm, Linear};
use crate::models::common::towers::TextEmbeddings;
use crate::models::common::weights::Weights;

/// A text tower.
#[derive(Debug)]
pub(crate) struct TextModel {
    embeddings: TextEmbeddings,
    encoder: Encoder,
    final_norm: LayerNorm,
    projection: Option<Linear>,
    config: TextConfig,
}

/// What the tower makes of a batch of prompts.
#[derive(Debug)]
pub(crate) struct TextOutput {
    /// What goes into the last layer, not normalised: `[b, tokens, width]`.
    pub(crate) penultimate: Tensor,
    /// The last layer's states after the final norm: `[b, tokens, width]`.
    #[cfg_attr(not(test), expect(dead_code, reason = "SDXL reads the penultimate states"))]
    pub(crate) last: Tensor,
    /// The last state of the token that ends the prompt: `[b, width]`.
    pub(crate) pooled: Tensor,
    /// `pooled`, projected, where the checkpoint has a projection: `[b, projection]`.
    pub(crate) projected: Option<Tensor>,
}

impl TextModel {
    /// The text encoder that is the whole of `weights`; its names may begin with `text_model.`.
    pub(crate) fn new(weights: &Weights, config: &TextConfig) -> Result<Self> {
        let projecting = weights.sub("text_projection");
        let projects = projecting.contains("weight");
        let projection = config.projection().or(config.projection_dim.filter(|_| projects));
        let plain = weights.contains("embeddings.token_embedding.weight");
        let tower = if plain { weights.clone() } else { weights.sub("text_model") };
        Self::with_projection(&tower, config, &projecting, projection)
    }

    /// The tower at `weights`, with a `projection` to that width.
    pub(super) fn with_projection(
        weights: &Weights,
        config: &TextConfig,
        projecting: &Weights,
        projection: Option<i64>,
    ) -> Result<Self> {
        let encoder = config.sizes.encoder;
        let final_norm = weights.sub("final_layer_norm");
        let project = |outputs| Linear::no_bias(projecting, encoder.width, outputs);
        Ok(Self {
            embeddings: TextEmbeddings::new(&weights.sub("embeddings"), config.sizes)?,
            encoder: Encoder::new(&weights.sub("encoder"), encoder)?,
            final_norm: LayerNorm::new(&final_norm, encoder.width, encoder.eps)?,
            projection: projection.map(project).transpose()?,
            config: config.clone(),
        })
    }

    /// Width of the states.
    pub(crate) const fn width(&self) -> i64 {
        self.config.sizes.encoder.width
    }

    /// The states of prompts, given as rows of token numbers, all of one length.
    pub(crate) fn forward(&self, ids: &[Vec<i64>]) -> Result<TextOutput> {
        // 1. Tokens and their places.
        let x = self.embeddings.forward(ids)?; // [b, tokens, width]
        let (b, tokens) = (x.size()[0], x.size()[1]);
        // 2. The transformer.
        let (penultimate, last) = self.encoder.forward(&x);
        let last = self.final_norm.forward(&last); // [b, tokens, width]
        // 3. The state of the token that ends each prompt.
        let ends = ids.iter().zip(0..).map(|(ids, row)| row * tokens + self.end(ids));
        let ends = Tensor::from_slice(&ends.collect::<Vec<_>>()).to_device(last.device()); // [b]
        let pooled = last.view([b * tokens, self.width()]).index_select(0, &ends); // [b, width]
        let projected = self.projection.as_ref().map(|linear| linear.forward(&pooled));
        Ok(TextOutput { penultimate, last, pooled, projected })
    }

    /// Where a prompt ends. Files from before transformers 4.31 say 2 for the end token whatever it
    /// is; for them it is the largest number.
    fn end(&self, ids: &[i64]) -> i64 {
        let end = match self.config.sizes.eos_token_id {
            2 => ids.iter().copied().max().unwrap_or(0),
            end => end,
        };
        ids.iter().position(|&id| id == end).unwrap_or(0) as i64
    }
}

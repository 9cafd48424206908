//! Token numbers to CLIP's text states: `CLIPTextModel`, with a projection or without.

use tch::Tensor;

use super::config::TextConfig;
use crate::models::common::encoder::{Encoder, EncoderConfig};
use crate::models::common::layers::{Embedding, LayerNorm, Linear};
use crate::models::common::weights::Weights;
use crate::{Error, Result};

/// A text tower.
#[derive(Debug)]
pub(crate) struct TextModel {
    tokens: Embedding,
    positions: Tensor,
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
        let projects = weights.contains("text_projection.weight");
        let projection = config.projection().or(config.projection_dim.filter(|_| projects));
        let plain = weights.contains("embeddings.token_embedding.weight");
        let tower = if plain { weights.clone() } else { weights.sub("text_model") };
        Self::with_projection(&tower, config, &weights.sub("text_projection"), projection)
    }

    /// The tower at `weights`, with a `projection` to that width.
    pub(super) fn with_projection(
        weights: &Weights,
        config: &TextConfig,
        projecting: &Weights,
        projection: Option<i64>,
    ) -> Result<Self> {
        let width = config.hidden_size;
        let embeddings = weights.sub("embeddings");
        Ok(Self {
            tokens: Embedding::new(&embeddings.sub("token_embedding"), config.vocab_size, width)?,
            positions: embeddings
                .sub("position_embedding")
                .get("weight", &[config.max_position_embeddings, width])?,
            encoder: Encoder::new(
                &weights.sub("encoder"),
                EncoderConfig {
                    width,
                    mlp: config.intermediate_size,
                    layers: config.num_hidden_layers,
                    heads: config.num_attention_heads,
                    eps: config.layer_norm_eps,
                    activation: config.hidden_act,
                    causal: true,
                },
            )?,
            final_norm: LayerNorm::new(
                &weights.sub("final_layer_norm"),
                width,
                config.layer_norm_eps,
            )?,
            projection: projection
                .map(|outputs| Linear::no_bias(projecting, width, outputs))
                .transpose()?,
            config: config.clone(),
        })
    }

    /// Width of the states.
    pub(crate) const fn width(&self) -> i64 {
        self.config.hidden_size
    }

    /// The most tokens a prompt may have, begin and end included.
    pub(crate) const fn max_tokens(&self) -> i64 {
        self.config.max_position_embeddings
    }

    /// Number of tokens known; a tokenizer's numbers are below it.
    pub(crate) const fn vocab_size(&self) -> i64 {
        self.config.vocab_size
    }

    /// The states of prompts, given as rows of token numbers, all of one length.
    pub(crate) fn forward(&self, ids: &[Vec<i64>]) -> Result<TextOutput> {
        let tokens = self.check(ids)?;
        let device = self.positions.device();
        let (b, flat) = (ids.len() as i64, ids.concat());
        // 1. Tokens and their places.
        let rows = Tensor::from_slice(&flat).view([b, tokens]).to_device(device); // [b, tokens]
        let x = self.tokens.forward(&rows) + self.positions.narrow(0, 0, tokens); // [b, tokens, width]
        // 2. The transformer.
        let (penultimate, last) = self.encoder.forward(&x);
        let last = self.final_norm.forward(&last); // [b, tokens, width]
        // 3. The state of the token that ends each prompt.
        let ends: Vec<i64> =
            ids.iter().zip(0..).map(|(ids, row)| row * tokens + self.end(ids)).collect();
        let pooled = last
            .view([b * tokens, self.width()])
            .index_select(0, &Tensor::from_slice(&ends).to_device(device)); // [b, width]
        let projected = self.projection.as_ref().map(|linear| linear.forward(&pooled));
        Ok(TextOutput { penultimate, last, pooled, projected })
    }

    /// Where a prompt ends. Files from before transformers 4.31 say 2 for the end token whatever it
    /// is; for them it is the largest number.
    fn end(&self, ids: &[i64]) -> i64 {
        let end = match self.config.eos_token_id {
            2 => ids.iter().copied().max().unwrap_or(0),
            end => end,
        };
        ids.iter().position(|&id| id == end).unwrap_or(0) as i64
    }

    /// The number of tokens in each row.
    fn check(&self, ids: &[Vec<i64>]) -> Result<i64> {
        let tokens = ids.first().map_or(0, Vec::len) as i64;
        let invalid = |what: &str, expected: String, found: i64| {
            Err(Error::invalid_input(what, expected, found))
        };
        if !(1..=self.max_tokens()).contains(&tokens) {
            return invalid("tokens of a prompt", format!("1 to {}", self.max_tokens()), tokens);
        }
        for row in ids {
            if row.len() as i64 != tokens {
                return invalid(
                    "tokens of a prompt in a batch",
                    tokens.to_string(),
                    row.len() as i64,
                );
            }
            if let Some(&id) = row.iter().find(|id| !(0..self.vocab_size()).contains(*id)) {
                let expected =
                    format!("0 to {}, the text encoder's vocabulary", self.vocab_size() - 1);
                return invalid("token number", expected, id);
            }
        }
        Ok(tokens)
    }
}

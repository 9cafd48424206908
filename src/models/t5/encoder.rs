//! Token numbers to T5's text states: `T5EncoderModel` without a mask, as FLUX runs it.

use tch::{Kind, Tensor};

use super::config::T5Config;
use crate::Result;
use crate::models::common::inventory::Inventory;
use crate::models::common::layers::{Activation, Embedding, Linear, RmsNorm};
use crate::models::common::math::{join_heads, split_heads};
use crate::models::common::towers::token_rows;
use crate::models::common::weights::Weights;

/// A text encoder.
#[derive(Debug)]
pub(crate) struct T5Encoder {
    pub(super) tokens: Embedding,
    pub(super) blocks: Vec<Block>,
    final_norm: RmsNorm,
    /// A bias a set of distances and head: `[buckets, heads]`.
    biases: Embedding,
    config: T5Config,
}

#[derive(Debug)]
pub(super) struct Block {
    norm1: RmsNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    norm2: RmsNorm,
    wi: Linear,
    /// Weighs what the activation lets through.
    gate: Option<Linear>,
    wo: Linear,
    heads: i64,
    activation: Activation,
}

impl T5Encoder {
    /// The text encoder that is the whole of `weights`.
    pub(crate) fn new(weights: &Weights, config: &T5Config) -> Result<Self> {
        let width = config.d_model;
        let encoder = weights.sub("encoder");
        // One table goes by two names; files hold it by either, or by both.
        let shared = weights.sub("shared");
        let own = encoder.sub("embed_tokens");
        let named_own = own.contains("weight") && !shared.contains("weight");
        let table = if named_own { own } else { shared };
        let blocks = encoder.sub("block");
        let biases = blocks.sub("0.layer.0.SelfAttention.relative_attention_bias");
        let final_norm = encoder.sub("final_layer_norm");
        let blocks = (0..config.num_layers).map(|i| Block::new(&blocks.sub(i), config));
        Ok(Self {
            tokens: Embedding::new(&table, config.vocab_size, width)?,
            blocks: blocks.collect::<Result<_>>()?,
            final_norm: norm(&final_norm, config)?,
            biases: Embedding::new(&biases, config.num_buckets, config.num_heads)?,
            config: config.clone(),
        })
    }

    /// What a checkpoint of transformers holds for `config`, the table of tokens by both its names.
    pub(crate) fn inventory(config: &T5Config) -> Result<Inventory> {
        let weights = Weights::recording();
        Self::new(&weights, config)?;
        let table = [config.vocab_size, config.d_model];
        drop(weights.sub("encoder.embed_tokens").get("weight", &table)?);
        Ok(weights.recorded())
    }

    /// Number of tokens known; a tokenizer's numbers are below it.
    pub(crate) const fn vocab_size(&self) -> i64 {
        self.config.vocab_size
    }

    /// The states of prompts, given as rows of token numbers, all of one length: `[b, tokens, width]`.
    /// Padding is read like any token.
    pub(crate) fn forward(&self, ids: &[Vec<i64>]) -> Result<Tensor> {
        let rows = token_rows(ids, i64::MAX, self.vocab_size())?; // [b, tokens]
        // 1. Tokens, and what the distance between two of them weighs.
        let x = self.tokens.forward(&rows.to_device(self.tokens.w.device())); // [b, tokens, width]
        let bias = self.bias(rows.size()[1]);
        // 2. The transformer.
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x, &bias));
        Ok(self.final_norm.forward(&x)) // [b, tokens, width]
    }

    /// What is added to the score of a query and a key, by head and distance:
    /// `[1, heads, tokens, tokens]`.
    pub(super) fn bias(&self, tokens: i64) -> Tensor {
        let T5Config { num_buckets, max_distance, .. } = self.config;
        let sets = buckets(tokens, num_buckets, max_distance);
        let bias = self.biases.forward(&sets.to_device(self.biases.w.device())); // [q, k, heads]
        bias.permute([2, 0, 1]).unsqueeze(0).contiguous() // [1, heads, q, k]
    }
}

/// The set that the distance of each two of `tokens` belongs to, `[query, key]`: half of `count` for
/// keys behind the query, half for those ahead; near distances are alone in theirs, and those from
/// `farthest` on share one. `T5Attention._relative_position_bucket` in transformers.
pub(super) fn buckets(tokens: i64, count: i64, farthest: i64) -> Tensor {
    let (half, exact) = (count / 2, count / 4);
    let places = Tensor::arange(tokens, (Kind::Int64, tch::Device::Cpu));
    // 1. distances and directions
    let ahead = places.unsqueeze(0) - places.unsqueeze(1); // [query, key]
    let distance = ahead.abs();
    // 2. sets that widen with the logarithm of the distance
    let ratio = distance.to_kind(Kind::Float) / exact as f64;
    let range = (farthest as f64 / exact as f64).ln();
    let wide: Tensor = ratio.log() / range * (half - exact) as f64;
    // The distance 0 has no logarithm, and a set of its own.
    let wide = (wide.clamp_min(0.0).to_kind(Kind::Int64) + exact).clamp_max(half - 1);
    // 3. each distance's set
    let set = distance.where_self(&distance.lt(exact), &wide);
    set + ahead.gt(0).to_kind(Kind::Int64) * half // [query, key]
}

impl Block {
    fn new(weights: &Weights, config: &T5Config) -> Result<Self> {
        let &T5Config { d_model: width, d_ff, num_heads: heads, feed_forward_proj, .. } = config;
        let inner = heads * config.d_kv;
        let (attention, dense) = (weights.sub("layer.0"), weights.sub("layer.1"));
        let projections = attention.sub("SelfAttention");
        let layers = dense.sub("DenseReluDense");
        let project = |name, from, to| Linear::no_bias(&projections.sub(name), from, to);
        let gated = feed_forward_proj.gated;
        let wi = layers.sub(if gated { "wi_0" } else { "wi" });
        let gate = gated.then(|| Linear::no_bias(&layers.sub("wi_1"), width, d_ff));
        // Its sums leave the range of f16: `T5PreTrainedModel._keep_in_fp32_modules`.
        let wide = if weights.kind() == Kind::Half { Kind::Float } else { weights.kind() };
        Ok(Self {
            norm1: norm(&attention.sub("layer_norm"), config)?,
            q: project("q", width, inner)?,
            k: project("k", width, inner)?,
            v: project("v", width, inner)?,
            o: project("o", inner, width)?,
            norm2: norm(&dense.sub("layer_norm"), config)?,
            wi: Linear::no_bias(&wi, width, d_ff)?,
            gate: gate.transpose()?,
            wo: Linear::no_bias(&layers.sub("wo").with_kind(wide), d_ff, width)?,
            heads,
            activation: feed_forward_proj.activation,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, bias: &Tensor) -> Tensor {
        // 1. Attention over the normalised tokens, added.
        let x = within_range(x + self.attention(&self.norm1.forward(x), bias)); // [b, tokens, width]
        // 2. Dense layers over the normalised tokens, added.
        let h = self.norm2.forward(&x);
        let active = self.activation.forward(&self.wi.forward(&h)); // [b, tokens, d_ff]
        let h = match &self.gate {
            Some(gate) => active * gate.forward(&h),
            None => active,
        };
        let h = self.wo.forward(&h.to_kind(self.wo.w.kind())); // [b, tokens, width]
        within_range(x + h)
    }

    fn attention(&self, x: &Tensor, bias: &Tensor) -> Tensor {
        let split = |linear: &Linear| split_heads(&linear.forward(x), self.heads);
        let (q, k, v) = (split(&self.q), split(&self.k), split(&self.v)); // [b, heads, tokens, d_kv]
        // Scores are not divided by the root of the heads' width: the weights are trained so.
        let (mask, scale) = (Some(bias), Some(1.0));
        let h = Tensor::scaled_dot_product_attention(&q, &k, &v, mask, 0.0, false, scale, false); // [b, heads, tokens, d_kv]
        self.o.forward(&join_heads(&h)) // [b, tokens, width]
    }
}

/// The norm at `weights`.
fn norm(weights: &Weights, config: &T5Config) -> Result<RmsNorm> {
    RmsNorm::new(weights, config.d_model, config.layer_norm_epsilon)
}

/// In f16, infinite values become large ones: `T5Block.forward` in transformers.
fn within_range(x: Tensor) -> Tensor {
    if x.kind() != Kind::Half {
        return x;
    }
    // The largest number of f16, and 1000 less where there is an infinite one.
    let infinite = x.isinf().any().to_kind(Kind::Float);
    let largest: Tensor = (infinite * -1000.0 + 65_504.0).to_kind(Kind::Half);
    x.clamp_tensor(Some(-&largest), Some(largest))
}

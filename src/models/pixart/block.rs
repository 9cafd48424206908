//! Tokens to tokens: attention among them, attention to the caption, and a feed-forward layer.

use tch::Tensor;

use super::adaln::modulate;
use super::config::{FeedForwardKind, PixArtConfig};
use crate::Result;
use crate::models::common::layers::Linear;
use crate::models::common::math::{attention, join_heads, split_heads};
use crate::models::common::weights::Weights;

/// `FeedForward`'s own, in no config.
const FEED_FORWARD_WIDTH: i64 = 4;

/// diffusers' `BasicTransformerBlock` with `ada_norm_single`.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) attn1: Attention,
    pub(super) attn2: Attention,
    pub(super) ff: FeedForward,
    /// `[6, width]`.
    scale_shift_table: Tensor,
    eps: f64,
}

/// diffusers' `Attention`.
#[derive(Debug)]
pub(super) struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    heads: i64,
}

/// Keys and values, `[b, heads, tokens, head_dim]` each.
#[derive(Debug)]
pub(super) struct KeyValue {
    k: Tensor,
    v: Tensor,
}

/// diffusers' `FeedForward`.
#[derive(Debug)]
pub(super) struct FeedForward {
    proj: Linear,
    out: Linear,
    kind: FeedForwardKind,
}

impl Block {
    pub(super) fn new(weights: &Weights, config: &PixArtConfig) -> Result<Self> {
        let width = config.width();
        let attention = |name: &str, read| Attention::new(&weights.sub(name), config, read);
        Ok(Self {
            attn1: attention("attn1", width)?,
            attn2: attention("attn2", config.cross_attention_dim)?,
            ff: FeedForward::new(&weights.sub("ff"), width, config.feed_forward)?,
            scale_shift_table: weights.get("scale_shift_table", &[6, width])?,
            eps: config.norm_eps,
        })
    }

    /// Tokens `x`, `[b, tokens, width]`, at a time that gives `modulations`, `[6, width]`. Each of the
    /// batch reads the caption of its own among `captions`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        modulations: &Tensor,
        captions: &[&KeyValue],
    ) -> Tensor {
        let vectors = (&self.scale_shift_table + modulations).unbind(0);
        let [shift, scale, gate, ff_shift, ff_scale, ff_gate] =
            [0, 1, 2, 3, 4, 5].map(|i| &vectors[i]);

        // 1. attention among the tokens
        let h = modulate(x, shift, scale, self.eps);
        let x = x + self.attn1.forward(&h, &[&self.attn1.read(&h)]) * gate;

        // 2. attention to the captions, of tokens that no norm has changed
        let x = &x + self.attn2.forward(&x, captions);

        // 3. the feed-forward layer
        let h = modulate(&x, ff_shift, ff_scale, self.eps);
        &x + self.ff.forward(&h) * ff_gate // [b, tokens, width]
    }
}

impl Attention {
    /// Of tokens to others, `read` wide.
    fn new(weights: &Weights, config: &PixArtConfig, read: i64) -> Result<Self> {
        let width = config.width();
        let project = |name: &str, inputs| match config.attention_bias {
            true => Linear::new(&weights.sub(name), inputs, width),
            false => Linear::no_bias(&weights.sub(name), inputs, width),
        };
        Ok(Self {
            q: project("to_q", width)?,
            k: project("to_k", read)?,
            v: project("to_v", read)?,
            out: Linear::new(&weights.sub("to_out.0"), width, width)?,
            heads: config.num_attention_heads,
        })
    }

    /// Keys and values of `x`, `[b, tokens, read]`.
    pub(super) fn read(&self, x: &Tensor) -> KeyValue {
        let split = |linear: &Linear| split_heads(&linear.forward(x), self.heads);
        KeyValue { k: split(&self.k), v: split(&self.v) }
    }

    /// What tokens `x`, `[b, tokens, width]`, read: all of them of one batch of keys and values, or
    /// each of the batch of its own, which may differ in their number.
    pub(super) fn forward(&self, x: &Tensor, read: &[&KeyValue]) -> Tensor {
        let q = split_heads(&self.q.forward(x), self.heads); // [b, heads, tokens, head_dim]
        let queries = q.chunk(read.len() as i64, 0);
        let found: Vec<_> = queries
            .iter()
            .zip(read)
            .map(|(q, read)| attention(q, &read.k, &read.v, None))
            .collect();
        self.out.forward(&join_heads(&Tensor::cat(&found, 0))) // [b, tokens, width]
    }
}

impl FeedForward {
    fn new(weights: &Weights, width: i64, kind: FeedForwardKind) -> Result<Self> {
        let inner = FEED_FORWARD_WIDTH * width;
        let halves = if kind.gated { 2 } else { 1 };
        Ok(Self {
            proj: Linear::new(&weights.sub("net.0.proj"), width, halves * inner)?,
            out: Linear::new(&weights.sub("net.2"), inner, width)?,
            kind,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let FeedForwardKind { activation, gated } = self.kind;
        let h = self.proj.forward(x);
        let h = if gated {
            let halves = h.chunk(2, -1);
            &halves[0] * activation.forward(&halves[1])
        } else {
            activation.forward(&h)
        };
        self.out.forward(&h) // [b, tokens, width]
    }
}

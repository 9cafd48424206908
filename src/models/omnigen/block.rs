//! Tokens to tokens through attention and a feed-forward layer: `OmniGenBlock`.

use tch::Tensor;

use super::config::OmniGenConfig;
use super::rope::Rope;
use crate::Result;
use crate::models::common::layers::{Linear, RmsNorm};
use crate::models::common::math::join_heads;
use crate::models::common::weights::Weights;

/// One layer of the network.
#[derive(Debug)]
pub(super) struct Block {
    norm1: RmsNorm,
    qkv: [Linear; 3],
    out: Linear,
    norm2: RmsNorm,
    /// The gate first.
    gate_up: Linear,
    down: Linear,
    heads: i64,
}

/// Queries, keys and values of tokens, `[b, heads, tokens, head_dim]`.
pub(super) struct Qkv {
    pub(super) q: Tensor,
    pub(super) k: Tensor,
    pub(super) v: Tensor,
}

impl Qkv {
    /// Queries and keys turned with the `rope`, and all of them with the heads first.
    pub(super) fn new([q, k, v]: [Tensor; 3], rope: &Rope) -> Self {
        let [q, k, v] = [rope.forward(&q), rope.forward(&k), v].map(|x| x.transpose(1, 2));
        Self { q, k, v } // [b, heads, tokens, head_dim]
    }
}

impl Block {
    pub(super) fn new(weights: &Weights, config: &OmniGenConfig) -> Result<Self> {
        let &OmniGenConfig { hidden_size: width, intermediate_size: inner, rms_norm_eps, .. } =
            config;
        let linear = |name: &str, from, to| Linear::no_bias(&weights.sub(name), from, to);
        let norm = |name: &str| RmsNorm::new(&weights.sub(name), width, rms_norm_eps);
        let qkv = match *config.names.qkv {
            [q, k, v] => {
                [linear(q, width, width)?, linear(k, width, width)?, linear(v, width, width)?]
            }
            ref joined => {
                let all = linear(joined.first().unwrap_or(&""), width, 3 * width)?.w;
                [0, 1, 2].map(|i| Linear { w: all.narrow(0, i * width, width), b: None })
            }
        };
        Ok(Self {
            norm1: norm("input_layernorm")?,
            qkv,
            out: linear(config.names.to_out, width, width)?,
            norm2: norm("post_attention_layernorm")?,
            gate_up: linear("mlp.gate_up_proj", width, 2 * inner)?,
            down: linear("mlp.down_proj", inner, width)?,
            heads: config.num_attention_heads,
        })
    }

    /// What tokens `x`, `[b, tokens, width]`, ask and offer at their places.
    pub(super) fn qkv(&self, x: &Tensor, rope: &Rope) -> Qkv {
        Qkv::new(self.project(x), rope)
    }

    /// The same before it is turned: queries, keys and values, `[b, tokens, heads, head_dim]`.
    pub(super) fn project(&self, x: &Tensor) -> [Tensor; 3] {
        let x = self.norm1.forward(x);
        self.qkv.each_ref().map(|linear| linear.forward(&x).unflatten(2, [self.heads, -1]))
    }

    /// Tokens `x` with what they `read`, `[b, heads, tokens, head_dim]`, and the feed-forward layer.
    pub(super) fn after(&self, x: &Tensor, read: &Tensor) -> Tensor {
        let mut x = self.out.forward(&join_heads(read)).g_add_(x); // [b, tokens, width]
        let active = {
            let parts = self.gate_up.forward(&self.norm2.forward(&x)).chunk(2, -1); // [b, tokens, inner]
            parts[0].silu().g_mul_(&parts[1])
        };
        x.g_add_(&self.down.forward(&active)) // [b, tokens, width]
    }
}

//! Tokens through one layer of DINO: attention, then two dense layers, each added to what came in.

use tch::Tensor;

use super::config::{DinoConfig, Variant};
use crate::Result;
use crate::models::common::layers::{Activation, LayerNorm, Linear};
use crate::models::common::math::{attention, join_heads, split_heads};
use crate::models::common::weights::Weights;

/// `ViTLayer` and `Dinov2Layer` in transformers.
#[derive(Debug)]
pub(super) struct Layer {
    norm1: LayerNorm,
    /// Query, key and value.
    qkv: [Linear; 3],
    out: Linear,
    /// What attention and dense layers are multiplied with, a channel: DINOv2's layer scale.
    scales: Option<[Tensor; 2]>,
    norm2: LayerNorm,
    mlp: Mlp,
    heads: i64,
}

/// The dense layers.
#[derive(Debug)]
enum Mlp {
    Plain {
        fc1: Linear,
        activation: Activation,
        fc2: Linear,
    },
    /// DINOv2's giant.
    SwiGlu {
        gate: Linear,
        up: Linear,
        down: Linear,
    },
}

impl Layer {
    /// The layer at `weights`, whose tensors have the names that transformers writes, or those that its
    /// networks have had since release 5.
    pub(super) fn new(weights: &Weights, config: &DinoConfig) -> Result<Self> {
        let DinoConfig { width, eps, heads, .. } = *config;
        let is_vit = config.variant == Variant::Vit;
        let [norm1, norm2] =
            if is_vit { ["layernorm_before", "layernorm_after"] } else { ["norm1", "norm2"] };
        let inner = config.head * heads;
        let qkv = ["query", "key", "value"].map(|name| {
            let new = weights.sub("attention").sub(format!("{}_proj", &name[..1]));
            let old = weights.sub("attention").sub("attention").sub(name);
            let linear = if config.qkv_bias { Linear::new } else { Linear::no_bias };
            linear(&either(new, old), width, inner)
        });
        let [q, k, v] = qkv;
        let attention = weights.sub("attention");
        let out = either(attention.sub("o_proj"), attention.sub("output").sub("dense"));
        let scale = |name| weights.sub(name).get("lambda1", &[width]);
        let scales = || Ok::<_, crate::Error>([scale("layer_scale1")?, scale("layer_scale2")?]);
        Ok(Self {
            norm1: LayerNorm::new(&weights.sub(norm1), width, eps)?,
            qkv: [q?, k?, v?],
            out: Linear::new(&out, inner, width)?,
            scales: (!is_vit).then(scales).transpose()?,
            norm2: LayerNorm::new(&weights.sub(norm2), width, eps)?,
            mlp: Mlp::new(weights, config)?,
            heads,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        // 1. Attention over the normalised tokens, scaled and added.
        let x = x + self.scaled(0, self.attention(&self.norm1.forward(x))); // [b, tokens, width]
        // 2. Dense layers over the normalised tokens, scaled and added.
        let h = self.scaled(1, self.mlp.forward(&self.norm2.forward(&x)));
        x + h // [b, tokens, width]
    }

    fn attention(&self, x: &Tensor) -> Tensor {
        let [q, k, v] =
            [0, 1, 2].map(|part: usize| split_heads(&self.qkv[part].forward(x), self.heads)); // [b, heads, tokens, head]
        self.out.forward(&join_heads(&attention(&q, &k, &v, None))) // [b, tokens, width]
    }

    fn scaled(&self, part: usize, x: Tensor) -> Tensor {
        match &self.scales {
            Some(scales) => x * &scales[part],
            None => x,
        }
    }
}

impl Mlp {
    fn new(layer: &Weights, config: &DinoConfig) -> Result<Self> {
        let (width, mlp, weights) = (config.width, config.mlp, layer.sub("mlp"));
        if !config.swiglu {
            let [fc1, fc2] = match config.variant {
                Variant::Vit => [
                    either(weights.sub("fc1"), layer.sub("intermediate").sub("dense")),
                    either(weights.sub("fc2"), layer.sub("output").sub("dense")),
                ],
                Variant::Dinov2 | Variant::WithRegisters => {
                    [weights.sub("fc1"), weights.sub("fc2")]
                }
            };
            return Ok(Self::Plain {
                fc1: Linear::new(&fc1, width, mlp)?,
                activation: config.activation,
                fc2: Linear::new(&fc2, mlp, width)?,
            });
        }
        let (gate, up) = (weights.sub("gate_proj"), weights.sub("up_proj"));
        let [gate, up] = if gate.contains("weight") {
            [Linear::new(&gate, width, mlp)?, Linear::new(&up, width, mlp)?]
        } else {
            // One below the other.
            let both = Linear::new(&weights.sub("weights_in"), width, 2 * mlp)?;
            [0, mlp].map(|from| Linear {
                w: both.w.narrow(0, from, mlp),
                b: both.b.as_ref().map(|b| b.narrow(0, from, mlp)),
            })
        };
        let down = either(weights.sub("down_proj"), weights.sub("weights_out"));
        Ok(Self::SwiGlu { gate, up, down: Linear::new(&down, mlp, width)? })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Plain { fc1, activation, fc2 } => {
                fc2.forward(&activation.forward_(fc1.forward(x)))
            }
            Self::SwiGlu { gate, up, down } => {
                down.forward(&(gate.forward(x).silu() * up.forward(x)))
            }
        }
    }
}

/// The dense layer at `new` if it is there, else at `old`, which is where released files have it.
fn either(new: Weights, old: Weights) -> Weights {
    if new.contains("weight") { new } else { old }
}

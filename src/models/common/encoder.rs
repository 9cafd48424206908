//! A sequence of vectors through the pre-norm transformer of CLIP's and SigLIP's towers.

use tch::Tensor;

use crate::Result;
use crate::models::common::fields::{Fields, MAX_LAYERS, MAX_WIDTH};
use crate::models::common::layers::{Activation, LayerNorm, Linear};
use crate::models::common::math::{join_heads, split_heads};
use crate::models::common::weights::Weights;

/// Sizes of a tower.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncoderConfig {
    pub(crate) width: i64,
    pub(crate) mlp: i64,
    pub(crate) layers: i64,
    pub(crate) heads: i64,
    pub(crate) eps: f64,
    pub(crate) activation: Activation,
    /// Each token sees those before it only.
    pub(crate) causal: bool,
}

impl EncoderConfig {
    /// The sizes in a tower's `fields`; what is missing there is that of `default`.
    pub(crate) fn read_or(fields: &Fields, default: Self) -> Result<Self> {
        let width = fields.count("hidden_size", default.width, MAX_WIDTH)?;
        let heads = fields.count("num_attention_heads", default.heads, MAX_WIDTH)?;
        let expected = format!("a multiple of {heads}, the num_attention_heads");
        fields.require("hidden_size", width % heads == 0, expected, width)?;
        Ok(Self {
            width,
            mlp: fields.count("intermediate_size", default.mlp, MAX_WIDTH)?,
            layers: fields.count("num_hidden_layers", default.layers, MAX_LAYERS)?,
            heads,
            eps: fields.eps("layer_norm_eps", default.eps)?,
            activation: Activation::read(fields, "hidden_act", default.activation)?,
            causal: default.causal,
        })
    }
}

/// All layers of a tower.
#[derive(Debug)]
pub(crate) struct Encoder {
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: i64,
    activation: Activation,
    causal: bool,
}

impl Encoder {
    pub(crate) fn new(weights: &Weights, config: EncoderConfig) -> Result<Self> {
        let weights = weights.sub("layers");
        let layers = (0..config.layers).map(|i| Layer::new(&weights.sub(i), config));
        Ok(Self { layers: layers.collect::<Result<_>>()? })
    }

    /// What goes into the last layer, and what comes out of it.
    pub(crate) fn forward(&self, x: &Tensor) -> (Tensor, Tensor) {
        let penultimate = self.penultimate(x);
        let last = match self.layers.last() {
            Some(layer) => layer.forward(&penultimate),
            None => penultimate.shallow_clone(),
        };
        (penultimate, last) // [b, tokens, width] each
    }

    /// What goes into the last layer; that layer is not computed.
    pub(crate) fn penultimate(&self, x: &Tensor) -> Tensor {
        let before = self.layers.len().saturating_sub(1);
        self.layers[..before].iter().fold(x.shallow_clone(), |x, layer| layer.forward(&x))
    }
}

impl Layer {
    fn new(weights: &Weights, config: EncoderConfig) -> Result<Self> {
        let EncoderConfig { width, mlp, heads, eps, activation, causal, .. } = config;
        let attention = weights.sub("self_attn");
        Ok(Self {
            norm1: LayerNorm::new(&weights.sub("layer_norm1"), width, eps)?,
            q: Linear::new(&attention.sub("q_proj"), width, width)?,
            k: Linear::new(&attention.sub("k_proj"), width, width)?,
            v: Linear::new(&attention.sub("v_proj"), width, width)?,
            out: Linear::new(&attention.sub("out_proj"), width, width)?,
            norm2: LayerNorm::new(&weights.sub("layer_norm2"), width, eps)?,
            fc1: Linear::new(&weights.sub("mlp").sub("fc1"), width, mlp)?,
            fc2: Linear::new(&weights.sub("mlp").sub("fc2"), mlp, width)?,
            heads,
            activation,
            causal,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        // 1. Attention over the normalised tokens, added.
        let x = x + self.attention(&self.norm1.forward(x)); // [b, tokens, width]
        // 2. Two dense layers over the normalised tokens, added.
        let h = self.activation.forward(&self.fc1.forward(&self.norm2.forward(&x)));
        x + self.fc2.forward(&h) // [b, tokens, width]
    }

    fn attention(&self, x: &Tensor) -> Tensor {
        let split = |linear: &Linear| split_heads(&linear.forward(x), self.heads); // [b, heads, tokens, head_dim]
        let (q, k, v) = (split(&self.q), split(&self.k), split(&self.v));
        let (mask, causal) = (None::<&Tensor>, self.causal);
        let h = Tensor::scaled_dot_product_attention(&q, &k, &v, mask, 0.0, causal, None, false);
        self.out.forward(&join_heads(&h)) // [b, tokens, width]
    }
}

//! Pixels to SigLIP's image vectors: `SiglipVisionModel` with its attention-pooling head.

use tch::Tensor;

use crate::Result;
use crate::models::common::encoder::{Encoder, EncoderConfig};
use crate::models::common::layers::{Activation, LayerNorm, Linear};
use crate::models::common::math::{attention, join_heads, split_heads};
use crate::models::common::towers::{Patches, VisionSizes};
use crate::models::common::weights::Weights;

/// An image tower.
#[derive(Debug)]
pub(crate) struct VisionModel {
    patches: Patches,
    positions: Tensor,
    pub(super) encoder: Encoder,
    post_norm: LayerNorm,
    head: Head,
}

/// One learnt query that gathers all patches (`SiglipMultiheadAttentionPoolingHead`).
#[derive(Debug)]
struct Head {
    probe: Tensor,
    /// Query, key and value, one below the other.
    qkv: [Linear; 3],
    out: Linear,
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: i64,
    activation: Activation,
}

impl VisionModel {
    /// The image encoder that is the whole of `weights`, or that of a whole model.
    pub(crate) fn alone(weights: &Weights, sizes: VisionSizes) -> Result<Self> {
        let tower = weights.sub("vision_model");
        let is_part = tower.contains("embeddings.patch_embedding.weight");
        Self::new(if is_part { &tower } else { weights }, sizes)
    }

    /// The tower at `weights`.
    pub(super) fn new(weights: &Weights, sizes: VisionSizes) -> Result<Self> {
        let (encoder, width) = (sizes.encoder, sizes.encoder.width);
        let embeddings = weights.sub("embeddings");
        let positions = embeddings.sub("position_embedding");
        Ok(Self {
            patches: Patches::new(&embeddings.sub("patch_embedding"), sizes, true)?,
            positions: positions.get("weight", &[sizes.patches(), width])?,
            encoder: Encoder::new(&weights.sub("encoder"), encoder)?,
            post_norm: LayerNorm::new(&weights.sub("post_layernorm"), width, encoder.eps)?,
            head: Head::new(&weights.sub("head"), encoder)?,
        })
    }

    /// The vectors of `pixels`, `[b, 3, image_size, image_size]`: `[b, width]`.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (_, last) = self.encoder.forward(&self.embed(pixels)?);
        Ok(self.head.forward(&self.post_norm.forward(&last))) // [b, width]
    }

    /// Patches as vectors, and their places: `[b, patches, width]`.
    pub(super) fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        Ok(self.patches.forward(pixels)? + &self.positions) // [b, patches, width]
    }
}

impl Head {
    fn new(weights: &Weights, config: EncoderConfig) -> Result<Self> {
        let EncoderConfig { width, mlp, heads, eps, activation, .. } = config;
        let attention = weights.sub("attention");
        let w = attention.get("in_proj_weight", &[3 * width, width])?;
        let b = attention.get("in_proj_bias", &[3 * width])?;
        let part = |i: i64| Linear {
            w: w.narrow(0, i * width, width),
            b: Some(b.narrow(0, i * width, width)),
        };
        Ok(Self {
            probe: weights.get("probe", &[1, 1, width])?,
            qkv: [part(0), part(1), part(2)],
            out: Linear::new(&attention.sub("out_proj"), width, width)?,
            norm: LayerNorm::new(&weights.sub("layernorm"), width, eps)?,
            fc1: Linear::new(&weights.sub("mlp").sub("fc1"), width, mlp)?,
            fc2: Linear::new(&weights.sub("mlp").sub("fc2"), mlp, width)?,
            heads,
            activation,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let (b, width) = (x.size()[0], x.size()[2]);
        // 1. The probe's attention over the patches.
        let probe = self.probe.expand([b, 1, width], false); // [b, 1, width]
        let [q, k, v] = &self.qkv;
        let split = |linear: &Linear, x: &Tensor| split_heads(&linear.forward(x), self.heads);
        let h = attention(&split(q, &probe), &split(k, x), &split(v, x), None); // [b, heads, 1, head_dim]
        let x = self.out.forward(&join_heads(&h)); // [b, 1, width]
        // 2. Two dense layers over what it gathered, added.
        let h = self.activation.forward(&self.fc1.forward(&self.norm.forward(&x)));
        (x + self.fc2.forward(&h)).squeeze_dim(1) // [b, width]
    }
}

//! Text, image and conditions to the same: a block in which text has weights of its own.

use tch::Tensor;

use super::attention::{CachedKeyValues, ConditionContext, Qkv, QkvProjection, joint_attention};
use super::branch::{Branch, Sequence, clip_f16};
use super::config::FluxConfig;
use super::lora::{Lora, Projection, Site};
use super::modulation::Modulation;
use crate::Result;
use crate::models::common::weights::Weights;

/// `FeedForward`'s own, in no config.
const FEED_FORWARD_WIDTH: i64 = 4;

/// diffusers' `FluxTransformerBlock`.
#[derive(Debug)]
pub(crate) struct DoubleBlock {
    text: Side,
    image: Side,
    /// Position among the double blocks.
    index: usize,
}

impl DoubleBlock {
    pub(super) fn new(
        weights: &Weights,
        config: &FluxConfig,
        index: usize,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let mut side = |norm: &str, qkv, out: &str, ff: &str| -> Result<Side> {
            let (width, attn) = (config.width(), &weights.sub("attn"));
            let norm = &weights.sub(norm).sub("linear");
            Ok(Side {
                // Shift, scale and gate, of attention and of the feed-forward layer.
                norm: Projection::new(norm, width, 6 * width, sites)?,
                qkv: QkvProjection::new(attn, config, qkv, sites)?,
                to_out: Projection::new(&attn.sub(out), width, width, sites)?,
                ff: FeedForward::new(&weights.sub(ff), width, sites)?,
            })
        };
        let image = ["to_q", "to_k", "to_v", "norm_q", "norm_k"];
        let text = ["add_q_proj", "add_k_proj", "add_v_proj", "norm_added_q", "norm_added_k"];
        Ok(Self {
            image: side("norm1", image, "to_out.0", "ff")?,
            text: side("norm1_context", text, "to_add_out", "ff_context")?,
            index,
        })
    }

    /// `image` is every branch that goes through the image's weights.
    pub(crate) fn forward(
        &self,
        text: &mut Sequence<'_>,
        image: &mut Sequence<'_>,
        beside: ConditionContext<'_>,
    ) {
        // 1. what the branches tell and ask each other
        let asked = [self.text.ask(self.index, text), self.image.ask(self.index, image)];

        // 2. attention over all of them
        let read = joint_attention(&asked, beside);

        // 3. each by itself
        text.tokens = clip_f16(self.text.take(self.index, text, &read[0]));
        image.tokens = self.image.take(self.index, image, &read[1]);
    }

    /// A `sequence` that goes through the image's weights and reads itself alone.
    pub(super) fn alone(&self, sequence: &mut Sequence<'_>) -> CachedKeyValues {
        let asked = [self.image.ask(self.index, sequence)];
        let read = joint_attention(&asked, ConditionContext::default());
        sequence.tokens = self.image.take(self.index, sequence, &read[0]);
        let [asked] = asked;
        asked.keep()
    }

    /// The text's modulation by each of `times`, `[steps, b, width]`, activated.
    pub(super) fn modulate_text(&self, times: &Tensor) -> Vec<[Modulation; 2]> {
        Modulation::of(&self.text.norm, times, None)
    }

    /// The same of a branch that goes through the image's weights.
    pub(super) fn modulate_image(
        &self,
        times: &Tensor,
        lora: Option<&Lora>,
    ) -> Vec<[Modulation; 2]> {
        Modulation::of(&self.image.norm, times, lora)
    }
}

/// The weights that a sequence goes through.
#[derive(Debug)]
struct Side {
    /// Time to modulations.
    norm: Projection,
    qkv: QkvProjection,
    to_out: Projection,
    ff: FeedForward,
}

impl Side {
    /// Queries, keys and values of `sequence` in block `index`.
    fn ask(&self, index: usize, sequence: &Sequence<'_>) -> Qkv {
        let normed = sequence.before(&sequence.tokens, |of| &of.double[index][0]); // [b, tokens, width]
        self.qkv.forward(&normed, sequence)
    }

    /// The tokens of `sequence` after they read `read`, `[b, tokens, width]`.
    fn take(&self, index: usize, sequence: &Sequence<'_>, read: &Tensor) -> Tensor {
        // 1. attention
        let output = self.to_out.forward_branches(read, &sequence.branches);
        let tokens = sequence.after(&sequence.tokens, output, |of| &of.double[index][0]); // [b, tokens, width]

        // 2. the feed-forward layer
        let normed = sequence.before(&tokens, |of| &of.double[index][1]); // [b, tokens, width]
        let output = self.ff.forward(&normed, &sequence.branches);
        sequence.after(&tokens, output, |of| &of.double[index][1]) // [b, tokens, width]
    }
}

/// diffusers' `FeedForward` with `gelu-approximate`.
#[derive(Debug)]
struct FeedForward {
    proj: Projection,
    out: Projection,
}

impl FeedForward {
    fn new(weights: &Weights, width: i64, sites: &mut Vec<Site>) -> Result<Self> {
        let inner = FEED_FORWARD_WIDTH * width;
        Ok(Self {
            proj: Projection::new(&weights.sub("net.0.proj"), width, inner, sites)?,
            out: Projection::new(&weights.sub("net.2"), inner, width, sites)?,
        })
    }

    fn forward(&self, x: &Tensor, branches: &[Branch<'_>]) -> Tensor {
        let hidden = self.proj.forward_gelu(x, branches); // [b, tokens, inner]
        self.out.forward_branches(&hidden, branches) // [b, tokens, width]
    }
}

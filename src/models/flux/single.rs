//! All branches to the same: a block in which they have the same weights.

use tch::Tensor;

use super::attention::{CachedKeyValues, ConditionContext, Qkv, QkvProjection, joint_attention};
use super::branch::{Sequence, clip_f16};
use super::config::FluxConfig;
use super::lora::{Lora, Projection, Site};
use super::modulation::Modulation;
use crate::Result;
use crate::models::common::weights::Weights;

/// `FluxSingleTransformerBlock`'s own, in no config.
const MLP_RATIO: i64 = 4;

/// diffusers' `FluxSingleTransformerBlock`: attention and feed-forward layer side by side.
#[derive(Debug)]
pub(crate) struct SingleBlock {
    /// Time to modulations.
    norm: Projection,
    qkv: QkvProjection,
    proj_mlp: Projection,
    proj_out: Projection,
    /// Position among the single blocks.
    index: usize,
}

impl SingleBlock {
    pub(super) fn new(
        weights: &Weights,
        config: &FluxConfig,
        index: usize,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let width = config.width();
        let inner = MLP_RATIO * width;
        let names = ["to_q", "to_k", "to_v", "norm_q", "norm_k"];
        Ok(Self {
            norm: Projection::new(&weights.sub("norm.linear"), width, 3 * width, sites)?,
            qkv: QkvProjection::new(&weights.sub("attn"), config, names, sites)?,
            proj_mlp: Projection::new(&weights.sub("proj_mlp"), width, inner, sites)?,
            proj_out: Projection::new(&weights.sub("proj_out"), width + inner, width, sites)?,
            index,
        })
    }

    pub(crate) fn forward(&self, sequence: &mut Sequence<'_>, beside: ConditionContext<'_>) {
        // 1. what the branches tell and ask each other
        let (normed, asked) = self.ask(sequence);

        // 2. attention over all of them
        let read = joint_attention(&[asked], beside);

        // 3. what each reads and makes of its own
        sequence.tokens = self.take(sequence, &normed, &read[0]);
    }

    /// A `sequence` that reads itself alone.
    pub(super) fn alone(&self, sequence: &mut Sequence<'_>) -> CachedKeyValues {
        let (normed, asked) = self.ask(sequence);
        let asked = [asked];
        let read = joint_attention(&asked, ConditionContext::default());
        sequence.tokens = self.take(sequence, &normed, &read[0]);
        let [asked] = asked;
        asked.keep()
    }

    /// The tokens of `sequence` after their norm, with their queries, keys and values.
    fn ask(&self, sequence: &Sequence<'_>) -> (Tensor, Qkv) {
        let normed = sequence.before(&sequence.tokens, |of| &of.single[self.index]); // [b, tokens, width]
        let asked = self.qkv.forward(&normed, sequence);
        (normed, asked)
    }

    /// The tokens of `sequence`, `normed` before, after they read `read`: `[b, tokens, width]`.
    fn take(&self, sequence: &Sequence<'_>, normed: &Tensor, read: &Tensor) -> Tensor {
        let hidden = self.proj_mlp.forward_gelu(normed, &sequence.branches); // [b, tokens, inner]
        let output = self.proj_out.forward_parts([read, &hidden], &sequence.branches);
        clip_f16(sequence.after(&sequence.tokens, output, |of| &of.single[self.index])) // [b, tokens, width]
    }

    /// The modulation by each of `times`, `[steps, b, width]`, activated.
    pub(super) fn modulate(&self, times: &Tensor, lora: Option<&Lora>) -> Vec<Modulation> {
        Modulation::of(&self.norm, times, lora).into_iter().map(|[modulation]| modulation).collect()
    }
}

//! Each sequence's tokens to queries, keys and values, and all sequences' to what each of them reads.

use tch::{Kind, Tensor};

use super::branch::Sequence;
use super::config::FluxConfig;
use super::lora::{Projection, Site};
use super::modulation::EPS;
use super::strength::Strength;
use crate::Result;
use crate::models::common::math::{attention, join_heads};
use crate::models::common::weights::Weights;

/// Queries, keys and values of a sequence, `[b, tokens, heads, head_dim]`.
#[derive(Debug)]
pub(crate) struct Qkv {
    /// Turned to the tokens' positions, and still in f32, as `k` is.
    pub(crate) q: Tensor,
    pub(crate) k: Tensor,
    pub(crate) v: Tensor,
}

impl Qkv {
    /// Keys and values alone.
    pub(super) fn keep(self) -> CachedKeyValues {
        CachedKeyValues { k: self.k.to_kind(self.v.kind()), v: self.v }
    }
}

/// What is left of a condition that is not in the pass: `[b, tokens, heads, head_dim]`.
#[derive(Debug)]
pub(crate) struct CachedKeyValues {
    k: Tensor,
    v: Tensor,
}

/// What sequences read beside each other, and how strongly.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConditionContext<'a> {
    /// Its keys come after those of the sequences.
    pub(super) kept: Option<&'a CachedKeyValues>,
    /// Between the condition and the others, where it is not 1.
    pub(super) strength: Option<&'a Strength>,
}

/// What every sequence reads of all of them, `[b, tokens, width]` each, in their order.
pub(crate) fn joint_attention(sequences: &[Qkv], beside: ConditionContext<'_>) -> Vec<Tensor> {
    // 1. all of them as one
    let kind = sequences[0].v.kind();
    let all = |part: fn(&Qkv) -> &Tensor, kept: Option<&Tensor>| {
        let parts: Vec<_> = sequences.iter().map(part).chain(kept).collect();
        join(&parts, kind).transpose(1, 2) // [b, heads, tokens, head_dim]
    };
    let q = all(|qkv| &qkv.q, None);
    let k = all(|qkv| &qkv.k, beside.kept.map(|kept| &kept.k));
    let v = all(|qkv| &qkv.v, beside.kept.map(|kept| &kept.v));

    // 2. what each token reads
    let read = match beside.strength {
        Some(strength) => strength.attention(&q, &k, &v),
        None => attention(&q, &k, &v, None),
    }; // [b, heads, tokens, head_dim]

    // 3. each one's part
    let lengths: Vec<_> = sequences.iter().map(|qkv| qkv.q.size()[1]).collect();
    join_heads(&read).split_with_sizes(lengths, 1) // [b, tokens, width]
}

/// `parts`, `[b, tokens, heads, head_dim]` each, one after the other in `kind`: cast as they are
/// copied.
fn join(parts: &[&Tensor], kind: Kind) -> Tensor {
    if let [one] = parts {
        return one.to_kind(kind);
    }
    let mut size = parts[0].size();
    size[1] = parts.iter().map(|part| part.size()[1]).sum();
    let joined = Tensor::empty(size, (kind, parts[0].device())); // [b, tokens, heads, head_dim]
    let mut start = 0;
    for part in parts {
        let tokens = part.size()[1];
        joined.narrow(1, start, tokens).copy_(part);
        start += tokens;
    }
    joined
}

/// The three projections of a sequence, with the norms of queries and keys.
#[derive(Debug)]
pub(super) struct QkvProjection {
    to_q: Projection,
    to_k: Projection,
    to_v: Projection,
    norm_q: Tensor,
    norm_k: Tensor,
    heads: i64,
}

impl QkvProjection {
    /// `names` are those of the projections, then of the norms of queries and keys.
    pub(super) fn new(
        weights: &Weights,
        config: &FluxConfig,
        names: [&str; 5],
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let [q, k, v, norm_q, norm_k] = names.map(|name| weights.sub(name));
        let width = config.width();
        let mut project = |weights| Projection::new(weights, width, width, sites);
        let norm = |weights: &Weights| weights.get("weight", &[config.attention_head_dim]);
        Ok(Self {
            to_q: project(&q)?,
            to_k: project(&k)?,
            to_v: project(&v)?,
            norm_q: norm(&norm_q)?,
            norm_k: norm(&norm_k)?,
            heads: config.num_attention_heads,
        })
    }

    /// Of `x`, the tokens of `sequence` after their norm.
    pub(super) fn forward(&self, x: &Tensor, sequence: &Sequence<'_>) -> Qkv {
        let heads = |project: &Projection| {
            project.forward_branches(x, &sequence.branches).unflatten(2, [self.heads, -1]) // [b, tokens, heads, head_dim]
        };
        let turned = |project: &Projection, norm: &Tensor| {
            sequence.rope.forward(&heads(project).rms_norm(norm.size(), Some(norm), EPS)) // [b, tokens, heads, head_dim]
        };
        Qkv {
            q: turned(&self.to_q, &self.norm_q),
            k: turned(&self.to_k, &self.norm_k),
            v: heads(&self.to_v),
        }
    }
}

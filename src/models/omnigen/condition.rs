//! The tokens that noise reads to keys and values, which are the same at every step.
//!
//! A row is a condition (text and pictures), the time and the noise. Text reads what stands before
//! it; a picture reads that and all of itself; the time reads the condition and itself; the noise reads
//! everything. So nothing that stands before the noise depends on it, and the condition does not
//! depend on the time either: the keys and values of both are found once, before the first step.

use tch::{Device, Kind, Tensor};

use super::block::Qkv;
use super::rope::{Positions, Rope};
use super::transformer::{OmniGenTransformer, Times};
use crate::Result;
use crate::models::common::worker::Cancel;

/// Steps whose time tokens go through the network together.
const TIMES: i64 = 64;

/// A part of a row's condition.
#[derive(Debug)]
pub(crate) enum Part {
    /// Token numbers of a text.
    Text(Vec<i64>),
    /// The latents of a picture, `[1, c, h, w]`.
    Picture(Tensor),
}

/// A row up to its noise.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(super) layers: Vec<KeyValues>,
    /// Where the noise stands.
    pub(super) rope: Rope,
}

/// Keys and values of a layer, `[1, heads, tokens, head_dim]`.
#[derive(Debug)]
pub(super) struct KeyValues {
    /// Of the condition.
    k: Tensor,
    v: Tensor,
    /// Of the time at every step.
    time_k: Tensor,
    time_v: Tensor,
}

impl KeyValues {
    /// What the noise reads at `step`: the condition, the time, and itself.
    pub(super) fn joined(&self, step: i64, k: &Tensor, v: &Tensor) -> [Tensor; 2] {
        let join = |condition: &Tensor, times: &Tensor, noise: &Tensor| {
            let time = times.narrow(2, step, 1);
            Tensor::cat(&[condition, &time, noise], 2) // [1, heads, tokens, head_dim]
        };
        [join(&self.k, &self.time_k, k), join(&self.v, &self.time_v, v)]
    }
}

impl OmniGenTransformer {
    /// The row that begins with `parts`, of which there is at least one token, and ends with `noise`
    /// tokens.
    pub(crate) fn condition(
        &self,
        parts: &[Part],
        positions: Positions,
        noise: i64,
        times: &Times,
        cancel: &Cancel,
    ) -> Result<Condition> {
        tch::no_grad(|| {
            // 1. the condition, part by part
            let mut layers = Vec::new();
            let mut start = 0;
            for part in parts {
                cancel.check()?;
                let (x, reads_ahead) = match part {
                    Part::Text(ids) if ids.is_empty() => continue,
                    Part::Text(ids) => (self.embed(ids), false),
                    Part::Picture(latents) => (self.patches.reference(latents)?, true),
                };
                let tokens = x.size()[1];
                let rope = self.rope(positions, start..start + tokens);
                let mask = (!reads_ahead && tokens > 1).then(|| causal(tokens, start, self.device));
                self.append(x, &rope, mask.as_ref(), &mut layers);
                start += tokens;
            }

            // 2. the time of every step, which stands behind it
            let rope = self.rope(positions, start..start + 1);
            let mut time_layers = Vec::new();
            let count = times.tokens.size()[0];
            for first in (0..count).step_by(TIMES as usize) {
                let some = times.tokens.narrow(0, first, TIMES.min(count - first));
                self.append_times(some.unsqueeze(0), &rope, &layers, &mut time_layers);
            }
            let join = |parts: Vec<Tensor>| Tensor::cat(&parts, 2);
            let layers = layers.into_iter().zip(time_layers).map(|(own, time)| {
                let [k, v] = own;
                let (time_k, time_v) = time.into_iter().map(|[k, v]| (k, v)).unzip();
                KeyValues { k, v, time_k: join(time_k), time_v: join(time_v) }
            });

            // 3. where the noise is
            let rope = self.rope(positions, start + 1..start + 1 + noise);
            Ok(Condition { layers: layers.collect(), rope })
        })
    }

    /// Takes tokens `x`, `[1, tokens, width]`, through all `layers` behind those that they hold.
    fn append(
        &self,
        mut x: Tensor,
        rope: &Rope,
        mask: Option<&Tensor>,
        layers: &mut Vec<[Tensor; 2]>,
    ) {
        for (i, block) in self.blocks.iter().enumerate() {
            let Qkv { q, k, v } = block.qkv(&x, rope);
            match layers.get_mut(i) {
                Some(kept) => {
                    for (kept, new) in kept.iter_mut().zip([k, v]) {
                        *kept = Tensor::cat(&[&*kept, &new], 2); // [1, heads, tokens, head_dim]
                    }
                }
                None => layers.push([k.contiguous(), v.contiguous()]),
            }
            let [k, v] = &layers[i];
            x = block.forward(&x, [&q, k, v], mask);
        }
    }

    /// Takes `x`, `[1, times, width]`, through all layers. Each time reads the condition and itself.
    fn append_times(
        &self,
        mut x: Tensor,
        rope: &Rope,
        layers: &[[Tensor; 2]],
        kept: &mut Vec<Vec<[Tensor; 2]>>,
    ) {
        let (times, options) = (x.size()[1], (Kind::Bool, self.device));
        let condition = layers.first().map_or(0, |[k, _]| k.size()[2]);
        let own = Tensor::eye(times, options);
        let mask = Tensor::cat(&[Tensor::ones([times, condition], options), own], 1);
        for (i, (block, [k, v])) in self.blocks.iter().zip(layers).enumerate() {
            let new = block.qkv(&x, rope);
            let (all_k, all_v) = (Tensor::cat(&[k, &new.k], 2), Tensor::cat(&[v, &new.v], 2));
            x = block.forward(&x, [&new.q, &all_k, &all_v], Some(&mask));
            if kept.len() == i {
                kept.push(Vec::new());
            }
            kept[i].push([new.k, new.v]);
        }
    }
}

/// What each of `tokens` behind `before` others reads of them all: those up to itself,
/// `[tokens, before + tokens]`.
fn causal(tokens: i64, before: i64, device: Device) -> Tensor {
    Tensor::ones([tokens, before + tokens], (Kind::Bool, device)).tril(before)
}

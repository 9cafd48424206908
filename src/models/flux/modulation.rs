//! A branch's times to the vectors that scale, shift and gate its tokens in every block: adaLN-Zero.

use tch::Tensor;

use super::lora::{Lora, Projection};
use crate::models::common::layers::Linear;

/// diffusers' `AdaLayerNormZero` and its siblings' own, in no config.
pub(super) const EPS: f64 = 1e-6;

/// A norm that scales and shifts as a time says: diffusers' `AdaLayerNormContinuous`.
#[derive(Debug)]
pub(crate) struct AdaLayerNorm {
    /// 1 more than what the layer of the time gives, `[b, 1, width]`.
    scale: Tensor,
    /// `[b, 1, width]`.
    shift: Tensor,
}

/// What one norm and the layer after it do with a time.
#[derive(Debug)]
pub(crate) struct Modulation {
    norm: AdaLayerNorm,
    /// `[b, 1, width]`.
    gate: Tensor,
}

/// A branch's vectors of all blocks at one time. They depend on the time, not on the tokens: those
/// of all steps are found before the first, and those of a condition, whose time stands still, once.
#[derive(Debug)]
pub(crate) struct Modulations {
    /// Of attention and of the feed-forward layer.
    pub(super) double: Vec<[Modulation; 2]>,
    /// None for the text alone, which joins the image there.
    pub(super) single: Vec<Modulation>,
}

impl AdaLayerNorm {
    /// Those at each of `times`, `[steps, b, width]`, activated; `linear` gives scale and shift.
    pub(super) fn of(linear: &Linear, times: &Tensor) -> Vec<Self> {
        let parts = linear.forward(times).unflatten(2, [2, -1]); // [steps, b, 2, width]
        let _ = parts.select(2, 0).g_add_scalar_(1.0);
        let norm =
            |parts: &Tensor| Self { scale: parts.narrow(1, 0, 1), shift: parts.narrow(1, 1, 1) };
        parts.unbind(0).iter().map(norm).collect()
    }

    /// Each token of `x`, `[b, tokens, width]`, to mean 0 and variance 1, then scaled and shifted.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let (b, _, width) = self.scale.size3().unwrap_or_default();
        if b == 1 {
            // The norm does all of it in one pass where every token has the same vectors.
            let [scale, shift] = [&self.scale, &self.shift].map(|part| part.view([width]));
            return x.layer_norm([width], Some(scale), Some(shift), EPS, true); // [b, tokens, width]
        }
        let mut x = x.layer_norm::<&Tensor>([width], None, None, EPS, true);
        x.g_mul_(&self.scale).g_add_(&self.shift) // [b, tokens, width]
    }
}

impl Modulation {
    /// Those at each of `times`, `[steps, b, width]`, activated; `linear` gives shift, scale and gate
    /// of each of `N`.
    pub(super) fn of<const N: usize>(
        linear: &Projection,
        times: &Tensor,
        lora: Option<&Lora>,
    ) -> Vec<[Self; N]> {
        let parts = linear.forward(times, lora).unflatten(2, [3 * N as i64, -1]); // [steps, b, 3 N, width]
        let _ = parts.slice(2, 1, None, 3).g_add_scalar_(1.0); // every scale
        let modulations = |parts: &Tensor| {
            let part = |at: usize| parts.narrow(1, at as i64, 1); // [b, 1, width]
            std::array::from_fn(|i| Self {
                norm: AdaLayerNorm { shift: part(3 * i), scale: part(3 * i + 1) },
                gate: part(3 * i + 2),
            })
        };
        parts.unbind(0).iter().map(modulations).collect()
    }

    /// `x`, `[b, tokens, width]`, normalised, scaled and shifted.
    pub(super) fn before(&self, x: &Tensor) -> Tensor {
        self.norm.forward(x)
    }

    /// `x` with the gated `output` of a layer, both `[b, tokens, width]`, in the memory of `output`.
    pub(super) fn after(&self, x: &Tensor, output: &Tensor) {
        let _ = x.addcmul_out(output, output, &self.gate);
    }
}

impl Modulations {
    /// What each block has of all times to what each time has of all blocks.
    pub(super) fn by_time(
        double: Vec<Vec<[Modulation; 2]>>,
        single: Vec<Vec<Modulation>>,
    ) -> Vec<Self> {
        let steps = double.first().map_or(0, Vec::len);
        let mut double: Vec<_> = double.into_iter().map(Vec::into_iter).collect();
        let mut single: Vec<_> = single.into_iter().map(Vec::into_iter).collect();
        let next = |_| Self {
            double: double.iter_mut().filter_map(Iterator::next).collect(),
            single: single.iter_mut().filter_map(Iterator::next).collect(),
        };
        (0..steps).map(next).collect()
    }
}

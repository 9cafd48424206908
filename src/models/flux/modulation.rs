//! A branch's time to the vectors that scale, shift and gate its tokens in every block: adaLN-Zero.

use tch::Tensor;

use super::lora::{Lora, Projection};

/// diffusers' `AdaLayerNormZero` and its siblings' own, in no config.
pub(super) const EPS: f64 = 1e-6;

/// What one norm and the layer after it do with a time; each `[b, 1, width]`.
#[derive(Debug)]
pub(crate) struct Modulation {
    shift: Tensor,
    scale: Tensor,
    gate: Tensor,
}

/// A branch's vectors of all blocks. They depend on its time, not on its tokens: those of a
/// condition, whose time stands still, serve every step.
#[derive(Debug)]
pub(crate) struct Modulations {
    /// Of attention and of the feed-forward layer.
    pub(super) double: Vec<[Modulation; 2]>,
    /// None for the text alone, which joins the image there.
    pub(super) single: Vec<Modulation>,
}

impl Modulation {
    /// `time` is `[b, width]`, activated; `linear` gives shift, scale and gate of each of `N`.
    pub(super) fn of<const N: usize>(
        linear: &Projection,
        time: &Tensor,
        lora: Option<&Lora>,
    ) -> [Self; N] {
        let parts = linear.forward(time, lora).unsqueeze(1).chunk(3 * N as i64, 2); // [b, 1, width] each
        std::array::from_fn(|i| {
            let part = |offset: usize| parts[3 * i + offset].shallow_clone();
            Self { shift: part(0), scale: part(1), gate: part(2) }
        })
    }

    /// `x`, `[b, tokens, width]`, normalised, scaled and shifted.
    pub(super) fn before(&self, x: &Tensor) -> Tensor {
        scale_and_shift(x, &self.scale, &self.shift)
    }

    /// `x` with the gated `output` of a layer, both `[b, tokens, width]`.
    pub(super) fn after(&self, x: &Tensor, mut output: Tensor) -> Tensor {
        output.g_mul_(&self.gate).g_add_(x) // [b, tokens, width]
    }
}

/// Each token to mean 0 and variance 1, then scaled by `1 + scale` and shifted.
pub(super) fn scale_and_shift(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Tensor {
    let width = x.size().last().copied().unwrap_or(0);
    let mut x = x.layer_norm::<&Tensor>([width], None, None, EPS, true);
    x.g_mul_(&(scale + 1.0)).g_add_(shift) // [b, tokens, width]
}

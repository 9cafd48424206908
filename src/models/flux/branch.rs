//! A part of the sequence with everything that is its own in one pass.

use tch::{Kind, Tensor};

use super::lora::Lora;
use super::modulation::Modulations;
use super::rope::Rope;

/// Text, image, both of them joined, or a condition.
#[derive(Debug)]
pub(crate) struct Branch<'a> {
    /// `[b, tokens, width]`.
    pub(crate) tokens: Tensor,
    /// Where the tokens are.
    pub(crate) rope: &'a Rope,
    /// What its time does in each block.
    pub(crate) modulations: &'a Modulations,
    /// What changes the weights for this branch alone.
    pub(crate) lora: Option<&'a Lora>,
}

/// The largest finite number of 16-bit IEEE floats.
const F16_MAX: f64 = 65_504.0;

/// Values that left the range of f16 brought back into it, as diffusers does after each block.
pub(super) fn clip_f16(x: Tensor) -> Tensor {
    if x.kind() == Kind::Half { x.clamp(-F16_MAX, F16_MAX) } else { x }
}

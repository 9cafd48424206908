//! Parts of the sequence with everything that is their own in one pass to one tensor of tokens.

use tch::{Kind, Tensor};

use super::lora::Lora;
use super::modulation::{Modulation, Modulations};
use super::rope::Rope;

/// Text, image, both of them as one, or a condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Branch<'a> {
    /// How many tokens it has.
    pub(crate) tokens: i64,
    /// What its time does in each block.
    pub(crate) modulations: &'a Modulations,
    /// What changes the weights for this branch alone.
    pub(crate) lora: Option<&'a Lora>,
}

/// Branches that go through the same weights, one after the other, so that each product is one for
/// all of them.
#[derive(Debug)]
pub(crate) struct Sequence<'a> {
    /// `[b, tokens, width]`.
    pub(crate) tokens: Tensor,
    /// Where the tokens are.
    pub(crate) rope: Rope,
    pub(crate) branches: Vec<Branch<'a>>,
}

impl<'a> Sequence<'a> {
    /// One branch, of these `tokens`, `[b, tokens, width]`.
    pub(crate) fn new(
        tokens: Tensor,
        rope: &Rope,
        modulations: &'a Modulations,
        lora: Option<&'a Lora>,
    ) -> Self {
        let branch = Branch { tokens: tokens.size()[1], modulations, lora };
        Self { tokens, rope: rope.shallow_clone(), branches: vec![branch] }
    }

    /// With the branches of `other` after its own.
    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            tokens: Tensor::cat(&[self.tokens, other.tokens], 1), // [b, tokens, width]
            rope: self.rope.join(&other.rope),
            branches: [self.branches, other.branches].concat(),
        }
    }

    /// `x`, `[b, tokens, width]`, normalised, scaled and shifted as each branch's modulation, which
    /// `of` picks, says.
    pub(super) fn before(&self, x: &Tensor, of: impl Fn(&Modulations) -> &Modulation) -> Tensor {
        if let [branch] = &self.branches[..] {
            return of(branch.modulations).before(x); // [b, tokens, width]
        }
        let parts = parts(&self.branches, x);
        let parts: Vec<_> = parts.map(|(branch, x)| of(branch.modulations).before(&x)).collect();
        Tensor::cat(&parts, 1) // [b, tokens, width]
    }

    /// `x` with the `output` of a layer, both `[b, tokens, width]`, gated as each branch's modulation
    /// says.
    pub(super) fn after(
        &self,
        x: &Tensor,
        output: Tensor,
        of: impl Fn(&Modulations) -> &Modulation,
    ) -> Tensor {
        let [inputs, outputs] = [x, &output].map(|part| parts(&self.branches, part));
        for ((branch, x), (_, output)) in inputs.zip(outputs) {
            of(branch.modulations).after(&x, &output);
        }
        output // [b, tokens, width]
    }
}

/// Each of `branches` with its part of `x`, `[b, tokens, ..]`.
pub(super) fn parts<'a, 'b>(
    branches: &'b [Branch<'a>],
    x: &'b Tensor,
) -> impl Iterator<Item = (&'b Branch<'a>, Tensor)> {
    let mut start = 0;
    branches.iter().map(move |branch| {
        let part = x.narrow(1, start, branch.tokens); // [b, tokens, ..]
        start += branch.tokens;
        (branch, part)
    })
}

/// The largest finite number of 16-bit IEEE floats.
const F16_MAX: f64 = 65_504.0;

/// Values that left the range of f16 brought back into it, as diffusers does after each block.
pub(super) fn clip_f16(x: Tensor) -> Tensor {
    if x.kind() == Kind::Half { x.clamp(-F16_MAX, F16_MAX) } else { x }
}

//! A prompt as a denoising network reads it.

use std::rc::Rc;

use tch::Tensor;

/// The states of a prompt's tokens, and one vector of all of it.
#[derive(Clone, Debug)]
pub(super) struct Encoded(Rc<[Tensor; 2]>);

impl Encoded {
    /// `states` are `[1, tokens, width]`, `pooled` is `[1, pooled_width]`.
    pub(super) fn new(states: Tensor, pooled: Tensor) -> Self {
        Self(Rc::new([states, pooled]))
    }

    /// `[1, tokens, width]`.
    pub(super) fn states(&self) -> &Tensor {
        &self.0[0]
    }

    /// `[1, pooled_width]`.
    pub(super) fn pooled(&self) -> &Tensor {
        &self.0[1]
    }

    /// What stands for no prompt at all.
    pub(super) fn zeros_like(&self) -> Self {
        Self::new(self.states().zeros_like(), self.pooled().zeros_like())
    }
}

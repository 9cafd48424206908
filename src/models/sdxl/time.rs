//! The times of all steps to what each of them adds to each residual layer.

use tch::Tensor;

/// What the time adds, by residual layer: `[steps, b or 1, outputs, 1, 1]` each. Computed once, so
/// that a step brings nothing new to the device.
#[derive(Debug)]
pub(crate) struct Times(pub(super) Vec<Tensor>);

/// One step of [`Times`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time<'a> {
    times: &'a Times,
    step: i64,
}

impl Times {
    /// The time of step `index`, from 0.
    pub(crate) const fn at(&self, index: usize) -> Time<'_> {
        Time { times: self, step: index as i64 }
    }
}

impl Time<'_> {
    /// What it adds to the residual layer of this number, `[b or 1, outputs, 1, 1]`.
    pub(super) fn of(self, resnet: usize) -> Tensor {
        self.times.0[resnet].get(self.step)
    }
}

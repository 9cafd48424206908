//! A prompt as a denoising network reads it.

use tch::Tensor;

/// The states of a prompt's tokens, and one vector of all of it.
#[derive(Debug)]
pub(super) struct Encoded {
    /// `[1, tokens, width]`.
    pub(super) states: Tensor,
    /// `[1, pooled_width]`.
    pub(super) pooled: Tensor,
}

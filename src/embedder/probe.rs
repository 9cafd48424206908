//! Two embeddings of one input to whether one encoder made them.

/// The least cosine similarity of two embeddings of the same input by the same encoder. On another
/// device, or in 16 bits, they differ by less.
pub(crate) const SAME: f32 = 0.998;

//! A text that tells encoders apart by its embedding.

/// The text of the probes: its capitals, accent and digits tell tokenizers apart.
pub(crate) const TEXT: &str = "A photograph of 2 Café-blue zebras, at dawn";

/// The least cosine similarity of two embeddings of the same probe by the same encoder. On another
/// device, or in 16 bits, they differ by less.
pub(crate) const SAME: f32 = 0.998;

//! [`Batching`]: how an embedder is best given many images.

/// How many images a call of an [`Embedder`](super::Embedder) is best given, and how many such calls at
/// a time: what a `Gallery` goes by when it takes images in.
///
/// A model on this machine works on one call after the other. A service answers many at a time, and its
/// answers take longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batching {
    /// Images of a call, at least 1.
    pub images: usize,
    /// Calls at a time, at least 1.
    pub calls: usize,
}

impl Batching {
    /// `calls` at a time, each with `images`.
    pub const fn new(images: usize, calls: usize) -> Self {
        Self { images, calls }
    }
}

impl Default for Batching {
    /// 64 images in one call.
    fn default() -> Self {
        Self::new(64, 1)
    }
}

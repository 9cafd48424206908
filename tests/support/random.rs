//! Values and vectors that look random and are always the same.

use imagerag::embedder::Embedding;

/// Values in [-1, 1) from a small linear congruential generator.
pub(crate) fn values() -> impl FnMut() -> f32 {
    let mut state = 7u64;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// `count` vectors of `dim` values.
pub(crate) fn vectors(count: usize, dim: usize) -> Vec<Embedding> {
    let mut next = values();
    (0..count)
        .map(|_| Embedding::new((0..dim).map(|_| next()).collect::<Vec<_>>()).unwrap())
        .collect()
}

//! The indexes against exhaustive search: [`FlatIndex`](imagerag::index::FlatIndex) and, with FAISS,
//! [`FaissIndex`](imagerag::index::FaissIndex).

#[cfg(feature = "faiss")]
mod faiss;
mod flat;
#[path = "../support/random.rs"]
mod random;

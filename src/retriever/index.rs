//! [`VectorIndex`]: an embedding to its nearest neighbours.

use std::fmt::{Debug, Display};

use crate::Result;
use crate::retriever::Embedding;

/// A vector found by a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The vector's number: the place in which it was added, from 0.
    pub id: u64,
    /// Cosine similarity to the query, in [-1, 1]; higher is closer.
    pub score: f32,
}

/// Finds the nearest of many vectors.
///
/// # Contract
/// - One list a query, sorted by falling score, then by rising id, of at most `limit` neighbours.
/// - A query of another dimension is [`Error::InvalidInput`](crate::Error::InvalidInput).
/// - `limit` 0 and an empty index give empty lists; `limit` above [`count`](Self::count) gives all.
pub trait VectorIndex: Display + Debug + Send + Sync + 'static {
    /// Values a vector.
    fn dim(&self) -> usize;

    /// How many vectors there are.
    fn count(&self) -> usize;

    /// The `limit` nearest vectors of each query.
    fn search(&self, queries: &[Embedding], limit: usize) -> Result<Vec<Vec<Neighbor>>>;
}

macro_rules! forward_index {
    ($($wrapper:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: VectorIndex + ?Sized> VectorIndex for $wrapper {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn count(&self) -> usize {
                (**self).count()
            }
            fn search(&self, queries: &[Embedding], limit: usize) -> Result<Vec<Vec<Neighbor>>> {
                (**self).search(queries, limit)
            }
        }
    )*};
}
forward_index!(std::sync::Arc<T>, Box<T>);

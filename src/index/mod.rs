//! [`VectorIndex`]: finds the nearest neighbors of an embedding.
//!
//! [`FlatIndex`] is exact. `FaissIndex` and `MilvusIndex` are for more vectors, and [`Refine`]
//! makes approximate scores exact.
//!
//! ```
//! use futures::executor::block_on;
//! use imagerag::embedder::Embedding;
//! use imagerag::index::{FlatIndex, IdSet, Neighbor, VectorIndex};
//!
//! let mut index = FlatIndex::new(2)?;
//! for values in [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]] {
//!     index.add(&Embedding::new(values)?)?;
//! }
//! assert_eq!((index.dim(), block_on(index.count())?), (2, 3));
//!
//! let queries = [Embedding::new([0.0, 2.0])?];
//! let found = block_on(index.search(&queries, 2))?;
//! assert_eq!(found[0][0], Neighbor { id: 2, score: 1.0 });
//! assert_eq!(found[0][1].id, 1);
//!
//! // Only some of the vectors, such as those of images under a free license.
//! let free = IdSet::from_iter([0, 1]);
//! let found = block_on(index.search_among(&queries, 2, &free))?;
//! assert_eq!(found[0][0].id, 1);
//! # Ok::<(), imagerag::Error>(())
//! ```

#[cfg(feature = "faiss")]
mod faiss;
mod flat;
mod id_set;
mod refine;

use std::cmp::Ordering;
use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::embedder::Embedding;
use crate::forward::forward_part;
use crate::{Error, Result};

#[cfg(feature = "faiss-gpu")]
pub use self::faiss::Sharding;
#[cfg(feature = "faiss")]
pub use self::faiss::{FaissBuilder, FaissIndex};
pub use flat::{FlatIndex, Precision, SharedRows};
pub use id_set::IdSet;
pub use refine::Refine;

/// A vector found by a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The vector's id: by default the number of vectors that were added before it.
    pub id: u64,
    /// Cosine similarity to the query, in [-1, 1]; higher is closer.
    pub score: f32,
}

impl Neighbor {
    /// The better of two comes first: the higher score, then the lower id.
    pub(crate) fn by_rank(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
    }
}

/// What a search finds: the neighbors of each query.
pub(crate) type Hits = Vec<Vec<Neighbor>>;

/// Finds the nearest of many vectors.
///
/// One of your own, with the suite that checks it:
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::embedder::Embedding;
/// use imagerag::index::{Neighbor, VectorIndex};
/// use imagerag::testing::conformance;
/// use imagerag::{Error, Result, async_trait};
///
/// /// Compares every vector.
/// #[derive(Debug)]
/// struct Rows(Vec<Embedding>); // It has a `Display` too, by which traces and errors call it.
/// # impl std::fmt::Display for Rows {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("Rows")
/// #     }
/// # }
///
/// #[async_trait]
/// impl VectorIndex for Rows {
///     fn dim(&self) -> usize {
///         2
///     }
///
///     async fn count(&self) -> Result<usize> {
///         Ok(self.0.len())
///     }
///
///     async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Vec<Vec<Neighbor>>> {
///         let find = |query: &Embedding| {
///             if query.dim() != self.dim() {
///                 return Err(Error::invalid_input("query", "2 values", query.dim()));
///             }
///             let scores = self.0.iter().map(|row| query.similarity(row));
///             let mut all: Vec<_> =
///                 (0..).zip(scores).map(|(id, score)| Neighbor { id, score }).collect();
///             all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
///             all.truncate(limit);
///             Ok(all)
///         };
///         queries.iter().map(find).collect()
///     }
/// }
///
/// let rows = (1..20).map(|n| Embedding::new([n as f32, 9.0])).collect::<Result<Vec<_>>>()?;
/// let index = Rows(rows.clone());
/// futures::executor::block_on(conformance::vector_index(&index, &rows, 1.0));
/// # Ok::<(), Error>(())
/// ```
///
/// # Contract
/// - One list per query, of at most `limit` neighbors, sorted by falling score, then by rising id.
/// - A query of another dimension gives [`Error::InvalidInput`].
/// - If `limit` is 0 or the index is empty, the lists are empty. A `limit` above
///   [`count`](Self::count) gives all vectors that the index can find.
/// - The same call gives the same lists.
/// - A search does not block the polling thread: an index computes on threads of its own.
///
/// The suite `testing::conformance::vector_index` searches with up to 50 of the vectors that the
/// index holds, for 10 neighbors, for none, and for 5 more than there are; among no ids, a third of
/// them, a few, all, and ids that are not there. It searches an empty index for 3.
#[async_trait]
pub trait VectorIndex: Display + Debug + Send + Sync + 'static {
    /// Number of values of a vector.
    fn dim(&self) -> usize;

    /// How many vectors there are. A remote index may fail to answer.
    async fn count(&self) -> Result<usize>;

    /// The `limit` nearest vectors of each query.
    async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Vec<Vec<Neighbor>>>;

    /// The `limit` nearest of the vectors in `ids`; ids that the index does not hold are ignored.
    /// The default implementation calls [`search`](Self::search) with rising limits until enough of
    /// the results are in `ids`, at worst with the number of all vectors.
    async fn search_among(
        &self,
        queries: &[Embedding],
        limit: usize,
        ids: &IdSet,
    ) -> Result<Vec<Vec<Neighbor>>> {
        let wanted = limit.min(ids.len());
        if wanted == 0 {
            return self.search(queries, 0).await;
        }
        let (mut wide, count) = (wanted, self.count().await?);
        loop {
            let mut found = self.search(queries, wide).await?;
            for list in &mut found {
                list.retain(|neighbor| ids.contains(neighbor.id));
                list.truncate(wanted);
            }
            if wide >= count || found.iter().all(|list| list.len() == wanted) {
                return Ok(found);
            }
            wide = wide.saturating_mul(4).min(count);
        }
    }
}

/// Checks that queries, or vectors to add, are of the dimension of `index`. Indexes call it before
/// they begin.
///
/// ```
/// use imagerag::embedder::Embedding;
/// use imagerag::index::{FlatIndex, check_dim};
///
/// let error = check_dim(&FlatIndex::new(3)?, &[Embedding::new([1.0, 0.0])?]).unwrap_err();
/// assert!(error.to_string().ends_with("expected 3 values, found 2 values"));
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidInput`] that names the index and both dimensions.
pub fn check_dim(index: &impl VectorIndex, embeddings: &[Embedding]) -> Result<()> {
    let wrong = embeddings.iter().map(Embedding::dim).find(|&dim| dim != index.dim());
    wrong.map_or(Ok(()), |dim| Err(wrong_dim(format!("embedding for {index}"), index.dim(), dim)))
}

/// # Errors
/// [`Error::Backend`] when `index` found an id that is not `expected`, as `is_expected` says.
pub(crate) fn check_ids(
    index: &impl VectorIndex,
    found: &[Vec<Neighbor>],
    expected: impl Into<String>,
    is_expected: impl Fn(u64) -> bool,
) -> Result<()> {
    let Some(wrong) = found.iter().flatten().find(|neighbor| !is_expected(neighbor.id)) else {
        return Ok(());
    };
    let reason = format!("it found id {}: expected {}", wrong.id, expected.into());
    Err(Error::backend(index.to_string(), reason))
}

/// [`Error::InvalidInput`] for an embedding of `found` values instead of `expected`.
pub(crate) fn wrong_dim(what: String, expected: usize, found: usize) -> Error {
    Error::invalid_input(what, format!("{expected} values"), format!("{found} values"))
}

forward_part!(VectorIndex {
    fn dim(&self) -> usize {
        (**self).dim()
    }
    async fn count(&self) -> Result<usize> {
        (**self).count().await
    }
    async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Hits> {
        (**self).search(queries, limit).await
    }
    async fn search_among(&self, queries: &[Embedding], limit: usize, ids: &IdSet) -> Result<Hits> {
        (**self).search_among(queries, limit, ids).await
    }
});

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::index::FlatIndex;

    /// Leaves [`VectorIndex::search_among`] as provided, and cannot always be counted.
    #[derive(Debug)]
    struct Plain(FlatIndex, bool);

    impl Display for Plain {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "Plain({})", self.0)
        }
    }

    #[async_trait]
    impl VectorIndex for Plain {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        async fn count(&self) -> Result<usize> {
            if self.1 { self.0.count().await } else { Err(Error::Cancelled) }
        }
        async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Hits> {
            self.0.search(queries, limit).await
        }
    }

    #[test]
    fn the_provided_search_among_widens_until_enough() {
        let mut index = Plain(FlatIndex::new(2).unwrap(), true);
        let at = |turn: f32| Embedding::new([turn.cos(), turn.sin()]).unwrap();
        for n in 0..500 {
            index.0.add(&at(n as f32 / 500.0)).unwrap();
        }
        let far = IdSet::from_iter([498, 499, 490, 7_000]);
        let among = |limit, ids| block_on(index.search_among(&[at(0.0)], limit, ids)).unwrap();
        let found = among(2, &far);
        assert_eq!(found[0].iter().map(|n| n.id).collect::<Vec<_>>(), [490, 498]);
        assert_eq!(among(9, &far)[0].len(), 3);
        assert!(among(9, &IdSet::new())[0].is_empty());
    }

    #[test]
    fn what_is_asked_for_nothing_is_not_counted_but_its_queries_are_checked() {
        let index = Plain(FlatIndex::new(2).unwrap(), false);
        let query = Embedding::new([1.0, 0.0]).unwrap();
        let among = |query: &Embedding, limit, ids: IdSet| {
            block_on(index.search_among(std::slice::from_ref(query), limit, &ids))
        };
        assert_eq!(among(&query, 0, IdSet::all(3)).unwrap(), [vec![]]);
        assert_eq!(among(&query, 3, IdSet::new()).unwrap(), [vec![]]);
        assert!(matches!(among(&query, 3, IdSet::all(3)), Err(Error::Cancelled)));
        let short = Embedding::new([1.0]).unwrap();
        assert!(matches!(among(&short, 0, IdSet::all(3)), Err(Error::InvalidInput { .. })));
    }
}

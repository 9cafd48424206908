//! [`Refine`]: exact scores for the candidates of an approximate index.

use std::fmt;

use async_trait::async_trait;

use crate::embedder::Embedding;
use crate::forward::check_count;
use crate::index::{FlatIndex, Hits, IdSet, Neighbor, VectorIndex, check_ids};
use crate::{Error, Result, pool};

/// Takes candidates from an approximate index and ranks them by their exact scores, computed from
/// the original vectors. The vectors may be in a mapped file: only the candidates' are read.
///
/// ```
/// use futures::executor::block_on;
/// use imagerag::embedder::Embedding;
/// use imagerag::index::{FlatIndex, Precision, Refine, VectorIndex};
///
/// // Vectors in 16 bits stand for an approximate index here.
/// let mut exact = FlatIndex::new(2)?;
/// let mut approximate = FlatIndex::with_precision(2, Precision::F16)?;
/// for angle in [0.1_f32, 0.2, 0.3] {
///     let vector = Embedding::new([angle.cos(), angle.sin()])?;
///     exact.add(&vector)?;
///     approximate.add(&vector)?;
/// }
/// let index = block_on(Refine::new(approximate, exact.clone()))?.with_factor(8);
/// let queries = [Embedding::new([1.0, 0.0])?];
/// assert_eq!(block_on(index.search(&queries, 2))?, block_on(exact.search(&queries, 2))?);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Refine<I> {
    index: I,
    vectors: FlatIndex,
    factor: usize,
}

impl<I: VectorIndex> Refine<I> {
    /// Refines `index`, whose id `n` is the vector `n` of `vectors`.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when the dimensions differ, or `vectors` has fewer vectors than
    /// `index`; those of `index`.
    pub async fn new(index: I, vectors: FlatIndex) -> Result<Self> {
        let count = index.count().await?;
        let shape = |count, dim| format!("{count} x {dim} values");
        if index.dim() != vectors.dim() || count > vectors.len() {
            let found = shape(vectors.len(), vectors.dim());
            return Err(Error::incompatible(&index, &vectors, shape(count, index.dim()), found));
        }
        Ok(Self { index, vectors, factor: 4 })
    }

    /// Candidates per wanted neighbor, at least 1: more give a better recall and take longer.
    /// Default: 4.
    pub const fn with_factor(mut self, factor: usize) -> Self {
        self.factor = factor;
        self
    }

    /// The approximate index.
    pub const fn index(&self) -> &I {
        &self.index
    }

    async fn refine(&self, queries: &[Embedding], limit: usize, candidates: Hits) -> Result<Hits> {
        check_count(&self.index, "lists", queries.len(), candidates.len())?;
        let rows = self.vectors.len() as u64;
        check_ids(&self.index, &candidates, format!("less than {rows}"), |id| id < rows)?;
        let (vectors, queries) = (self.vectors.clone(), queries.to_vec());
        let each = move |(query, candidates): (&[Embedding], Vec<Neighbor>)| {
            let ids: IdSet = candidates.iter().map(|candidate| candidate.id).collect();
            Ok(vectors.blocking_search(query, limit, Some(&ids))?.swap_remove(0))
        };
        pool::run("exact search", move || queries.chunks(1).zip(candidates).map(each).collect())
            .await
    }

    fn proposed(&self, limit: usize) -> usize {
        limit.saturating_mul(self.factor.max(1))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: VectorIndex> VectorIndex for Refine<I> {
    fn dim(&self) -> usize {
        self.index.dim()
    }

    async fn count(&self) -> Result<usize> {
        self.index.count().await
    }

    async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Hits> {
        let candidates = self.index.search(queries, self.proposed(limit)).await?;
        self.refine(queries, limit, candidates).await
    }

    async fn search_among(&self, queries: &[Embedding], limit: usize, ids: &IdSet) -> Result<Hits> {
        let candidates = self.index.search_among(queries, self.proposed(limit), ids).await?;
        self.refine(queries, limit, candidates).await
    }
}

impl<I: VectorIndex> fmt::Display for Refine<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refine({}, {})", self.index, self.vectors)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::index::Precision;

    fn index_of(vectors: &[Embedding], precision: Precision) -> FlatIndex {
        let mut index = FlatIndex::with_precision(vectors[0].dim(), precision).unwrap();
        let added = vectors.iter().map(|vector| index.add(vector).unwrap());
        assert!(added.eq(0..vectors.len() as u64));
        index
    }

    fn circle(count: usize) -> Vec<Embedding> {
        let turns = (0..count).map(|n| (n as f32 * 2.399_963).sin_cos());
        turns.map(|(y, x)| Embedding::new([x, y]).unwrap()).collect()
    }

    #[test]
    fn scores_are_exact_whatever_proposed() {
        let vectors = circle(300);
        let exact = index_of(&vectors, Precision::F32);
        let refined =
            block_on(Refine::new(index_of(&vectors, Precision::F16), exact.clone())).unwrap();
        assert_eq!(refined.to_string(), "Refine(Flat(f16), Flat)");
        let expected = block_on(exact.search(&vectors[..20], 5)).unwrap();
        assert_eq!(block_on(refined.search(&vectors[..20], 5)).unwrap(), expected);
        #[cfg(feature = "testing")]
        block_on(crate::testing::conformance::vector_index(&refined, &vectors, 1.0));
        let greedy = refined.with_factor(0);
        assert_eq!(block_on(greedy.search(&vectors[..1], 1)).unwrap()[0][0].id, 0);
    }

    #[test]
    fn vectors_of_another_shape_are_refused() {
        let (many, few) = (circle(10), circle(9));
        let flat = |vectors: &[Embedding]| index_of(vectors, Precision::F32);
        assert!(block_on(Refine::new(flat(&few), flat(&many))).is_ok());
        let error = block_on(Refine::new(flat(&many), flat(&few))).unwrap_err().to_string();
        assert_eq!(error, "Flat does not fit Flat: expected 10 x 2 values, found 9 x 2 values");
    }
}

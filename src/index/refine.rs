//! [`Refine`]: candidates of an approximate index to neighbors with exact scores.

use std::fmt;

use crate::embedder::Embedding;
use crate::index::{FlatIndex, IdSet, Neighbor, VectorIndex};
use crate::{Error, Result};

/// An index that proposes, and the vectors themselves that decide: each query's candidates are
/// compared with it once more, exactly. The vectors may be a mapped file, which then is read only
/// where candidates are.
#[derive(Clone, Debug)]
pub struct Refine<I> {
    index: I,
    vectors: FlatIndex,
    factor: usize,
}

impl<I: VectorIndex> Refine<I> {
    /// Candidates of `index`, whose ids are their places in `vectors`.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when the dimensions differ, or `vectors` are fewer.
    pub fn new(index: I, vectors: FlatIndex) -> Result<Self> {
        let shape = |index: &dyn VectorIndex| format!("{} x {} values", index.count(), index.dim());
        if index.dim() != vectors.dim() || index.count() > vectors.count() {
            return Err(Error::Incompatible {
                left: index.to_string(),
                right: vectors.to_string(),
                expected: shape(&index),
                found: shape(&vectors),
            });
        }
        Ok(Self { index, vectors, factor: 4 })
    }

    /// Candidates a neighbor that is wanted, at least 1; more find more, slower. Default: 4.
    pub const fn with_factor(mut self, factor: usize) -> Self {
        self.factor = factor;
        self
    }

    /// The index that proposes.
    pub const fn index(&self) -> &I {
        &self.index
    }

    fn refine(
        &self,
        queries: &[Embedding],
        limit: usize,
        candidates: Vec<Vec<Neighbor>>,
    ) -> Result<Vec<Vec<Neighbor>>> {
        let each = queries.chunks(1).zip(candidates);
        each.map(|(query, candidates)| {
            let ids: IdSet = candidates.iter().map(|candidate| candidate.id).collect();
            Ok(self.vectors.search_among(query, limit, &ids)?.swap_remove(0))
        })
        .collect()
    }

    fn proposed(&self, limit: usize) -> usize {
        limit.saturating_mul(self.factor.max(1))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<I: VectorIndex> VectorIndex for Refine<I> {
    fn dim(&self) -> usize {
        self.index.dim()
    }

    fn count(&self) -> usize {
        self.index.count()
    }

    fn search(&self, queries: &[Embedding], limit: usize) -> Result<Vec<Vec<Neighbor>>> {
        self.refine(queries, limit, self.index.search(queries, self.proposed(limit))?)
    }

    fn search_among(
        &self,
        queries: &[Embedding],
        limit: usize,
        ids: &IdSet,
    ) -> Result<Vec<Vec<Neighbor>>> {
        let candidates = self.index.search_among(queries, self.proposed(limit), ids)?;
        self.refine(queries, limit, candidates)
    }
}

impl<I: VectorIndex> fmt::Display for Refine<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refine({}, {})", self.index, self.vectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Precision;

    fn index_of(vectors: &[Embedding], precision: Precision) -> FlatIndex {
        let mut index = FlatIndex::with_precision(vectors[0].dim(), precision).unwrap();
        vectors.iter().for_each(|vector| {
            index.add(vector).unwrap();
        });
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
        let refined = Refine::new(index_of(&vectors, Precision::F16), exact.clone()).unwrap();
        assert_eq!(refined.to_string(), "Refine(Flat(f16), Flat)");
        let expected = exact.search(&vectors[..20], 5).unwrap();
        assert_eq!(refined.search(&vectors[..20], 5).unwrap(), expected);
        #[cfg(feature = "testing")]
        crate::testing::conformance::vector_index(&refined, &vectors, 1.0);
        let greedy = refined.with_factor(0);
        assert_eq!(greedy.search(&vectors[..1], 1).unwrap()[0][0].id, 0);
    }

    #[test]
    fn vectors_of_another_shape_are_refused() {
        let (many, few) = (circle(10), circle(9));
        let flat = |vectors: &[Embedding]| index_of(vectors, Precision::F32);
        assert!(Refine::new(flat(&few), flat(&many)).is_ok());
        let error = Refine::new(flat(&many), flat(&few)).unwrap_err().to_string();
        assert_eq!(error, "Flat does not fit Flat: expected 10 x 2 values, found 9 x 2 values");
    }
}

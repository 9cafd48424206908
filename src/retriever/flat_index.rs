//! [`FlatIndex`]: exact search, every vector compared with every query.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fmt;
use std::num::NonZero;
use std::thread;

use crate::retriever::{Embedding, Neighbor, VectorIndex};
use crate::{Error, Result};

/// Vectors in memory, searched exhaustively on all cores: exact, and fast enough for the paper's
/// 350,000 images.
#[derive(Clone, Debug)]
pub struct FlatIndex {
    dim: usize,
    /// `[count, dim]`, row by row.
    rows: Vec<f32>,
}

/// Rows that are compared with all queries while they are in the cache.
const BLOCK: usize = 64;
/// Fewer multiplications than this are not worth another thread.
const WORK_PER_THREAD: usize = 1 << 20;

impl FlatIndex {
    /// An empty index of vectors of `dim` values.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `dim` is 0.
    pub fn new(dim: usize) -> Result<Self> {
        if dim == 0 {
            return Err(Error::invalid_input("dimension", "at least 1", dim));
        }
        Ok(Self { dim, rows: Vec::new() })
    }

    /// Adds a vector; its id is the number of vectors before it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the embedding is of another dimension.
    pub fn add(&mut self, embedding: &Embedding) -> Result<u64> {
        self.check(embedding)?;
        let id = self.count() as u64;
        self.rows.extend_from_slice(embedding.values());
        Ok(id)
    }

    fn check(&self, embedding: &Embedding) -> Result<()> {
        if embedding.dim() != self.dim {
            return Err(Error::invalid_input(
                format!("embedding for {self}"),
                format!("{} values", self.dim),
                format!("{} values", embedding.dim()),
            ));
        }
        Ok(())
    }

    /// The best `limit` of the rows from `first` on, `rows` being those rows, for each query.
    fn scan(&self, rows: &[f32], first: usize, queries: &[Embedding], limit: usize) -> Vec<Best> {
        let mut best: Vec<Best> = queries.iter().map(|_| Best::new(limit)).collect();
        for (number, block) in rows.chunks(BLOCK * self.dim).enumerate() {
            for (query, best) in queries.iter().zip(&mut best) {
                for (at, row) in block.chunks_exact(self.dim).enumerate() {
                    let score = dot(query.values(), row).clamp(-1.0, 1.0);
                    best.offer(Ranked(Neighbor {
                        id: (first + number * BLOCK + at) as u64,
                        score,
                    }));
                }
            }
        }
        best
    }
}

impl VectorIndex for FlatIndex {
    fn dim(&self) -> usize {
        self.dim
    }

    fn count(&self) -> usize {
        self.rows.len() / self.dim
    }

    fn search(&self, queries: &[Embedding], limit: usize) -> Result<Vec<Vec<Neighbor>>> {
        for query in queries {
            self.check(query)?;
        }
        let limit = limit.min(self.count());
        if limit == 0 || queries.is_empty() {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        let work = self.rows.len().saturating_mul(queries.len());
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (work / WORK_PER_THREAD).clamp(1, cores);
        let share = self.count().div_ceil(threads);
        let parts: Vec<Vec<Best>> = thread::scope(|scope| {
            let mut shares = self.rows.chunks(share * self.dim).enumerate();
            let own = shares.next();
            let others: Vec<_> = shares
                .map(|(n, rows)| scope.spawn(move || self.scan(rows, n * share, queries, limit)))
                .collect();
            let own = own.map(|(_, rows)| self.scan(rows, 0, queries, limit));
            let others = others.into_iter().filter_map(|thread| thread.join().ok());
            own.into_iter().chain(others).collect()
        });
        let mut merged: Vec<Best> = queries.iter().map(|_| Best::new(limit)).collect();
        for part in parts {
            for (all, some) in merged.iter_mut().zip(part) {
                some.heap.into_iter().for_each(|ranked| all.offer(ranked));
            }
        }
        Ok(merged.into_iter().map(Best::into_sorted).collect())
    }
}

impl fmt::Display for FlatIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flat")
    }
}

/// Dot product in sixteen lanes, which the compiler turns into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_lanes.remainder().iter().zip(b_lanes.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_lanes.zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// A neighbour, ordered so that the greatest is the worst: the lowest score, then the highest id.
#[derive(Clone, Copy, PartialEq)]
struct Ranked(Neighbor);

impl Eq for Ranked {}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.score.total_cmp(&self.0.score).then(self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best neighbours so far, the worst of them on top.
struct Best {
    limit: usize,
    heap: BinaryHeap<Ranked>,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::with_capacity(limit.min(1 << 16)) }
    }

    fn offer(&mut self, ranked: Ranked) {
        if self.heap.len() < self.limit {
            self.heap.push(ranked);
        } else if let Some(mut worst) = self.heap.peek_mut().filter(|worst| ranked < **worst) {
            *worst = ranked;
        }
    }

    fn into_sorted(self) -> Vec<Neighbor> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` vectors of `dim` values from a small linear congruential generator.
    fn vectors(count: usize, dim: usize) -> Vec<Embedding> {
        let mut state = 7u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count)
            .map(|_| Embedding::new((0..dim).map(|_| next()).collect::<Vec<_>>()).unwrap())
            .collect()
    }

    fn index_of(vectors: &[Embedding]) -> FlatIndex {
        let mut index = FlatIndex::new(vectors[0].dim()).unwrap();
        for (n, vector) in vectors.iter().enumerate() {
            assert_eq!(index.add(vector).unwrap(), n as u64);
        }
        index
    }

    /// The galleries whose tails the paper's release loses (official code, A.7 item 3).
    #[test]
    fn finds_every_vector_whatever_the_number() {
        for count in [1, 63, 64, 65, 2_049, 3_000, 4_096, 5_000] {
            let vectors = vectors(count, 8);
            let index = index_of(&vectors);
            // Some of all, and the whole tail.
            for n in (0..count).filter(|n| n % 61 == 0 || n + 70 > count) {
                let found = index.search(&vectors[n..=n], 1).unwrap();
                assert_eq!(found[0][0].id, n as u64, "of {count}");
            }
        }
    }

    #[test]
    fn ties_go_to_the_lower_id() {
        let mut twice = vectors(40, 24);
        twice.extend(twice.clone());
        let found = index_of(&twice).search(&twice[..1], 2).unwrap();
        assert_eq!(found[0].iter().map(|n| n.id).collect::<Vec<_>>(), [0, 40]);
    }

    #[cfg(feature = "testing")]
    #[test]
    fn keeps_the_contract_on_one_thread_and_on_many() {
        for (count, dim) in [(1, 3), (300, 19), (9_000, 128)] {
            let vectors = vectors(count, dim);
            crate::testing::conformance::vector_index(&index_of(&vectors), &vectors, 1.0);
        }
    }

    #[test]
    fn another_dimension_is_named() {
        let mut index = FlatIndex::new(4).unwrap();
        let error = index.add(&vectors(1, 3)[0]).unwrap_err().to_string();
        assert_eq!(error, "embedding for Flat: expected 4 values, found 3 values");
        assert!(FlatIndex::new(0).is_err());
    }
}

//! Scores in any order to the best few of them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::index::Neighbor;

/// A neighbor, ordered so that the greatest is the worst: the lowest score, then the highest id.
#[derive(Clone, Copy, PartialEq)]
struct Ranked(Neighbor);

impl Eq for Ranked {}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.by_rank(&other.0)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best neighbors so far, the worst of them on top.
pub(crate) struct Best {
    limit: usize,
    heap: BinaryHeap<Ranked>,
    /// What a score must reach to be among the best.
    least: f32,
}

impl Best {
    pub(crate) fn new(limit: usize) -> Self {
        let heap = BinaryHeap::with_capacity(limit.min(1 << 16));
        Self { limit, heap, least: f32::NEG_INFINITY }
    }

    /// Keeps the neighbor if it is among the best; one whose score is not a number never is.
    pub(crate) fn offer(&mut self, id: u64, score: f32) {
        if score >= self.least {
            self.take(Ranked(Neighbor { id, score: score.clamp(-1.0, 1.0) }));
        }
    }

    /// Keeps the best of `self` and `other`.
    pub(crate) fn merge(&mut self, other: Self) {
        other.heap.into_iter().for_each(|ranked| self.take(ranked));
    }

    fn take(&mut self, ranked: Ranked) {
        if self.heap.len() < self.limit {
            self.heap.push(ranked);
        } else if let Some(mut worst) = self.heap.peek_mut().filter(|worst| ranked < **worst) {
            *worst = ranked;
        }
        if self.heap.len() == self.limit {
            self.least = self.heap.peek().map_or(self.least, |worst| worst.0.score);
        }
    }

    /// The best, the best first.
    pub(crate) fn into_sorted(self) -> Vec<Neighbor> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

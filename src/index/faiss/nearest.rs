//! Queries to their nearest vectors: FAISS' answers filtered, in our order, and as many as wanted.

use std::sync::atomic::Ordering;

use super::handle::{Params, Selector};
use super::{FaissIndex, values};
use crate::Result;
use crate::embedder::Embedding;
use crate::index::{FlatIndex, Hits, IdSet, Neighbor, VectorIndex, check_dim};

/// A filter that leaves fewer vectors than one in this many is faster, and better, to go through one
/// by one than by a graph whose nodes it hides.
const ONE_IN: usize = 10;
/// The same, for an index of any size.
const MANY: usize = 100_000;
/// Vectors that are decoded at once.
const DECODED: usize = 4_096;

impl FaissIndex {
    /// [`search`](VectorIndex::search), or [`search_among`](VectorIndex::search_among) if `among` is
    /// given, on this thread: for a thread that may wait. It saves the way to another and back, which
    /// takes some 12 µs; a query in HNSW takes 150.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when a query is of another dimension;
    /// [`Error::Backend`](crate::Error::Backend) with FAISS' words when it fails.
    pub fn blocking_search(
        &self,
        queries: &[Embedding],
        limit: usize,
        among: Option<&IdSet>,
    ) -> Result<Vec<Vec<Neighbor>>> {
        check_dim(self, queries)?;
        let among = among.map(|among| among.intersection(&self.ids));
        let findable = among.as_ref().unwrap_or(&self.ids);
        let wanted = limit.min(findable.len());
        if wanted == 0 || queries.is_empty() {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        let held = self.handle.count();
        let few = findable.len() <= (held / ONE_IN).min(MANY);
        if let Some(places) = self.handle.decodable().filter(|_| few) {
            return self.scan(queries, wanted, findable, places);
        }

        let (mut found, mut open) = self.ask_gpu(queries, wanted, findable)?;
        let lists = self.lists();
        // One more than wanted shows whether the last score is shared by others.
        let (mut k, mut nprobe) = ((wanted + 1).min(held), lists.map(|lists| lists.nprobe));
        while !open.is_empty() {
            let asked = values(open.iter().map(|&query| &queries[query]));
            let (scores, ids) = self.ask(&asked, k, nprobe, findable)?;
            // A graph has vectors that no path leads to.
            let everywhere = match lists {
                Some(lists) => nprobe >= Some(lists.count),
                None => self.handle.decodable().is_none(),
            };
            let (mut tied, mut short) = (Vec::new(), Vec::new());
            for ((&query, scores), ids) in
                open.iter().zip(scores.chunks_exact(k)).zip(ids.chunks_exact(k))
            {
                let (list, is_tied) = settle(scores, ids, wanted, findable);
                if k < held && is_tied {
                    tied.push(query);
                } else if list.len() < wanted && (k < held || !everywhere) {
                    short.push(query);
                }
                found[query] = list;
            }
            if let Some(places) = self.handle.decodable().filter(|_| !short.is_empty()) {
                let queries: Vec<_> = short.iter().map(|&query| queries[query].clone()).collect();
                let lists = self.scan(&queries, wanted, findable, places)?;
                short.drain(..).zip(lists).for_each(|(query, list)| found[query] = list);
            }
            k = k.saturating_mul(4).min(held);
            if !short.is_empty() {
                nprobe = nprobe.map(|nprobe| nprobe.saturating_mul(4));
            }
            open = [tied, short].concat();
        }
        Ok(found)
    }

    /// What a GPU finds for each query, and the queries that it leaves to the CPU: all of them where
    /// the index is on none.
    fn ask_gpu(
        &self,
        queries: &[Embedding],
        wanted: usize,
        findable: &IdSet,
    ) -> Result<(Hits, Vec<usize>)> {
        #[cfg(feature = "faiss-gpu")]
        if let Some(gpu) = &self.gpu {
            return gpu.nearest(queries, wanted, findable, self.handle.count());
        }
        let _ = (wanted, findable);
        Ok((vec![Vec::new(); queries.len()], (0..queries.len()).collect()))
    }

    /// FAISS' best `k` of each query; it leaves out what is not `findable` where it can.
    fn ask(
        &self,
        queries: &[f32],
        k: usize,
        nprobe: Option<usize>,
        findable: &IdSet,
    ) -> Result<(Vec<f32>, Vec<i64>)> {
        let filter = findable.len() < self.handle.count();
        if filter && self.selects.load(Ordering::Relaxed) {
            let params = Params { among: Some(Selector::new(findable)?), nprobe };
            if let Ok(found) = self.handle.search(queries, k, &params) {
                return Ok(found);
            }
            // Most likely a type of index that takes no selector; if not, this tells.
            self.selects.store(false, Ordering::Relaxed);
        }
        self.handle.search(queries, k, &Params { among: None, nprobe })
    }

    /// Compares the queries with each vector that is `findable`; `places` are ids in FAISS' order.
    fn scan(
        &self,
        queries: &[Embedding],
        wanted: usize,
        findable: &IdSet,
        places: &[i64],
    ) -> Result<Hits> {
        let ids = places.iter().map(|id| id.unsigned_abs()).enumerate();
        let chosen: Vec<_> = ids.filter(|(_, id)| findable.contains(*id)).collect();
        let mut found = vec![Vec::new(); queries.len()];
        for some in chosen.chunks(DECODED) {
            let mut rows = vec![0.0; some.len() * self.dim()];
            for (row, &(place, _)) in rows.chunks_exact_mut(self.dim()).zip(some) {
                self.handle.decode(place, row)?;
            }
            let best = FlatIndex::of(self.dim(), rows).blocking_search(queries, wanted, None)?;
            for (found, best) in found.iter_mut().zip(best) {
                found.extend(best.iter().map(|n| Neighbor { id: some[n.id as usize].1, ..*n }));
                found.sort_unstable_by(Neighbor::by_rank);
                found.truncate(wanted);
            }
        }
        Ok(found)
    }
}

/// The `wanted` best of one query's results that are findable, in our order; and whether a result
/// that FAISS left out may score the same as the last and have a lower id.
pub(crate) fn settle(
    scores: &[f32],
    ids: &[i64],
    wanted: usize,
    findable: &IdSet,
) -> (Vec<Neighbor>, bool) {
    let mut list = neighbors(scores, ids);
    let worst = list.last().filter(|_| list.len() == ids.len()).map(|worst| worst.score);
    // NSG returns some vectors twice.
    list.dedup_by_key(|neighbor| neighbor.id);
    list.retain(|neighbor| findable.contains(neighbor.id));
    list.truncate(wanted);
    let last = list.last().filter(|_| list.len() == wanted).map(|last| last.score);
    (list, last.is_some() && last == worst)
}

/// One query's results without the places that FAISS left empty, in our order.
fn neighbors(scores: &[f32], ids: &[i64]) -> Vec<Neighbor> {
    let hits = scores.iter().zip(ids).filter_map(|(&score, &id)| {
        let id = u64::try_from(id).ok().filter(|_| !score.is_nan())?;
        Some(Neighbor { id, score: score.clamp(-1.0, 1.0) })
    });
    let mut list: Vec<_> = hits.collect();
    list.sort_unstable_by(Neighbor::by_rank);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_ends_in_a_tie_is_not_settled() {
        let found = |scores: &[f32], ids: &[i64], wanted, findable: &[u64]| {
            let findable = findable.iter().copied().collect();
            let (list, is_tied) = settle(scores, ids, wanted, &findable);
            (list.iter().map(|n| n.id).collect::<Vec<_>>(), is_tied)
        };
        let scores = [0.9, 0.8, 0.8, 0.7];
        assert_eq!(found(&scores, &[5, 4, 3, 2], 2, &[2, 3, 4, 5]), (vec![5, 3], false));
        assert_eq!(found(&scores[..3], &[5, 4, 3], 2, &[2, 3, 4, 5]), (vec![5, 3], true));
        assert_eq!(found(&scores[..3], &[5, 4, 3], 3, &[4, 5]), (vec![5, 4], false), "short");
        assert_eq!(found(&scores[..3], &[5, 4, -1], 2, &[4, 5]), (vec![5, 4], false), "all seen");
        assert_eq!(found(&scores, &[5, 4, 4, 3], 3, &[3, 4, 5]), (vec![5, 4, 3], true), "twice");
    }
}

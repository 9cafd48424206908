//! Queries to their nearest vectors: FAISS' answers filtered, in our order, and as many as wanted.

use std::sync::atomic::Ordering;

use super::handle::{Params, Selector};
use super::{FaissIndex, values};
use crate::Result;
use crate::retriever::index::check_dim;
use crate::retriever::{Embedding, FlatIndex, IdSet, Neighbor, VectorIndex};

/// A filter that leaves fewer vectors than one in this many is faster, and better, to go through one
/// by one than by a graph whose nodes it hides.
const ONE_IN: usize = 10;
/// The same, for an index of any size.
const MANY: usize = 100_000;
/// Vectors that are decoded at once.
const DECODED: usize = 4_096;

impl FaissIndex {
    /// The best `limit` of each query among `among`, or among all vectors.
    pub(super) fn nearest(
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
        let held = self.handle.most_results(wanted);
        let few = findable.len() <= (held / ONE_IN).min(MANY);
        if let Some(places) = self.handle.decodable().filter(|_| few) {
            return self.scan(queries, wanted, findable, places);
        }

        let lists = self.handle.lists();
        // One more than wanted shows whether the last score is shared by others.
        let (mut k, mut nprobe) = ((wanted + 1).min(held), lists.map(|lists| lists.nprobe));
        let mut found = vec![Vec::new(); queries.len()];
        let mut open: Vec<usize> = (0..queries.len()).collect();
        while !open.is_empty() {
            let asked = values(open.iter().map(|&query| &queries[query]));
            let (scores, ids) = self.ask(&asked, k, nprobe, findable)?;
            let everywhere = lists.is_none_or(|lists| nprobe >= Some(lists.count));
            let (mut tied, mut short) = (Vec::new(), Vec::new());
            for ((&query, scores), ids) in
                open.iter().zip(scores.chunks_exact(k)).zip(ids.chunks_exact(k))
            {
                let mut list = neighbors(scores, ids);
                let worst = list.last().filter(|_| list.len() == k).map(|worst| worst.score);
                list.retain(|neighbor| findable.contains(neighbor.id));
                list.truncate(wanted);
                match list.get(wanted - 1) {
                    // What FAISS left out may score the same and have a lower id.
                    Some(last) if k < held && worst == Some(last.score) => tied.push(query),
                    None if k < held || !everywhere => short.push(query),
                    _ => {}
                }
                found[query] = list;
            }
            if let Some(places) = self.handle.decodable().filter(|_| !short.is_empty()) {
                let queries: Vec<_> = short.iter().map(|&query| queries[query].clone()).collect();
                for (query, list) in
                    short.drain(..).zip(self.scan(&queries, wanted, findable, places)?)
                {
                    found[query] = list;
                }
            }
            k = k.saturating_mul(4).min(held);
            if !short.is_empty() {
                nprobe = nprobe.map(|nprobe| nprobe.saturating_mul(4));
            }
            open = [tied, short].concat();
        }
        Ok(found)
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
    ) -> Result<Vec<Vec<Neighbor>>> {
        let ids = places.iter().map(|id| id.unsigned_abs()).enumerate();
        let chosen: Vec<_> = ids.filter(|(_, id)| findable.contains(*id)).collect();
        let mut found = vec![Vec::new(); queries.len()];
        for some in chosen.chunks(DECODED) {
            let mut rows = vec![0.0; some.len() * self.dim()];
            for (row, &(place, _)) in rows.chunks_exact_mut(self.dim()).zip(some) {
                self.handle.decode(place, row)?;
            }
            let best = FlatIndex::of(self.dim(), rows).search(queries, some.len().min(wanted))?;
            for (found, best) in found.iter_mut().zip(best) {
                found.extend(best.iter().map(|n| Neighbor { id: some[n.id as usize].1, ..*n }));
                found.sort_unstable_by(Neighbor::by_rank);
                found.truncate(wanted);
            }
        }
        Ok(found)
    }
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

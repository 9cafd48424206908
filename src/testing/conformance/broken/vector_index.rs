//! Indexes that break one rule each.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;

use super::super::vector_index::*;
use super::super::{ANSWERS, NAMED};
use super::{Case, assert_refused, broke, named_unless_that_is_broken};
use crate::Result;
use crate::embedder::Embedding;
use crate::index::{FlatIndex, Hits, IdSet, Neighbor, VectorIndex};
use crate::testing::conformance;

/// What becomes of the neighbors of one query.
type Change = fn(&mut Vec<Neighbor>);

#[derive(Debug)]
struct Broken {
    rule: &'static str,
    change: Change,
    inner: FlatIndex,
    calls: AtomicUsize,
}

#[async_trait]
impl VectorIndex for Broken {
    fn dim(&self) -> usize {
        self.inner.dim() + usize::from(self.rule == DIM)
    }

    async fn count(&self) -> Result<usize> {
        Ok(self.inner.count().await? + usize::from(self.rule == COUNT))
    }

    async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Hits> {
        if self.rule == OTHER_DIM && queries.iter().any(|query| query.dim() != self.dim()) {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        let wide = limit + usize::from(self.rule == LIMIT || self.rule == RECALL);
        let mut lists = self.inner.search(queries, wide).await?;
        lists.iter_mut().for_each(self.change);
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        match self.rule {
            ANSWERS => return broke(),
            SAME if call % 2 == 1 => lists.iter_mut().for_each(|list| list.truncate(1)),
            ONE_EACH if limit == 0 => lists.clear(),
            _ => {}
        }
        Ok(lists)
    }

    async fn search_among(&self, queries: &[Embedding], limit: usize, ids: &IdSet) -> Result<Hits> {
        let mut lists = match self.rule {
            AMONG => self.inner.search(queries, limit).await?,
            _ => self.inner.search_among(queries, limit, ids).await?,
        };
        if self.rule == AMONG_RECALL {
            lists.iter_mut().for_each(Vec::clear);
        }
        Ok(lists)
    }
}

named_unless_that_is_broken!(Broken);

const KEEP: Change = |_| ();
/// Each changes its neighbors, or is broken by its name.
const BROKEN: [(&str, Change); 18] = [
    (NAMED, KEEP),
    (ANSWERS, KEEP),
    (COUNT, KEEP),
    (DIM, KEEP),
    (ONE_EACH, KEEP),
    (LIMIT, KEEP),
    (SAME, KEEP),
    (AMONG, KEEP),
    (AMONG_RECALL, KEEP),
    (OTHER_DIM, KEEP),
    (EMPTY, |list| list.push(Neighbor { id: 0, score: 1.0 })),
    (IDS, |list| list.iter_mut().for_each(|one| one.id += 1_000)),
    (IDS, |list| list.iter_mut().for_each(|one| one.id = u64::MAX)),
    (COSINE, |list| list.iter_mut().for_each(|one| one.score *= 0.5)),
    (ORDER, |list| list.reverse()),
    (TWICE, |list| list.iter_mut().for_each(|one| (one.id, one.score) = (0, 1.0))),
    (RECALL, |list| drop(list.drain(..list.len().min(1)))),
    (RECALL, |list| list.truncate(3)),
];

async fn suite(rule: &'static str, change: Change) {
    let turn = |n: usize| (n as f32 * 0.1).sin_cos();
    let vectors: Vec<_> = (0..if rule == EMPTY { 0 } else { 30 })
        .map(turn)
        .map(|(y, x)| Embedding::new([x, y]).unwrap())
        .collect();
    let mut inner = FlatIndex::new(2).unwrap();
    for vector in &vectors {
        inner.add(vector).unwrap();
    }
    let broken = Broken { rule, change, inner, calls: AtomicUsize::new(0) };
    conformance::vector_index(&broken, &vectors, 1.0).await;
}

#[test]
fn every_rule_can_be_broken() {
    let case = |(rule, change)| -> Case { (rule, suite(rule, change).boxed()) };
    assert_refused("VectorIndex", RULES, BROKEN.map(case).into());
    block_on(suite("none", KEEP));
}

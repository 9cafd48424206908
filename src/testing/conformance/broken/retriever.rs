//! Retrievers that break one rule each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;

use super::super::retriever::*;
use super::super::{ANSWERS, NAMED};
use super::{Case, assert_refused, broke, named_unless_that_is_broken};
use crate::Result;
use crate::reference::{Caption, Filter, Reference, Source};
use crate::retriever::{Catalog, CatalogEntry, EmbeddingRetriever, RetrieveRequest, Retriever};
use crate::testing::{FakeEmbedder, conformance, solid};

/// What becomes of the references of one caption.
type Change = fn(&mut Vec<Reference>);

/// Finds by color what its filter matches.
#[derive(Debug)]
struct Broken {
    rule: &'static str,
    change: Change,
    filter: Filter,
    inner: EmbeddingRetriever<FakeEmbedder>,
    calls: Arc<AtomicUsize>,
}

#[async_trait]
impl Retriever for Broken {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let mut lists = self.inner.retrieve(&request.clone().with_limit(usize::MAX)).await?;
        for list in &mut lists {
            let whole = self.filter.is_all();
            list.retain(|reference| self.filter.matches(&reference.provenance.metadata));
            match self.rule {
                FOUND => list.clear(),
                LIMIT => {}
                BEST if request.limit == 1 => drop(list.remove(0)),
                FILTER if !whole => (self.change)(list),
                _ => list.truncate(request.limit),
            }
            list.iter_mut().enumerate().for_each(|(rank, one)| one.provenance.rank = rank);
            list.truncate(request.limit + usize::from(self.rule == LIMIT));
            if self.rule != FILTER {
                (self.change)(list);
            }
            if self.rule == SAME {
                let call = self.calls.fetch_add(1, Ordering::Relaxed);
                list.iter_mut().for_each(|one| one.provenance.score += call as f32);
            }
        }
        match self.rule {
            ANSWERS => return broke(),
            NO_CAPTION if request.captions.is_empty() => lists.push(Vec::new()),
            ONE_EACH if request.limit == 0 => lists.clear(),
            _ => {}
        }
        Ok(lists)
    }
}

named_unless_that_is_broken!(Broken);

fn each(list: &mut [Reference], change: fn(&mut Reference)) {
    list.iter_mut().for_each(change);
}

const KEEP: Change = |_| ();
/// Each changes its references, or is broken by its name.
const BROKEN: [(&str, Change); 19] = [
    (NAMED, KEEP),
    (ANSWERS, KEEP),
    (NO_CAPTION, KEEP),
    (ONE_EACH, KEEP),
    (LIMIT, KEEP),
    (FOUND, KEEP),
    (SAME, KEEP),
    (BEST, KEEP),
    (CAPTION, |list| each(list, |one| one.caption = Caption::concept("something else"))),
    (RANK, |list| each(list, |one| one.provenance.rank += 1)),
    (TWICE, |list| each(list, |one| one.provenance.source = Source::Uri("red.png".into()))),
    (SCORE, |list| each(list, |one| one.provenance.score *= -1.0)),
    (SOURCE, |list| each(list, |one| one.provenance.source = elsewhere(one))),
    (METADATA, |list| each(list, |one| one.provenance.metadata.license = None)),
    (METADATA, |list| each(list, |one| one.provenance.metadata.author = Some("Ada".into()))),
    (METADATA, |list| each(list, |one| one.provenance.metadata.width = Some(7))),
    (PICTURE, |list| each(list, |one| one.picture = solid(8, 8, [9; 3]).into())),
    (FILTER, |list| list.clear()),
    (FILTER, |list| list.extend(list.clone())),
];

fn elsewhere(reference: &Reference) -> Source {
    Source::Uri(format!("https://{}", reference.provenance.source))
}

async fn suite(rule: &'static str, change: Change) {
    let colors = [("red.png", [255, 0, 0]), ("blue.png", [0, 0, 255]), ("pink.png", [255, 0, 90])];
    let mut known = colors.map(|(name, rgb)| CatalogEntry::new(name, solid(8, 8, rgb)));
    known[0].metadata.license = Some("CC0-1.0".into());
    known[1].metadata.width = Some(8);
    let catalog = Catalog::new(known.clone());
    let (inner, _) = EmbeddingRetriever::build(FakeEmbedder, catalog, |_, _| {}).await.unwrap();
    let broken = |filter| {
        let (inner, calls) = (inner.clone(), Arc::default());
        Ok(Broken { rule, change, filter, inner, calls })
    };
    let captions = ["a red thing", "a blue thing"].map(Caption::concept);
    conformance::retriever_over(&known, broken, &captions).await;
}

#[test]
fn every_rule_can_be_broken() {
    let case = |(rule, change)| -> Case { (rule, suite(rule, change).boxed()) };
    assert_refused("Retriever", RULES, BROKEN.map(case).into());
    block_on(suite("none", KEEP));
}

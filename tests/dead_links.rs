//! Pictures that may be missing: what is fetched of them, how many at a time, and where it ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use imagerag::conditioner::InPrompt;
use imagerag::pipeline::{RagConfig, Refusal, StopReason};
use imagerag::reference::{Caption, Picture, Provenance, Reference, Source};
use imagerag::retriever::RetrieveRequest;
use imagerag::testing::{FakeCritic, FakeGenerator, solid};
use imagerag::{Error, Image, RagOutcome, RagPipeline, Result, Retriever};

/// Finds as many pictures as are asked for, whose links are dead but for that of number `alive`.
#[derive(Clone, Debug)]
struct DeadLinks {
    alive: usize,
    fetches: Arc<AtomicUsize>,
    at_work: Arc<AtomicUsize>,
    /// The most fetches at a time.
    most: Arc<AtomicUsize>,
}

impl DeadLinks {
    fn but(alive: usize) -> Self {
        let (fetches, at_work, most) = (Arc::default(), Arc::default(), Arc::default());
        Self { alive, fetches, at_work, most }
    }

    /// Picture `n`, which takes a while.
    async fn fetch(self, n: usize) -> Result<Image> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let now = self.at_work.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        futures::pending!();
        self.at_work.fetch_sub(1, Ordering::Relaxed);
        let gone = || Error::backend("web", "it is gone");
        if n == self.alive { Ok(solid(4, 4, [9, 9, 9])) } else { Err(gone()) }
    }
}

impl fmt::Display for DeadLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeadLinks")
    }
}

#[async_trait]
impl Retriever for DeadLinks {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let reference = |caption: &Caption, n: usize| {
            let links = self.clone();
            let picture = Picture::lazy(format!("{n}"), move || links.clone().fetch(n));
            let provenance = Provenance::new(Source::Uri(format!("link {n}")), self, 0.5, n);
            let picture = picture.skipping_unreadable();
            Reference { picture, caption: caption.clone(), provenance }
        };
        let list = |caption| (0..request.limit).map(|n| reference(caption, n)).collect();
        Ok(request.captions.iter().map(list).collect())
    }
}

fn run(links: &DeadLinks, candidates: usize) -> RagOutcome {
    let mut config = RagConfig::default();
    config.candidates = candidates;
    let pipeline = RagPipeline::builder()
        .generator(FakeGenerator::new())
        .critic(FakeCritic::new().missing(["a quetzal"]))
        .retriever(links.clone())
        .conditioner(InPrompt::new(1).unwrap())
        .config(config)
        .build()
        .unwrap();
    let mut outcome = Box::pin(pipeline.run("a prompt"));
    loop {
        // Nothing wakes a fetch.
        if let Some(outcome) = outcome.as_mut().now_or_never() {
            return outcome.unwrap();
        }
        std::thread::yield_now();
    }
}

#[test]
fn dead_links_are_fetched_side_by_side() {
    // The first is there, and no other is fetched; then the second to fifth are fetched together.
    for (alive, fetches) in [(0, 1), (1, 5), (5, 9), (20, 21)] {
        let links = DeadLinks::but(alive);
        let outcome = run(&links, 50);
        assert_eq!(links.fetches.load(Ordering::Relaxed), fetches, "the {alive}th is there");
        assert_eq!(links.most.load(Ordering::Relaxed), fetches.min(4));
        let [found] = outcome.references.as_slice() else { panic!("one is there") };
        assert_eq!(found.provenance.source.to_string(), format!("link {alive}"));
        let unread =
            outcome.trace.hits().filter(|h| matches!(h.refused, Some(Refusal::Unreadable { .. })));
        assert_eq!(unread.count(), alive);
    }
}

#[test]
fn after_64_dead_links_no_more_are_tried_and_the_last_refusal_says_so() {
    for candidates in [1, 8, 1_000] {
        let links = DeadLinks::but(63);
        assert_eq!(run(&links, candidates).references.len(), 1);
        let links = DeadLinks::but(64);
        let outcome = run(&links, candidates);
        assert_eq!(outcome.stop, StopReason::NoUsefulReference);
        let fetches = links.fetches.load(Ordering::Relaxed);
        assert!((64..=67).contains(&fetches), "{fetches}: those beside the last are fetched too");
        let refusals: Vec<_> = outcome.trace.hits().map(|hit| hit.refused.clone()).collect();
        assert_eq!(refusals.len(), 64);
        let problem = "web of link 63 failed: it is gone".to_owned();
        let last = Refusal::TooManyUnreadable { count: 64, problem };
        assert_eq!(refusals.last(), Some(&Some(last)));
    }
}

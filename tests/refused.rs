//! A generator that declines a request by policy: the loop ends at once, with what there is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use futures::executor::block_on;
use imagerag::conditioner::{ConditioningKind, InPrompt};
use imagerag::generator::{Drawn, GenerateRequest};
use imagerag::middleware::Retry;
use imagerag::pipeline::{Record, Stage};
use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
use imagerag::{Error, Generator, RagError, RagPipeline, Result, Usage, async_trait};

/// Draws, charges, and declines every request whose prompt it is told of.
#[derive(Clone, Debug)]
struct Prim {
    inner: FakeGenerator,
    declines: &'static str,
    asked: Arc<AtomicUsize>,
}

impl fmt::Display for Prim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("prim")
    }
}

#[async_trait]
impl Generator for Prim {
    fn accepts(&self) -> &[ConditioningKind] {
        self.inner.accepts()
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if requests.iter().any(|request| request.prompt.contains(self.declines)) {
            return Err(Error::refused(self, "not allowed by our safety system"));
        }
        let drawn = self.inner.generate(requests).await?;
        Ok(drawn.into_iter().map(|one| one.with_usage(Usage::images(1))).collect())
    }
}

fn prim(declines: &'static str) -> Prim {
    Prim { inner: FakeGenerator::new(), declines, asked: Arc::default() }
}

fn pipeline(generator: impl Generator) -> RagPipeline {
    // The draft lacks a quetzal, which is found, so that a second image is asked for.
    let replies = ["no", "a quetzal", "a quetzal"].repeat(9);
    RagPipeline::builder()
        .generator(generator)
        .vlm(FakeVlm::new(replies))
        .retriever(FakeRetriever::new([("a quetzal", solid(64, 64, [0, 140, 70]))]))
        .conditioner(InPrompt::default())
        .build()
        .unwrap()
}

fn is_refused(error: &RagError) -> bool {
    matches!(&*error.source, Error::Refused { service, .. } if service == "prim")
}

#[test]
fn a_refusal_in_a_later_round_keeps_the_draft_and_the_trace() {
    let prim = prim("According to");
    let generator = Retry::new(prim.clone(), 3);
    let error = block_on(pipeline(generator).run("a bird at dawn")).unwrap_err();
    assert!(is_refused(&error), "{error}");
    assert_eq!(error.stage, Stage::Generate);
    assert!(error.best.is_some(), "the draft");
    // The draft and one more: a refusal is not tried again.
    assert_eq!(prim.asked.load(Ordering::Relaxed), 2);
    let drafts = error.trace.stages.iter().filter(|stage| {
        stage.stage == Stage::Draft && matches!(stage.record, Some(Record::Image(_)))
    });
    assert_eq!(drafts.count(), 1);
    assert_eq!(error.trace.usage().images, 1, "the draft was charged");
    let told = error.trace.error.as_ref().unwrap();
    assert!(told.contains("prim declines the request: not allowed by our safety system"), "{told}");
}

#[test]
fn a_refusal_of_the_draft_has_no_image() {
    let error = block_on(pipeline(prim("a bird")).run("a bird at dawn")).unwrap_err();
    assert!(is_refused(&error) && error.best.is_none() && error.stage == Stage::Draft);
}

#[test]
fn of_many_requests_those_that_are_refused_keep_their_drafts_and_others_go_on() {
    let pipeline = pipeline(prim("generate a bird"));
    let prompts = ["a bird at dawn", "a fish at dawn", "a bird at noon"];
    let mut results = block_on(pipeline.run_many(prompts, 1).collect::<Vec<_>>());
    results.sort_by_key(|(number, _)| *number);
    assert_eq!(results.len(), 3);
    for (number, result) in results {
        match result {
            Ok(outcome) => {
                assert_eq!(number, 1);
                assert!(!outcome.references.is_empty(), "it was drawn with what was found");
            }
            Err(error) => {
                assert!(is_refused(&error) && error.best.is_some() && number != 1, "{error}");
            }
        }
    }
}

//! The loop over parts of one's own: logged, retried, limited, cancelled.

use std::time::Duration;

use futures::StreamExt;
use futures::executor::block_on;
use imagerag::middleware::{Limit, Retry};
use imagerag::pipeline::{Event, RagConfig, Stage, StopReason};
use imagerag::{Generator, RagPipeline, RagRequest};
use outside::{Brush, Gallery, Judge, Oracle, Shelf};

fn pipeline(generator: impl Generator) -> RagPipeline {
    RagPipeline::builder()
        .generator(generator)
        .critic(Judge(Box::new(Oracle)))
        .retriever(Shelf(vec![("red bird", [250, 0, 0])]))
        .conditioner(Gallery)
        .config(RagConfig::default().with_max_rounds(2))
        .build()
        .unwrap()
}

#[test]
fn the_loop_finds_what_the_draft_is_missing_and_logs_every_question() {
    let outcome = block_on(pipeline(Brush::default()).run("a red bird")).unwrap();
    assert_eq!(outcome.stop, StopReason::Matched { round: 1 });
    assert_eq!(outcome.references[0].provenance.source.to_string(), "red bird.png");
    let asked: Vec<_> = outcome.trace.exchanges().collect();
    assert_eq!(asked.len(), 2);
    assert_eq!((asked[0].purpose.as_str(), asked[0].model.as_str()), ("judgement", "Oracle"));
    assert_eq!(asked[0].reply.as_deref(), Some("no"));
    let usage = outcome.trace.usage();
    assert_eq!((usage.images, usage.completion_tokens), (2, 2));
}

#[test]
fn a_generator_is_asked_again_and_no_more_often_than_it_can_bear() {
    let busy = Retry::new(Brush::busy_for(2), 2).with_first_wait(Duration::from_millis(1));
    let busy = Limit::new(busy, 1).unwrap();
    assert_eq!(busy.to_string(), "Limit(Retry(Brush, 2), 1)");
    let many = pipeline(busy).run_many(["a red bird", "one more red bird"], 2);
    let results: Vec<_> = block_on(many.collect());
    assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");

    let error = block_on(pipeline(Brush::busy_for(1)).run("a red bird")).unwrap_err();
    assert_eq!(error.chain().to_string(), "draft failed: Brush answered 503: busy");
}

#[test]
fn a_cancelled_stream_keeps_what_was_done() {
    let mut stream = pipeline(Brush::default()).stream(RagRequest::new("a red bird").with_seed(7));
    let drawn = block_on(async {
        while let Some(event) = stream.next().await {
            if let Event::Image { image, .. } = event {
                return image;
            }
        }
        panic!("no image was drawn");
    });
    let error = stream.cancel().unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(error.stage, Stage::Critique);
    assert_eq!(error.best, Some(drawn));
    assert_eq!(error.trace.stages[0].stage, Stage::Draft);
    assert_eq!((error.trace.seed, error.trace.error.as_deref()), (7, Some("cancelled")));
}

//! Requests that are watched, cancelled, or end with an error.

use std::future::pending;

use futures::executor::block_on;
use futures::{FutureExt, StreamExt};
use imagerag::pipeline::{Event, RagConfig, Stage};
use imagerag::testing::{FakeGenerator, FakeVlm};
use imagerag::vlm::{ChatReply, ChatRequest};
use imagerag::{Error, Image, RagError, RagPipeline, RagRequest, Vlm, async_trait};

use super::{PLAN, config, edited, parts};

/// The error of a request whose second edit fails.
fn failing(config: RagConfig, replies: &[&str]) -> (RagError, Vec<Image>) {
    let generator = FakeGenerator::new().failing_at(2);
    let (builder, _) = parts(&generator, replies);
    let pipeline = builder.config(config).build().unwrap();
    let error = block_on(pipeline.run("a red car")).unwrap_err();
    (error, edited(&generator))
}

#[test]
fn an_edit_that_fails_keeps_the_trace_and_the_best_image() {
    for (config, replies) in [
        (config(), &[PLAN, "no"][..]),
        (config().with_judge_each_edit(false), &[PLAN]),
        (config(), &[PLAN, "The eyes", "", "42", "perhaps"]), // The critic cannot tell.
    ] {
        let (error, edited) = failing(config, replies);
        assert_eq!(error.stage, Stage::Edit);
        assert_eq!(error.chain().to_string(), "edit failed: FakeGenerator failed: out of memory");
        assert_eq!(error.best.as_ref(), Some(&edited[1]), "the image of the first edit");
        let last = error.trace.stages.last().unwrap();
        assert_eq!((last.stage, &last.record), (Stage::Edit, &None));
    }
}

#[test]
fn a_planner_that_fails_keeps_the_draft() {
    let vlm = FakeVlm::default().then(Err(Error::service("planner", 500, "down")));
    let builder = RagPipeline::builder().generator(FakeGenerator::new()).vlm(vlm);
    let error = block_on(builder.config(config()).build().unwrap().run("a car")).unwrap_err();
    assert_eq!(error.stage, Stage::Plan);
    assert!(error.best.is_some());
    assert_eq!(error.trace.exchanges().count(), 1);
}

#[test]
fn a_stream_tells_of_plans_and_edits() {
    let (builder, _) = parts(&FakeGenerator::new(), &[PLAN, "no", "yes"]);
    let request = RagRequest::new("a red car").with_steps(2);
    let events: Vec<Event> = block_on(builder.build().unwrap().stream(request).collect());
    let (mut begun, mut steps, mut images) = (Vec::new(), Vec::new(), Vec::new());
    for event in &events {
        match event {
            Event::StageBegan { stage, round } => begun.push((*stage, *round)),
            Event::StageEnded(trace) => assert_eq!(Some(&trace.stage), begun.last().map(|b| &b.0)),
            Event::Step { stage, step, .. } => steps.push((*stage, step.index)),
            Event::Image { round, .. } => images.push(*round),
            _ => {}
        }
    }
    assert_eq!(
        begun,
        [
            (Stage::Draft, 0),
            (Stage::Plan, 1),
            (Stage::Edit, 1),
            (Stage::Critique, 1),
            (Stage::Edit, 1),
            (Stage::Critique, 1),
        ]
    );
    let expected = [Stage::Draft, Stage::Edit, Stage::Edit].map(|stage| [(stage, 1), (stage, 2)]);
    assert_eq!(steps, expected.concat());
    assert_eq!(images, [0, 1, 1]);
    assert!(matches!(events.last(), Some(Event::Done(result)) if result.is_ok()));
}

/// Plans, and never judges.
#[derive(Debug)]
struct Stuck;

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stuck")
    }
}

#[async_trait]
impl Vlm for Stuck {
    async fn chat(&self, request: &ChatRequest) -> imagerag::Result<ChatReply> {
        match request.messages[0].text.starts_with("This image was generated for") {
            true => Ok(PLAN.into()),
            false => pending().await,
        }
    }
}

#[test]
fn a_request_that_is_cancelled_keeps_its_edits() {
    let generator = FakeGenerator::new();
    let builder = RagPipeline::builder().generator(generator.clone()).vlm(Stuck);
    let mut stream = builder.config(config()).build().unwrap().stream("a red car");
    let (mut last, mut idle) = (None, 0);
    while idle < 20 {
        match stream.next().now_or_never() {
            Some(Some(Event::Image { image, .. })) => last = Some(image),
            Some(_) => idle = 0,
            None => idle += 1,
        }
    }
    let error = stream.cancel().unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!((error.stage, generator.requests().len()), (Stage::Critique, 2));
    assert_eq!((error.best.is_some(), error.best), (true, last), "the image of the first edit");
    assert_eq!(error.trace.exchanges().count(), 2);
}

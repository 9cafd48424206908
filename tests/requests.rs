//! What a request keeps when it is cancelled, how many are worked through at a time, and settings and
//! costs of single requests.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use futures::{FutureExt, Stream, StreamExt};
use imagerag::conditioner::{
    ConditionRequest, Conditioned, Conditioning, ConditioningKind, InPrompt,
};
use imagerag::generator::{Drawn, GenerateRequest};
use imagerag::pipeline::{Event, Mode, RagConfig, Record, Stage, StopReason};
use imagerag::testing::{FakeCritic, FakeGenerator, FakeRetriever, FakeVlm, solid};
use imagerag::vlm::{ChatReply, ChatRequest};
use imagerag::{
    Conditioner, Error, Generator, Price, RagError, RagOutcome, RagPipeline, RagRequest, Result,
    Usage, Vlm, async_trait,
};

fn parts() -> imagerag::pipeline::RagPipelineBuilder {
    let gallery = [("a quetzal on a branch", solid(8, 8, [0, 140, 70]))];
    RagPipeline::builder()
        .generator(FakeGenerator::new())
        .retriever(FakeRetriever::new(gallery))
        .conditioner(InPrompt::new(2).unwrap())
}

/// Answers the first question of each conversation, and never the second.
#[derive(Debug, Default)]
struct Stuck;

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stuck")
    }
}

#[async_trait]
impl Vlm for Stuck {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        match request.messages.len() {
            1 => Ok(ChatReply::new("no")),
            _ => pending().await,
        }
    }
}

/// Polls `stream` until it waits for something that does not come.
fn exhaust<S: Stream + Unpin>(stream: &mut S) -> Vec<S::Item> {
    let mut items = Vec::new();
    let mut idle = 0;
    while idle < 20 {
        match stream.next().now_or_never() {
            Some(Some(item)) => {
                items.push(item);
                idle = 0;
            }
            Some(None) => return items,
            None => idle += 1,
        }
    }
    items
}

fn cancelled(result: Result<RagOutcome, RagError>) -> RagError {
    let error = result.unwrap_err();
    assert!(error.is_cancelled() && matches!(*error.source, Error::Cancelled), "{error:?}");
    assert_eq!(error.trace.error.as_deref(), Some("cancelled"));
    error
}

#[test]
fn a_cancelled_request_keeps_trace_image_and_exchanges() {
    let pipeline = parts().vlm(Stuck).build().unwrap();
    let mut stream = pipeline.stream("a quetzal");
    exhaust(&mut stream);
    let error = cancelled(stream.cancel());
    assert_eq!(error.stage, Stage::Critique);
    assert!(error.best.is_some(), "the draft");
    let stages: Vec<_> = error.trace.stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(stages, [Stage::Draft, Stage::Critique]);
    let critique = &error.trace.stages[1];
    assert_eq!(critique.record, None);
    assert_eq!(critique.exchanges[0].reply.as_deref(), Some("no"));
}

#[test]
fn a_request_can_be_cancelled_before_and_while_it_draws() {
    let pipeline = parts().vlm(Stuck).build().unwrap();
    let error = cancelled(pipeline.stream("a quetzal").cancel());
    assert_eq!((error.stage, error.best), (Stage::Validate, None));
    let mut stream = pipeline.stream("a quetzal");
    let step = |event: Option<Event>| matches!(event, Some(Event::Step { .. }));
    while !step(block_on(stream.next())) {}
    let error = cancelled(stream.cancel());
    assert_eq!((error.stage, error.trace.stages.len()), (Stage::Draft, 1));
}

#[test]
fn a_stream_has_the_result_of_a_run_however_it_is_taken() {
    let pipeline = || parts().critic(FakeCritic::new().missing(["a quetzal"])).build().unwrap();
    let expected = block_on(pipeline().run("a quetzal")).unwrap();
    let outcome = block_on(pipeline().stream("a quetzal").outcome()).unwrap();
    assert_eq!((outcome.image, outcome.stop), (expected.image.clone(), expected.stop));
    let mut stream = pipeline().stream("a quetzal");
    let last = block_on(stream.by_ref().collect::<Vec<_>>()).pop();
    let Some(Event::Done(result)) = last else { panic!("{last:?}") };
    assert_eq!(result.unwrap().image, expected.image);
    assert_eq!(stream.cancel().unwrap().image, expected.image, "it had ended before");
}

/// Made in one place and used in another, as a web service does.
fn many(pipeline: &RagPipeline, prompts: &[&str]) -> impl Stream<Item = (usize, Event)> + use<> {
    pipeline.stream_many(prompts.iter().copied(), 2)
}

#[test]
fn each_of_many_tells_its_own_events() {
    let pipeline = parts().vlm(FakeVlm::new(["yes"; 5])).build().unwrap();
    let events = block_on(many(&pipeline, &["a", "b", "c", "d", "e"]).collect::<Vec<_>>());
    for number in 0..5 {
        let of_one: Vec<_> = events.iter().filter(|(n, _)| *n == number).collect();
        assert!(matches!(of_one[0].1, Event::StageBegan { stage: Stage::Draft, round: 0 }));
        let is_done = |event: &Event| matches!(event, Event::Done(result) if result.is_ok());
        assert!(is_done(&of_one[of_one.len() - 1].1));
        assert_eq!(of_one.iter().filter(|(_, event)| is_done(event)).count(), 1);
    }
}

#[test]
fn cancelling_many_hands_out_what_was_in_flight() {
    let pipeline = parts().vlm(Stuck).build().unwrap();
    let mut many = pipeline.run_many(["a", "b", "c"], 2);
    assert!(exhaust(&mut many).is_empty());
    let cut = many.cancel();
    assert_eq!(cut.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1]);
    for (_, result) in cut {
        assert_eq!(cancelled(result).trace.stages.len(), 2);
    }
    let pipeline = parts().vlm(FakeVlm::new(["yes"; 3])).build().unwrap();
    let mut many = pipeline.run_many(["a", "b", "c"], 2);
    assert_eq!(exhaust(&mut many).len(), 3);
    assert!(many.cancel().is_empty(), "all had been told");
}

#[test]
fn a_request_can_have_settings_of_its_own() {
    let critic = || FakeCritic::new().missing(["a quetzal"]).missing(["a quetzal"]);
    let pipeline = parts().critic(critic()).build().unwrap();
    let config = RagConfig::default().with_threshold(2.0);
    let request = RagRequest::new("a quetzal").with_config(config.clone());
    let outcome = block_on(pipeline.run(request)).unwrap();
    assert_eq!((outcome.stop, &outcome.trace.config), (StopReason::NoUsefulReference, &config));
    let outcome = block_on(pipeline.run("a quetzal")).unwrap();
    assert_eq!(outcome.stop, StopReason::RoundLimit, "the pipeline's own are as they were");

    // What the parts cannot do is refused before any of them is asked.
    for config in [RagConfig::default().with_mode(Mode::RephraseOnly), config.with_margin(0.1)] {
        let error = block_on(pipeline.run(RagRequest::new("a").with_config(config.clone())));
        let error = error.unwrap_err();
        assert_eq!(error.stage, Stage::Validate);
        assert!(matches!(*error.source, Error::MissingPart { .. }), "{error:?}");
        assert!(matches!(pipeline.with_config(config), Err(Error::MissingPart { .. })));
    }
    let twice = pipeline.with_config(RagConfig::default().with_max_rounds(2)).unwrap();
    assert_eq!((twice.config().max_rounds, pipeline.config().max_rounds), (2, 1));
}

/// A paid service that rewrites prompts.
#[derive(Debug, Default)]
struct Paid(AtomicUsize);

impl fmt::Display for Paid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paid")
    }
}

#[async_trait]
impl Generator for Paid {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        let draw = |request: &GenerateRequest| {
            let n = self.0.fetch_add(1, Ordering::SeqCst);
            let image = solid(4, 4, [n as u8; 3]);
            Drawn::from(image).with_usage(Usage::images(1)).with_note(request.prompt.to_uppercase())
        };
        Ok(requests.iter().map(draw).collect())
    }
}

#[test]
fn what_services_charge_is_summed_and_what_they_say_is_kept() {
    let mut reply = ChatReply::new("no");
    reply.usage = Some(Usage::tokens(1_000, 10));
    let vlm = FakeVlm::default().then(Ok(reply)).then(Ok(ChatReply::new("a quetzal")));
    let vlm = vlm.then(Ok(ChatReply::new("a photo of a quetzal")));
    let pipeline = parts().generator(Paid::default()).vlm(vlm).build().unwrap();
    let trace = block_on(pipeline.run("a quetzal")).unwrap().trace;
    assert_eq!(trace.usage().to_string(), "1000 + 10 tokens, 2 images");
    let by_part = trace.usage_by_part();
    assert_eq!(by_part["Paid"], Usage::images(2));
    assert_eq!(by_part["FakeVlm"], Usage::tokens(1_000, 10));
    let cost = trace.cost(|part| match part {
        "Paid" => Price { per_image: 0.04, ..Price::default() },
        _ => Price { per_million_prompt_tokens: 2.5, ..Price::default() },
    });
    assert!((cost - 0.082_5).abs() < 1e-9, "{cost}");
    let Some(Record::Image(image)) = &trace.stages[0].record else { panic!("a draft") };
    assert_eq!(image.note.as_deref(), Some("A QUETZAL"));
    // This generator has no mark of its own for images.
    let Some(Record::Conditioned { prompt, .. }) = &trace.stages[4].record else { panic!() };
    assert!(prompt.contains(": image 1, generate"), "{prompt}");
}

/// Panics where it is asked.
#[derive(Debug)]
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Panics")
    }
}

#[async_trait]
impl Vlm for Panics {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        panic!("no answer to {} messages", request.messages.len())
    }
}

#[test]
fn a_part_that_panics_fails_its_request_alone() {
    let pipeline = parts().vlm(Panics).build().unwrap();
    let results = block_on(pipeline.run_many(["a", "b", "c"], 2).collect::<Vec<_>>());
    assert_eq!(results.len(), 3);
    for (_, result) in results {
        let error = result.unwrap_err();
        let expected =
            "critique failed: a part of the pipeline failed: it panicked: no answer to 1 messages";
        assert_eq!(error.chain().to_string(), expected);
        assert!(error.best.is_some() && error.trace.stages.len() == 2, "{}", error.trace);
    }
    let error = block_on(pipeline.run("a")).unwrap_err();
    assert_eq!(error.stage, Stage::Critique);
}

#[test]
fn what_a_retrieval_judged_before_it_failed_is_kept() {
    let failing = || {
        let gallery = ["a quetzal", "the quetzal", "quetzal"]
            .map(|name| (name, solid(8, 8, [name.len() as u8; 3])));
        let config = RagConfig::default().with_candidates(3);
        parts()
            .critic(FakeCritic::new().missing(["a quetzal"]))
            .retriever(FakeRetriever::new(gallery))
            .config(config)
    };
    let refused = Error::service("eyes", 400, "no");
    let verifier = FakeVlm::new(["no"]).then(Err(refused));
    let pipeline = failing().verifier(verifier).build().unwrap();
    let error = block_on(pipeline.run("a quetzal")).unwrap_err();
    assert_eq!((error.stage, error.trace.hits().count()), (Stage::Retrieve, 1));

    let pipeline = failing().verifier(Once::default()).build().unwrap();
    let mut stream = pipeline.stream("a quetzal");
    exhaust(&mut stream);
    let error = cancelled(stream.cancel());
    assert_eq!((error.stage, error.trace.hits().count()), (Stage::Retrieve, 1));
}

/// Says no once, and nothing more.
#[derive(Debug, Default)]
struct Once(AtomicUsize);

impl fmt::Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

#[async_trait]
impl Vlm for Once {
    async fn chat(&self, _: &ChatRequest) -> Result<ChatReply> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(ChatReply::new("no")),
            _ => pending().await,
        }
    }
}

/// Names images, and makes something else.
#[derive(Debug)]
struct Liar(Conditioning);

impl fmt::Display for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Liar")
    }
}

#[async_trait]
impl Conditioner for Liar {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Images
    }

    fn capacity(&self) -> usize {
        1
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        Ok(Conditioned { prompt: request.prompt.clone(), conditioning: self.0.clone() })
    }
}

#[test]
fn a_conditioner_that_breaks_its_word_is_named() {
    for (made, found) in
        [(Conditioning::None, "no conditioning"), (Conditioning::Images(vec![]), "no image")]
    {
        let critic = FakeCritic::new().missing(["a quetzal"]);
        let pipeline = parts().critic(critic).conditioner(Liar(made)).build().unwrap();
        let error = block_on(pipeline.run("a quetzal")).unwrap_err().chain().to_string();
        assert!(error.starts_with("condition failed: Liar failed: expected "), "{error}");
        assert!(error.to_lowercase().contains(found), "{error}");
    }
}

#[test]
fn the_longest_prompt_has_room_for_its_references() {
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let pipeline = parts().critic(critic).build().unwrap();
    let outcome = block_on(pipeline.run("x".repeat(8_000))).unwrap();
    assert_eq!(outcome.references.len(), 1);
}

//! Which references the pipeline admits: those that a verifier sees the concept in, and that show
//! more of it than the draft.

#[allow(dead_code, reason = "shared with other tests")]
mod retrieval_support;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::ready;
use imagerag::conditioner::{ConditioningKind, InPrompt};
use imagerag::pipeline::{
    Mode, RagConfig, RagPipelineBuilder, Refusal, Stage, StopReason, Unclear,
};
use imagerag::reference::{Caption, Picture, Provenance, Reference, Source};
use imagerag::retriever::{Bm25, CaptionWriter, Fuse, Rerank, RetrieveRequest, VlmReranker};
use imagerag::testing::{
    FakeConditioner, FakeCritic, FakeEmbedder, FakeGenerator, FakeRetriever, FakeVlm, solid,
};
use imagerag::vlm::{ChatReply, Questions};
use imagerag::{Error, Image, RagOutcome, RagPipeline, Result, Retriever};
use retrieval_support::{Redness, Shelf, picture, refusing};

fn parts(retriever: impl Retriever) -> RagPipelineBuilder {
    RagPipeline::builder()
        .generator(FakeGenerator::new())
        .retriever(retriever)
        .conditioner(InPrompt::new(3).unwrap())
}

fn run(builder: RagPipelineBuilder) -> RagOutcome {
    block_on(builder.build().unwrap().run("a prompt")).unwrap()
}

fn used(outcome: &RagOutcome) -> Vec<String> {
    outcome.references.iter().map(|r| r.provenance.source.to_string()).collect()
}

fn refusals(outcome: &RagOutcome) -> Vec<Option<Refusal>> {
    outcome.trace.hits().map(|hit| hit.refused.clone()).collect()
}

#[test]
fn a_reference_that_the_verifier_does_not_see_is_refused_and_the_next_one_tried() {
    let verifier = FakeVlm::new(["No, it is a parrot.", "Yes."]);
    let shelf = Shelf::plain("Shelf", &["parrot", "quetzal", "other"]);
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let outcome = run(parts(shelf).critic(critic).verifier(verifier.clone()));
    assert_eq!(used(&outcome), ["quetzal"]);
    let answer = "No, it is a parrot.".to_owned();
    let expected = [Some(Refusal::NotShown { answer }), None, Some(Refusal::Surplus)];
    assert_eq!(refusals(&outcome), expected);
    let asked = verifier.requests();
    assert_eq!(asked.len(), 2, "no more questions than needed");
    assert_eq!(
        asked[0].messages[0].text,
        "Does this image show \"a quetzal\"? Only answer yes or no."
    );
    assert_eq!(asked[0].messages[0].images, [picture("parrot")]);
    let stage = outcome.trace.stages.iter().find(|s| s.stage == Stage::Retrieve).unwrap();
    assert_eq!(stage.exchanges.len(), 2);
    assert_eq!(stage.exchanges[0].purpose, "verification");
    assert_eq!(outcome.trace.parts.verifier.as_deref(), Some("FakeVlm"));
}

/// Finds eight pictures for every caption and counts those that are decoded; the second looks like
/// the first.
#[derive(Debug, Default)]
struct Eight(Arc<AtomicUsize>);

impl fmt::Display for Eight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Eight")
    }
}

#[async_trait]
impl Retriever for Eight {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let reference = |caption: &Caption, n: usize| {
            let decoded = Arc::clone(&self.0);
            let picture = Picture::lazy(format!("{n}"), move || {
                decoded.fetch_add(1, Ordering::Relaxed);
                ready(Ok(solid(4, 4, [n.max(1) as u8, 0, 0])))
            });
            let provenance = Provenance::new(Source::Uri(format!("{n}")), self, 0.5, n);
            Reference { picture, caption: caption.clone(), provenance }
        };
        let list = |caption| (0..8).map(|n| reference(caption, n)).collect();
        Ok(request.captions.iter().map(list).collect())
    }
}

#[test]
fn of_eight_candidates_as_many_are_decoded_as_are_needed() {
    let full = || vec![Some(Refusal::Surplus); 6];
    for (places, expected, decoded) in [
        (1, vec!["0"], 1),
        // The second is known for a duplicate by its pixels alone.
        (2, vec!["0", "2"], 3),
    ] {
        let eight = Eight::default();
        let counted = Arc::clone(&eight.0);
        let mut config = RagConfig::default();
        config.references_per_caption = places;
        let critic = FakeCritic::new().missing(["a quetzal"]);
        let outcome = run(parts(eight).critic(critic).config(config));
        assert_eq!(used(&outcome), expected);
        assert_eq!(counted.load(Ordering::Relaxed), decoded, "for {places} places");
        let second = if places == 1 { Refusal::Surplus } else { Refusal::Duplicate };
        assert_eq!(refusals(&outcome)[..2], [None, Some(second)]);
        assert_eq!(refusals(&outcome)[1 + places..], full()[places - 1..]);
    }
}

/// Retrieves on a thread of its own.
#[derive(Debug)]
struct Elsewhere<R>(Arc<R>);

impl<R: Retriever> fmt::Display for Elsewhere<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Elsewhere({})", self.0)
    }
}

#[async_trait]
impl<R: Retriever> Retriever for Elsewhere<R> {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let (reply, outcome) = oneshot::channel();
        let (inner, request) = (Arc::clone(&self.0), request.clone());
        std::thread::spawn(move || reply.send(block_on(inner.retrieve(&request))));
        outcome.await.unwrap()
    }
}

#[test]
fn a_retriever_that_works_on_another_thread_keeps_its_exchanges() {
    let writer = CaptionWriter::new(FakeVlm::new(["an ape", "a bee"]));
    let bm25 = Bm25::new().with_writer(writer);
    let inside = Rerank::new(Shelf::plain("Shelf", &["a", "b"]), bm25, 2).unwrap();
    let outside = Rerank::new(inside, VlmReranker::new(FakeVlm::new(["1"])), 2).unwrap();
    let critic = FakeCritic::new().missing(["a bee"]);
    let outcome = run(parts(Elsewhere(Arc::new(outside))).critic(critic));
    let stage = outcome.trace.stages.iter().find(|s| s.stage == Stage::Retrieve).unwrap();
    let purposes: Vec<_> = stage.exchanges.iter().map(|e| e.purpose.as_str()).collect();
    assert_eq!(purposes, ["caption", "caption", "re-ranking"]);
}

#[test]
fn what_re_rankers_say_to_a_model_is_in_the_trace_of_the_request_that_asked() {
    let shelf = Shelf::plain("Shelf", &["a", "b"]);
    let captions = FakeVlm::new(["an ape", "a bee"]);
    let bm25 = Bm25::new().with_writer(CaptionWriter::new(captions));
    let inside = Rerank::new(shelf, bm25, 2).unwrap();
    let by_vlm = VlmReranker::new(FakeVlm::new(["1", "0"]));
    // Two requests at once, on one thread: the first asks for captions, each for its own order.
    let critic = FakeCritic::new().missing(["x"]).missing(["y"]);
    let builder = parts(Rerank::new(inside, by_vlm, 2).unwrap()).critic(critic);
    let pipeline = builder.build().unwrap();
    let outcomes: Vec<_> = block_on(pipeline.run_many(["one", "two"], 2).collect());
    let mut purposes = Vec::new();
    for (_, outcome) in outcomes {
        let trace = outcome.unwrap().trace;
        let concept = trace.hits().next().unwrap().caption.concept.clone();
        let orders: Vec<_> = trace.exchanges().filter(|e| e.purpose == "re-ranking").collect();
        assert_eq!(orders.len(), 1);
        assert!(orders[0].messages[0].text.contains(&format!("\"{concept}\"")), "{concept}");
        assert_eq!((orders[0].messages[0].images, orders[0].model.as_str()), (2, "FakeVlm"));
        purposes.extend(trace.exchanges().map(|exchange| exchange.purpose.clone()));
    }
    purposes.sort();
    assert_eq!(purposes, ["caption", "caption", "re-ranking", "re-ranking"]);
}

#[test]
fn nothing_that_the_verifier_sees_leaves_the_draft() {
    let shelf = Shelf::plain("Shelf", &["a", "b"]);
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let outcome = run(parts(shelf).critic(critic).verifier(FakeVlm::new(["no", "no"])));
    assert_eq!(outcome.stop, StopReason::NoUsefulReference);
    assert_eq!(outcome.draft.as_ref(), Some(&outcome.image));
}

#[test]
fn a_verification_that_is_still_english_may_be_answered_in_english() {
    let questions = Questions::default()
        .with_decision("Passt dieses Bild zu „{prompt}“? Antworte nur mit ja oder nein.")
        .with_yes(["ja"])
        .with_no(["nein"]);
    let verifier = FakeVlm::new(["No.", "Yes."]);
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let builder = parts(Shelf::plain("Shelf", &["parrot", "quetzal"])).critic(critic);
    let outcome = run(builder.verifier(verifier).questions(questions));
    let answer = "No.".to_owned();
    assert_eq!(refusals(&outcome), [Some(Refusal::NotShown { answer }), None]);
    assert_eq!(used(&outcome), ["quetzal"]);
}

#[test]
fn an_unclear_answer_is_what_the_setting_says() {
    for reply in [
        ChatReply::new("The eyes are nice"),
        ChatReply::new(""),
        ChatReply::new("I'm sorry, I can't identify people. No."),
        refusing("not allowed"),
    ] {
        let answer = reply.refusal.clone().unwrap_or_else(|| reply.text.clone());
        let outcome = |unclear| {
            let verifier = FakeVlm::default().then(Ok(reply.clone()));
            let critic = FakeCritic::new().missing(["a quetzal"]);
            let builder = parts(Shelf::plain("Shelf", &["a"])).critic(critic);
            run(builder.verifier(verifier).config(RagConfig::default().with_unclear(unclear)))
        };
        let refused = outcome(Unclear::Refuse);
        assert_eq!(refusals(&refused), [Some(Refusal::Unverified { answer })]);
        assert_eq!(refused.stop, StopReason::NoUsefulReference);
        assert_eq!(used(&outcome(Unclear::Use)), ["a"]);
    }
    assert_eq!(RagConfig::default().unclear, Unclear::Refuse);
}

#[test]
fn the_verifier_is_asked_once_about_an_image_and_a_concept() {
    let verifier = FakeVlm::new(["no", "yes", "yes"]);
    let critic = FakeCritic::new().missing(["a quetzal"]).missing(["a quetzal"]);
    let shelf = Shelf::plain("Shelf", &["a", "b", "c"]);
    let builder = parts(shelf)
        .critic(critic)
        .verifier(verifier.clone())
        .config(RagConfig::default().with_max_rounds(3));
    let outcome = run(builder);
    assert_eq!(outcome.stop, StopReason::Matched { round: 2 });
    let asked: Vec<Image> =
        verifier.requests().iter().map(|r| r.messages[0].images[0].clone()).collect();
    assert_eq!(
        asked,
        ["a", "b", "c"].map(picture),
        "what is refused for another reason is not shown"
    );
    assert_eq!(used(&outcome), ["c"]);
}

#[test]
fn what_is_refused_anyway_is_not_verified() {
    let verifier = FakeVlm::new(["yes"]);
    let shelf = Shelf::new("Shelf", &[("a", 0.9, None), ("b", f32::NAN, None), ("c", 0.1, None)]);
    let critic = FakeCritic::new().missing(["a quetzal", "a resplendent quetzal"]);
    let outcome = run(parts(shelf)
        .critic(critic)
        .verifier(verifier.clone())
        .config(RagConfig::default().with_threshold(0.5)));
    assert_eq!(used(&outcome), ["a"]);
    assert_eq!(verifier.requests().len(), 1);
}

#[test]
fn an_error_of_the_verifier_keeps_the_draft_and_what_was_said() {
    let verifier = FakeVlm::new(["no"]).then(Err(Error::Cancelled));
    let shelf = Shelf::plain("Shelf", &["a", "b"]);
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let pipeline = parts(shelf).critic(critic).verifier(verifier).build().unwrap();
    let error = block_on(pipeline.run("a prompt")).unwrap_err();
    assert_eq!(error.stage, Stage::Retrieve);
    assert!(matches!(*error.source, Error::Cancelled));
    assert!(error.best.is_some());
    let exchanges: Vec<_> = error.trace.exchanges().collect();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[1].problem.as_deref(), Some("cancelled"));
}

/// Pictures with a red of 0 and 255.
fn reds() -> FakeRetriever {
    FakeRetriever::new([
        ("a rose thing", solid(4, 4, [0, 9, 9])),
        ("a rose in the sun and rain", solid(4, 4, [255, 9, 9])),
    ])
}

#[test]
fn a_reference_that_shows_no_more_than_the_draft_is_refused() {
    let embedder = Redness::default();
    let critic = FakeCritic::new().missing(["a rose thing"]).missing(["a rose thing"]);
    let builder = parts(reds())
        .critic(critic)
        .margin_embedder(embedder.clone())
        .config(RagConfig::default().with_max_rounds(2).with_margin(0.05));
    let outcome = run(builder);
    let draft = f32::from(outcome.draft.as_ref().unwrap().pixels()[0]) / 255.0;
    assert!(draft > 0.01 && draft < 0.9, "the fake's draft is neither: {draft}");
    assert_eq!(used(&outcome), ["a rose in the sun and rain"]);
    let hits: Vec<_> = outcome.trace.hits().collect();
    let Some(Refusal::KnownAlready { reference, draft: known, margin }) = &hits[0].refused else {
        panic!("{:?}", hits[0].refused);
    };
    assert_eq!((*reference, *margin), (0.0, 0.05));
    assert!((known - draft).abs() < 1e-5);
    assert_eq!(outcome.trace.parts.margin_embedder.as_deref(), Some("Redness"));
    assert_eq!(*embedder.texts.lock().unwrap(), ["a rose thing"], "one caption, two rounds");
    let draft = outcome.draft.as_ref().unwrap();
    let drafts = embedder.images.lock().unwrap().iter().filter(|image| *image == draft).count();
    assert_eq!(drafts, 1, "one draft, two rounds");
}

#[test]
fn without_a_draft_the_margin_refuses_nothing() {
    let embedder = Redness::default();
    let critic = FakeCritic::new().missing(["a rose thing"]);
    let builder = parts(reds())
        .critic(critic)
        .config(RagConfig::default().with_mode(Mode::AllConcepts).with_margin(2.0));
    let outcome = run(builder.margin_embedder(embedder.clone()));
    assert_eq!(used(&outcome), ["a rose thing"]);
    assert!(embedder.texts.lock().unwrap().is_empty());
}

#[test]
fn a_margin_needs_its_embedder_and_a_number() {
    let builder = || parts(reds()).critic(FakeCritic::new());
    let mut config = RagConfig::default();
    config.margin = Some(0.1);
    let error = builder().config(config).build().unwrap_err().chain().to_string();
    assert!(error.contains("needs a margin embedder"), "{error}");
    for wrong in [f32::NAN, f32::INFINITY, 2.5, -2.5] {
        let error = builder()
            .margin_embedder(FakeEmbedder)
            .config(RagConfig::default().with_margin(wrong))
            .build()
            .unwrap_err()
            .chain()
            .to_string();
        assert!(error.starts_with("margin: expected -2 to 2"), "{error}");
    }
    let broken = Redness { empty: true, ..Redness::default() };
    let critic = FakeCritic::new().missing(["a rose thing"]);
    let pipeline = parts(reds())
        .critic(critic)
        .margin_embedder(broken)
        .config(RagConfig::default().with_margin(0.0))
        .build()
        .unwrap();
    let error = block_on(pipeline.run("a prompt")).unwrap_err();
    assert_eq!(
        error.source.chain().to_string(),
        "Redness failed: expected 1 embedding for 1 input, found 0"
    );
}

#[cfg(feature = "serde")]
#[test]
fn the_trace_with_every_refusal_is_json_that_reads_back() {
    let verifier = FakeVlm::new(["no", "hm", "yes"]);
    let clip: Arc<dyn Retriever> = Arc::new(Shelf::plain("CLIP", &["a", "b", "c"]));
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let fuse = Fuse::by_rank([clip], 3).unwrap();
    let outcome = run(parts(fuse).critic(critic).verifier(verifier));
    let json = outcome.trace.to_json();
    assert!(json.contains("\"not_shown\"") && json.contains("\"unverified\""), "{json}");
    let back: imagerag::pipeline::RagTrace = serde_json::from_str(&json).unwrap();
    assert_eq!(back, outcome.trace);
}

#[test]
fn a_picture_of_extreme_proportions_is_refused_where_generators_are_shown_pictures() {
    let shelf = || {
        let sizes = [(1, 5000), (5000, 1), (129, 2), (128, 2), (4, 4)];
        FakeRetriever::new(sizes.map(|(w, h)| (format!("a quetzal {w}x{h}"), solid(w, h, [9; 3]))))
    };
    let critic = || FakeCritic::new().missing(["a quetzal"]);
    let verifier = FakeVlm::new(["yes"]);
    let outcome = run(parts(shelf()).critic(critic()).verifier(verifier.clone()));
    assert_eq!(used(&outcome), ["a quetzal 128x2"]);
    let thin = |width, height| Some(Refusal::AspectRatio { width, height });
    let expected = [thin(1, 5000), thin(5000, 1), thin(129, 2), None, Some(Refusal::Surplus)];
    assert_eq!(refusals(&outcome), expected);
    assert_eq!(verifier.requests().len(), 1, "those that are refused cost no question");
    let told = outcome.trace.hits().next().unwrap().to_string();
    let expected = "not used: 1x5000 pixels: one side is more than 64 times the other";
    assert!(told.ends_with(expected), "{told}");

    // Others cut the middle out.
    let space = ConditioningKind::Tokens { space: "colours".into() };
    let builder = parts(shelf()).generator(FakeGenerator::new().accepting(space)).critic(critic());
    let outcome = run(builder.conditioner(FakeConditioner::new("colours", 3)));
    assert_eq!(used(&outcome), ["a quetzal 1x5000"]);
}

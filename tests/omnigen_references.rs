//! References in prompts of OmniGen: the loop of the paper, branch by branch. A small random checkpoint
//! draws; the vision-language model and the retriever are fakes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use futures::StreamExt;
use futures::executor::block_on;
use imagerag::conditioner::{Conditioning, InPrompt};
use imagerag::generator::{GenerateRequest, GeneratorExt, OmniGen};
use imagerag::pipeline::{
    Event, Fallback, Mode, RagConfig, RagPipelineBuilder, Record, Refusal, Stage, StopReason,
    TracedImage,
};
use imagerag::testing::{FakeConditioner, FakeCritic, FakeRetriever, FakeVlm};
use imagerag::vlm::ChatReply;
use imagerag::{Error, Image, RagOutcome, RagPipeline, RagRequest};

/// The side of every image, in pixels.
const SIDE: u32 = 32;
/// How OmniGen's prompts name images.
const IMAGE_1: &str = "<img><|image_1|></img>";
const IMAGE_2: &str = "<img><|image_2|></img>";
const IMAGE_3: &str = "<img><|image_3|></img>";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn open(name: &str) -> Image {
    Image::open(fixture(name)).unwrap()
}

/// One OmniGen for all tests.
fn omnigen() -> Arc<OmniGen> {
    static OMNIGEN: OnceLock<Arc<OmniGen>> = OnceLock::new();
    let load = || Arc::new(OmniGen::builder(fixture("omnigen/plain")).steps(2).load().unwrap());
    Arc::clone(OMNIGEN.get_or_init(load))
}

/// Pictures of different shapes.
fn gallery() -> [(&'static str, Image); 4] {
    [
        ("a photo of a quetzal", open("omnigen/wide.png")),
        ("a quetzal on a branch", open("omnigen/tall.png")),
        ("a sheep", open("omnigen/small.png")),
        ("oil painting style", open("sdxl/reference_0.png")),
    ]
}

/// The gallery's picture of that name.
fn picture(label: &str) -> Image {
    gallery().into_iter().find(|(name, _)| *name == label).unwrap().1
}

/// The caller's cat and mug.
fn own() -> [Image; 2] {
    [open("sdxl/reference_1.png"), open("omini/wide.png")]
}

fn parts() -> RagPipelineBuilder {
    RagPipeline::builder()
        .generator(omnigen())
        .retriever(FakeRetriever::new(gallery()))
        .conditioner(InPrompt::new(3).unwrap())
}

fn request(prompt: &str) -> RagRequest {
    RagRequest::new(prompt).with_size(SIDE, SIDE).with_seed(3)
}

/// A request with both of the caller's images.
fn pictured(prompt: &str) -> RagRequest {
    let [cat, mug] = own();
    request(prompt).with_reference(cat, "my cat").with_reference(mug, "my mug")
}

fn run(builder: RagPipelineBuilder, request: RagRequest) -> RagOutcome {
    block_on(builder.build().unwrap().run(request)).unwrap()
}

/// What OmniGen draws outside the loop.
fn drawn(prompt: &str, images: impl IntoIterator<Item = Image>) -> Image {
    let mut request = GenerateRequest::new(prompt);
    (request.seed, request.width, request.height) = (3, Some(SIDE), Some(SIDE));
    let images: Vec<Image> = images.into_iter().collect();
    if !images.is_empty() {
        request.conditioning = Conditioning::Images(images);
    }
    block_on(omnigen().generate_one(&request)).unwrap().image
}

fn uris(outcome: &RagOutcome) -> Vec<String> {
    outcome.references.iter().map(|r| r.provenance.source.to_string()).collect()
}

fn images(outcome: &RagOutcome) -> Vec<&TracedImage> {
    let records = outcome.trace.stages.iter().map(|stage| &stage.record);
    records
        .filter_map(|record| match record {
            Some(Record::Image(image)) => Some(image),
            _ => None,
        })
        .collect()
}

/// The sources of the candidates that were refused for the reason that `is` names.
fn refused(outcome: &RagOutcome, is: impl Fn(&Refusal) -> bool) -> Vec<String> {
    let hits = outcome.trace.hits().filter(|hit| hit.refused.as_ref().is_some_and(&is));
    hits.map(|hit| hit.provenance.source.to_string()).collect()
}

#[test]
fn a_draft_that_matches_is_the_result() {
    let vlm = FakeVlm::new(["Yes."]);
    let outcome = run(parts().vlm(vlm.clone()), request("a sheep"));
    assert_eq!(outcome.stop, StopReason::Matched { round: 0 });
    assert_eq!(outcome.draft.as_ref(), Some(&outcome.image));
    assert_eq!(outcome.image, drawn("a sheep", []));
    let seen = &vlm.requests()[0].messages[0].images;
    assert_eq!(seen.as_slice(), std::slice::from_ref(&outcome.image));
    assert_eq!(images(&outcome)[0].conditioning, "no conditioning");
    assert_eq!(outcome.trace.parts.generator, "OmniGen(plain)");
    assert_eq!(outcome.trace.parts.conditioner.as_deref(), Some("InPrompt(3)"));
}

#[test]
fn three_missing_concepts_are_retrieved_and_stand_in_the_prompt() {
    let vlm = FakeVlm::new([
        "no",
        "- oil painting style\n- a sheep\n- a quetzal\n- a car",
        "oil painting style\na sheep\na quetzal on a branch\na red car",
    ]);
    let outcome = run(parts().vlm(vlm), request("a sheep beside a quetzal"));
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    let labels = ["oil painting style", "a sheep", "a quetzal on a branch"];
    assert_eq!(uris(&outcome), labels);
    let prompt = format!(
        "According to these examples of oil painting style: {IMAGE_1}, a sheep: {IMAGE_2}, \
         a quetzal on a branch: {IMAGE_3}, generate a sheep beside a quetzal"
    );
    let last = images(&outcome)[1];
    assert_eq!((last.prompt.as_str(), last.conditioning.as_str()), (prompt.as_str(), "images"));
    assert_eq!(last.warnings, [""; 0]);
    assert_eq!(outcome.image, drawn(&prompt, labels.map(picture)));
    assert_eq!(outcome.draft, Some(drawn("a sheep beside a quetzal", [])));
    assert_ne!(outcome.draft.as_ref(), Some(&outcome.image));
}

#[test]
fn two_of_the_callers_images_and_one_retrieved() {
    let vlm = FakeVlm::new(["no", "1. a quetzal\n2. a sheep", "a photo of a quetzal\na sheep"]);
    let outcome = run(parts().vlm(vlm.clone()), pictured("a quetzal on a wall"));
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    let [cat, mug] = own();
    // 1. The draft is drawn with the caller's images, which the model sees before the draft.
    let own = format!("my cat: {IMAGE_1}, my mug: {IMAGE_2}");
    let draft = format!("According to these examples of {own}, generate a quetzal on a wall");
    let draft = drawn(&draft, [cat.clone(), mug.clone()]);
    assert_eq!(outcome.draft.as_ref(), Some(&draft));
    assert_eq!(vlm.requests()[0].messages[0].images, [cat.clone(), mug.clone(), draft]);
    // 2. There is room for one more, behind them.
    let prompt = format!(
        "According to these examples of {own}, a photo of a quetzal: {IMAGE_3}, \
         generate a quetzal on a wall"
    );
    assert_eq!(images(&outcome)[1].prompt, prompt);
    assert_eq!(outcome.image, drawn(&prompt, [cat, mug, picture("a photo of a quetzal")]));
    assert_eq!(uris(&outcome).last().map(String::as_str), Some("a photo of a quetzal"));
}

#[test]
fn capacity_is_the_conditioners() {
    // The caller's images take all places.
    let full = pictured("a wall").with_reference(picture("a sheep"), "my sheep");
    let outcome = run(parts().vlm(FakeVlm::new(["no"])), full.clone());
    assert_eq!(outcome.stop, StopReason::NoRoom);
    assert_eq!(outcome.draft.as_ref(), Some(&outcome.image));

    // One more than there are.
    let pipeline = parts().critic(FakeCritic::new()).build().unwrap();
    let more = full.with_reference(picture("oil painting style"), "my style");
    let error = block_on(pipeline.run(more.clone())).unwrap_err();
    assert_eq!((error.stage, error.best.is_none()), (Stage::Validate, true));
    assert!(error.chain().to_string().contains("expected at most 3, found 4"), "{error}");

    // OmniGen itself takes more than the paper gives it.
    let builder = parts().conditioner(InPrompt::new(5).unwrap());
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let outcome = run(builder.critic(critic), more);
    assert!(images(&outcome)[1].prompt.contains("a quetzal: <img><|image_5|></img>, generate"));
    assert_eq!(uris(&outcome).last().map(String::as_str), Some("a photo of a quetzal"));
}

#[test]
fn a_model_that_refuses_to_answer_leaves_the_prompt_to_retrieve_by() {
    let mut no = ChatReply::new("");
    no.refusal = Some("not allowed".into());
    let refusing = || {
        let vlm = FakeVlm::new(["no", "I'm unable to respond to that."]);
        vlm.then(Ok(no.clone())).then(Ok(no.clone())).then(Ok(no.clone()))
    };
    let outcome = run(parts().vlm(refusing()), request("a quetzal"));
    assert_eq!(uris(&outcome), ["a photo of a quetzal"]);
    let prompt = format!("According to these examples of a quetzal: {IMAGE_1}, generate a quetzal");
    assert_eq!(outcome.image, drawn(&prompt, [picture("a photo of a quetzal")]));

    let config = RagConfig::default().with_fallback(Fallback::Stop);
    let outcome = run(parts().vlm(refusing()).config(config), request("a quetzal"));
    assert_eq!(outcome.stop, StopReason::Undetermined);
    assert_eq!(outcome.image, drawn("a quetzal", []));
}

#[test]
fn references_are_refused_for_a_reason_and_the_next_takes_their_place() {
    // The caller's own picture is in the gallery too.
    let mine = request("a bird").with_reference(picture("a photo of a quetzal"), "my quetzal");
    let critic = || FakeCritic::new().missing(["a photo of a quetzal"]);
    let outcome = run(parts().critic(critic()), mine);
    let duplicates = refused(&outcome, |refusal| *refusal == Refusal::Duplicate);
    assert_eq!(duplicates, ["a photo of a quetzal"]);
    assert!(uris(&outcome).contains(&"a quetzal on a branch".to_owned()), "{:?}", uris(&outcome));

    // Nothing is similar enough.
    let config = RagConfig::default().with_threshold(0.9);
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let outcome = run(parts().critic(critic).config(config), request("a bird"));
    assert_eq!(outcome.stop, StopReason::NoUsefulReference);
    let below = refused(&outcome, |refusal| matches!(refusal, Refusal::BelowThreshold { .. }));
    assert!(below.contains(&"a photo of a quetzal".to_owned()), "{below:?}");
    assert_eq!(outcome.image, drawn("a bird", []));
}

#[test]
fn rounds_go_on_with_other_references_and_the_best_image_is_kept() {
    let critic = FakeCritic::new()
        .missing(["a quetzal", "a sheep"])
        .missing(["a quetzal"])
        .missing(["a quetzal", "a sheep"]);
    let config = RagConfig::default().with_max_rounds(2);
    let outcome = run(parts().critic(critic).config(config), request("everything"));
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    assert_eq!(images(&outcome).len(), 3);
    let tried = refused(&outcome, |refusal| *refusal == Refusal::AlreadyTried);
    assert!(tried.contains(&"a photo of a quetzal".to_owned()), "{tried:?}");
    // The image of round 1 misses the fewest concepts.
    assert_eq!(uris(&outcome), ["a photo of a quetzal", "a sheep"]);
    let prompt = &images(&outcome)[1].prompt;
    assert_eq!(
        outcome.image,
        drawn(prompt, ["a photo of a quetzal", "a sheep"].map(picture)),
        "{prompt}"
    );
}

#[test]
fn without_a_draft_every_concept_is_looked_for_at_once() {
    let config = RagConfig::default().with_mode(Mode::AllConcepts);
    let critic = FakeCritic::new().missing(["a quetzal", "a sheep"]);
    let outcome = run(parts().config(config.clone()).critic(critic), request("a farm"));
    assert_eq!((outcome.draft.as_ref(), images(&outcome).len()), (None, 1));
    assert_eq!(uris(&outcome), ["a photo of a quetzal", "a sheep"]);
    let critic = FakeCritic::new().missing(["zeppelin"]);
    let outcome = run(parts().config(config).critic(critic), request("zeppelin"));
    assert_eq!(outcome.stop, StopReason::NoUsefulReference);
    assert_eq!(outcome.image, drawn("zeppelin", []));
}

#[test]
fn an_error_keeps_the_trace_and_the_draft() {
    // A reference that is longer than this checkpoint's table of positions.
    let long = Image::new(16, 800, vec![90; 16 * 800 * 3]).unwrap();
    let retriever = FakeRetriever::new([("a tower", long)]);
    let critic = FakeCritic::new().missing(["a tower"]);
    let pipeline = parts().retriever(retriever).critic(critic).build().unwrap();
    let error = block_on(pipeline.run(request("a town"))).unwrap_err();
    assert_eq!(error.stage, Stage::Generate);
    assert!(
        error.chain().to_string().contains(
            "size of a reference image: expected sides of at most 384 pixels, found 16x800"
        ),
        "{error}"
    );
    assert_eq!(error.best, Some(drawn("a town", [])));
    // What OmniGen cannot draw is known at the draft.
    let pipeline = parts().critic(FakeCritic::new()).build().unwrap();
    for request in
        [request("a town").with_guidance_scale(f64::NAN), request("a town").with_size(40, 32)]
    {
        let error = block_on(pipeline.run(request)).unwrap_err();
        assert!(matches!(*error.source, Error::InvalidInput { .. }), "{error}");
        assert_eq!(error.best, None);
    }
}

#[test]
fn a_stream_tells_of_every_step_of_omnigen() {
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let pipeline = parts().critic(critic).build().unwrap();
    let events: Vec<Event> = block_on(pipeline.stream(request("a bird")).collect());
    let steps: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Step { stage, step, .. } => Some((*stage, step.index, step.total)),
            _ => None,
        })
        .collect();
    let [draft, generate] = [Stage::Draft, Stage::Generate];
    assert_eq!(steps, [(draft, 1, 2), (draft, 2, 2), (generate, 1, 2), (generate, 2, 2)]);
}

#[test]
fn a_conditioner_that_makes_tokens_does_not_fit() {
    let builder = parts().conditioner(FakeConditioner::new("ip-adapter-plus sdxl 2048", 1));
    let error = builder.critic(FakeCritic::new()).build().unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    assert_eq!(
        error.chain().to_string(),
        "OmniGen(plain) does not fit FakeConditioner(ip-adapter-plus sdxl 2048, 1): expected no \
         conditioning or images, found tokens of ip-adapter-plus sdxl 2048"
    );
}

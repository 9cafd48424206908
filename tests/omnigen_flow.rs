//! The loop on OmniGen: a small random checkpoint draws, the other parts are fakes. Every image must be
//! the one that OmniGen draws when it is given the prompt and the images directly.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use futures::executor::block_on;
use imagerag::conditioner::{Conditioning, InPrompt};
use imagerag::generator::{GenerateRequest, GeneratorExt, OmniGen};
use imagerag::pipeline::{Mode, RagConfig, RagPipelineBuilder, Refusal, Stage, StopReason};
use imagerag::testing::{FakeCritic, FakeRetriever, FakeVlm};
use imagerag::{Image, RagOutcome, RagPipeline, RagRequest};

/// The side of every drawn image, in pixels.
const SIDE: u32 = 32;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/omnigen").join(name)
}

fn picture(name: &str) -> Image {
    Image::open(fixture(name)).unwrap()
}

/// One OmniGen for all tests; edits keep the size of their image.
fn omnigen() -> Arc<OmniGen> {
    static OMNIGEN: OnceLock<Arc<OmniGen>> = OnceLock::new();
    let load = || {
        let omnigen = OmniGen::builder(fixture("plain")).steps(2).max_input_image_size(64);
        Arc::new(omnigen.use_input_image_size_as_output(true).load().unwrap())
    };
    Arc::clone(OMNIGEN.get_or_init(load))
}

fn parts(mode: Mode) -> RagPipelineBuilder {
    RagPipeline::builder()
        .generator(omnigen())
        .retriever(FakeRetriever::new([("a quetzal", picture("wide.png"))]))
        .conditioner(InPrompt::default())
        .config(RagConfig::default().with_mode(mode))
}

fn request(prompt: &str) -> RagRequest {
    RagRequest::new(prompt).with_size(SIDE, SIDE).with_seed(3)
}

fn run(builder: RagPipelineBuilder, request: RagRequest) -> RagOutcome {
    block_on(builder.build().unwrap().run(request)).unwrap()
}

/// What OmniGen draws outside the loop.
fn drawn(prompt: &str, images: &[&Image]) -> Image {
    let mut request = GenerateRequest::new(prompt).with_size(SIDE, SIDE).with_seed(3);
    if !images.is_empty() {
        let images = images.iter().map(|&image| image.clone()).collect();
        request = request.with_conditioning(Conditioning::Images(images));
    }
    block_on(omnigen().generate_one(&request)).unwrap().image
}

#[test]
fn two_of_the_callers_images_and_one_that_is_retrieved() {
    let [small, tall, wide] = ["small.png", "tall.png", "wide.png"].map(picture);
    let request = request("<|image_2|> beside <|image_1|> and a quetzal")
        .with_reference(small.clone(), "my cat")
        .with_reference(tall.clone(), "my mug");
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let outcome = run(parts(Mode::OnDemand).critic(critic), request);
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    let named = "<img><|image_2|></img> beside <img><|image_1|></img> and a quetzal";
    assert_eq!(outcome.draft, Some(drawn(named, &[&small, &tall])));
    let prompt = format!(
        "According to these examples of a quetzal: <img><|image_3|></img>, generate {named}"
    );
    assert_eq!(outcome.image, drawn(&prompt, &[&small, &tall, &wide]));
}

#[test]
fn a_retrieved_picture_that_omnigen_cannot_read_gives_way_to_the_next() {
    let thin = Image::new(1, 5_000, vec![90; 15_000]).unwrap();
    let shelf = [("a quetzal", thin.clone()), ("a quetzal on a branch", picture("wide.png"))];
    for mode in [Mode::OnDemand, Mode::EditDraft] {
        let critic = FakeCritic::new().missing(["a quetzal"]);
        let builder = parts(mode).retriever(FakeRetriever::new(shelf.clone())).critic(critic);
        let outcome = run(builder, request("a forest"));
        assert_eq!(outcome.stop, StopReason::RoundLimit);
        let refused: Vec<_> = outcome.trace.hits().map(|hit| hit.refused.clone()).collect();
        assert_eq!(refused, [Some(Refusal::AspectRatio { width: 1, height: 5_000 }), None]);
        assert_eq!(outcome.references[0].picture.loaded(), Some(&picture("wide.png")));
    }
    // The caller's own is an error that says so.
    let pipeline = parts(Mode::OnDemand).critic(FakeCritic::new()).build().unwrap();
    let own = request("a forest").with_reference(thin, "a line");
    let error = block_on(pipeline.run(own)).unwrap_err();
    assert_eq!(error.stage, Stage::Draft);
    assert!(error.chain().to_string().contains("reference image: expected proportions"), "{error}");
}

#[test]
fn the_draft_is_edited_with_what_is_retrieved() {
    let cat = picture("small.png");
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let request =
        request("a zoo").with_reference(cat.clone(), "my cat").with_draft(picture("tall.png"));
    let outcome = run(parts(Mode::EditDraft).critic(critic), request);
    let prompt = "Edit this image: <img><|image_2|></img> so that it shows a zoo, as in these \
                  examples: my cat: <img><|image_1|></img>, a quetzal: <img><|image_3|></img>";
    let (tall, wide) = (picture("tall.png"), picture("wide.png"));
    assert_eq!(outcome.image, drawn(prompt, &[&cat, &tall, &wide]));
    // The prompt names the draft first, so that the image has its size.
    let is_tall = |image: &Image| image.height() > image.width();
    assert!(is_tall(&outcome.image) && is_tall(&tall));
}

#[test]
fn edits_are_planned_and_made_one_by_one() {
    let vlm = FakeVlm::new(["1. Add a tree.\n2. Make it night.\n3. Remove the dog.", "no", "yes"]);
    let builder = RagPipeline::builder().generator(omnigen()).vlm(vlm);
    let builder = builder.config(RagConfig::default().with_mode(Mode::PlanEdit));
    let outcome = run(builder, request("a tree at night"));
    assert_eq!(outcome.stop, StopReason::Matched { round: 1 });
    let draft = drawn("a tree at night", &[]);
    let first = drawn("<img><|image_1|></img> Add a tree.", &[&draft]);
    let second = drawn("<img><|image_1|></img> Make it night.", &[&first]);
    assert_eq!(outcome.image, second);
    assert!(draft != first && first != second);
    assert_eq!(outcome.draft, Some(draft));
}

#[test]
fn a_draft_that_omnigen_cannot_read_is_named_and_kept() {
    let vlm = FakeVlm::new(["Add a tree."]);
    let builder = RagPipeline::builder().generator(omnigen()).vlm(vlm);
    let builder = builder.config(RagConfig::default().with_mode(Mode::PlanEdit));
    let line = Image::new(1, 5_000, [7; 15_000]).unwrap();
    let request = request("a tree").with_draft(line.clone());
    let error = block_on(builder.build().unwrap().run(request)).unwrap_err();
    assert_eq!(error.stage, Stage::Edit);
    assert!(error.chain().to_string().contains("1x5000"), "{}", error.chain());
    assert_eq!(error.best, Some(line));
}

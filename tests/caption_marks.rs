//! Captions that hold marks of images, such as `<|image_1|>`, whoever wrote them: only the caller's prompt
//! names images.

use std::fmt;

use futures::executor::block_on;
use imagerag::conditioner::{
    ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind, InPrompt,
    PromptTemplate,
};
use imagerag::critic::GuidedCot;
use imagerag::pipeline::{
    Fallback, Mode, RagConfig, RagPipelineBuilder, Record, Stage, StopReason,
};
use imagerag::reference::{Caption, Reference};
use imagerag::retriever::RetrieveRequest;
use imagerag::testing::{
    FakeConditioner, FakeCritic, FakeGenerator, FakeRetriever, FakeVlm, solid,
};
use imagerag::{RagOutcome, RagPipeline, RagRequest, Result, Retriever, async_trait};

/// A caption with marks of images that are there, and of some that are not.
const MARKED: &str = "a <|image_1|> quetzal <img><|image_9|></img>";

fn parts(generator: &FakeGenerator) -> RagPipelineBuilder {
    RagPipeline::builder()
        .generator(generator.clone())
        .retriever(FakeRetriever::new([("a quetzal", solid(4, 4, [0, 200, 90]))]))
        .conditioner(InPrompt::default())
        .critic(FakeCritic::new().missing([MARKED]))
}

fn with_mode(mode: Mode) -> RagConfig {
    RagConfig::default().with_mode(mode)
}

/// A request with one image of the caller's.
fn request(prompt: &str, caption: &str) -> RagRequest {
    RagRequest::new(prompt).with_reference(solid(4, 4, [200, 120, 40]), caption)
}

fn run(builder: RagPipelineBuilder, request: RagRequest) -> RagOutcome {
    block_on(builder.build().unwrap().run(request)).unwrap()
}

fn prompts(generator: &FakeGenerator) -> Vec<String> {
    generator.requests().into_iter().map(|request| request.prompt).collect()
}

#[test]
fn a_caption_of_the_critics_names_no_image() {
    for (mode, expected) in [
        (
            Mode::OnDemand,
            "According to these examples of a quetzal: <img><|image_2|></img>, \
             generate <img><|image_1|></img> in a zoo",
        ),
        (
            Mode::EditDraft,
            "Edit this image: <img><|image_2|></img> so that it shows <img><|image_1|></img> in a zoo, \
             as in these examples: a quetzal: <img><|image_3|></img>",
        ),
    ] {
        let generator = FakeGenerator::new();
        let builder = parts(&generator).config(with_mode(mode));
        let outcome = run(builder, request("<|image_1|> in a zoo", "my cat"));
        assert_eq!(outcome.stop, StopReason::RoundLimit);
        assert_eq!(prompts(&generator), ["<img><|image_1|></img> in a zoo", expected]);
        assert_eq!(outcome.references[1].caption, Caption::concept("a quetzal"));
    }
    // Retrieval goes by what is left, and without anything left by the prompt.
    for (caption, fallback, expected) in [
        (MARKED, Fallback::Stop, &["a quetzal"][..]),
        ("<|image_1|>", Fallback::RetrieveByPrompt, &["my cat in a zoo"]),
        ("<|image_1|>", Fallback::Stop, &[]),
    ] {
        let retriever = FakeRetriever::default();
        let critic = FakeCritic::new().missing([caption]);
        let config = RagConfig::default().with_fallback(fallback);
        let builder = parts(&FakeGenerator::new()).retriever(retriever.clone()).critic(critic);
        run(builder.config(config), request("<|image_1|> in a zoo", "my cat"));
        let looked_for: Vec<_> = retriever.captions().into_iter().map(|one| one.text).collect();
        assert_eq!(looked_for, expected, "{caption}");
    }
}

#[test]
fn a_vision_language_models_captions_name_no_image() {
    let generator = FakeGenerator::new();
    let replies = ["no", "a quetzal <|image_1|>", "a quetzal <|image_1|> on a branch <|image_7|>"];
    let outcome = run(
        parts(&generator).critic(GuidedCot::new(FakeVlm::new(replies))),
        RagRequest::new("a zoo"),
    );
    assert_eq!(outcome.references[0].caption, Caption::new("a quetzal on a branch", "a quetzal"));
    assert_eq!(
        prompts(&generator)[1],
        "According to these examples of a quetzal on a branch: <img><|image_1|></img>, generate a zoo"
    );
}

#[test]
fn the_callers_captions_name_no_image() {
    let cat = "my <|image_2|> cat <|image_1|>";
    for (prompt, draft) in [
        ("a zoo", "According to these examples of my cat: <img><|image_1|></img>, generate a zoo"),
        ("<|image_1|> in a zoo", "<img><|image_1|></img> in a zoo"),
    ] {
        let generator = FakeGenerator::new();
        let vlm = FakeVlm::new(["yes"]);
        let builder = parts(&generator).critic(GuidedCot::new(vlm.clone()));
        run(builder, request(prompt, cat));
        assert_eq!(prompts(&generator), [draft]);
        assert!(!vlm.requests()[0].messages[0].text.contains("<|image"), "{prompt}");
    }
    // Where captions stand in the places of marks.
    let tokens = ConditioningKind::Tokens { space: "colours".into() };
    let in_words = |conditioner: &dyn Fn(RagPipelineBuilder) -> RagPipelineBuilder| {
        let generator = FakeGenerator::new().accepting(tokens.clone());
        run(conditioner(parts(&generator)), request("<|image_1|> in a zoo", cat));
        prompts(&generator).remove(0)
    };
    let words = in_words(&|parts| parts.conditioner(FakeConditioner::new("colours", 3)));
    assert_eq!(words, "According to these examples of my cat, generate my cat in a zoo");
    let words = in_words(&|parts| parts.conditioner(InPrompt::default().with_mark("")));
    assert_eq!(words, "my cat in a zoo");

    // One that says nothing else is refused before any part is asked.
    for caption in ["<|image_1|>", " <img><|image_1|></img> <|image_2|>"] {
        let generator = FakeGenerator::new();
        let pipeline = parts(&generator).build().unwrap();
        let error = block_on(pipeline.run(request("a zoo", caption))).unwrap_err();
        let expected = format!(
            "caption of the caller's image 1: expected what the image shows, found {caption}"
        );
        assert_eq!((error.stage, error.source.to_string()), (Stage::Validate, expected));
        assert!(generator.requests().is_empty());
    }
}

/// Returns references with captions of its own.
#[derive(Debug)]
struct Stored(&'static str);

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored")
    }
}

#[async_trait]
impl Retriever for Stored {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let one = Reference::new(solid(4, 4, [1; 3]), Caption::concept(self.0));
        Ok(request.captions.iter().map(|_| vec![one.clone()]).collect())
    }
}

#[test]
fn a_gallerys_captions_name_no_image_in_any_template() {
    let custom = PromptTemplate::Custom("{prompt}, wie hier: {examples}".into());
    for (template, expected) in [
        (
            PromptTemplate::Examples,
            "According to these examples of a quetzal: <img><|image_1|></img>, generate a zoo",
        ),
        (PromptTemplate::ThisItem, "This item is a quetzal: <img><|image_1|></img>. a zoo"),
        (PromptTemplate::Plain, "<img><|image_1|></img> a zoo"),
        (custom, "a zoo, wie hier: a quetzal: <img><|image_1|></img>"),
    ] {
        for mode in [Mode::OnDemand, Mode::AllConcepts] {
            let generator = FakeGenerator::new();
            let conditioner = InPrompt::default().with_template(template.clone()).unwrap();
            let builder = parts(&generator).retriever(Stored(MARKED)).conditioner(conditioner);
            let outcome = run(builder.config(with_mode(mode)), RagRequest::new("a zoo"));
            assert_eq!(prompts(&generator).last().unwrap(), expected, "{mode:?}");
            assert_eq!(
                outcome.references[0].caption.text, MARKED,
                "the reference is as it was found"
            );
        }
    }
    // An edit without an example that says anything.
    let generator = FakeGenerator::new();
    let conditioner = InPrompt::default().with_mark("");
    let builder = parts(&generator).retriever(Stored("<|image_4|>")).conditioner(conditioner);
    run(builder.config(with_mode(Mode::EditDraft)), RagRequest::new("a zoo"));
    assert_eq!(prompts(&generator)[1], "image 1 a zoo");
    // A caption of marks alone leaves the image without words.
    let generator = FakeGenerator::new();
    run(parts(&generator).retriever(Stored("<|image_4|>")), RagRequest::new("a zoo"));
    let expected = "According to these examples of <img><|image_1|></img>, generate a zoo";
    assert_eq!(prompts(&generator)[1], expected);
    let generator = FakeGenerator::new();
    let unnamed = parts(&generator).conditioner(InPrompt::default().with_mark(""));
    run(unnamed.retriever(Stored("<|image_4|>")), RagRequest::new("a zoo"));
    assert_eq!(prompts(&generator)[1], "a zoo");
}

/// A conditioner of one's own, which knows nothing of marks.
#[derive(Debug)]
struct Like;

impl fmt::Display for Like {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Like")
    }
}

#[async_trait]
impl Conditioner for Like {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Images
    }

    fn capacity(&self) -> usize {
        3
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        let reference = request.references.last().unwrap();
        Ok(Conditioned {
            prompt: format!("{}, like {}", request.prompt, reference.caption.concept),
            conditioning: Conditioning::Images(vec![reference.image().await?]),
        })
    }
}

#[test]
fn a_conditioner_of_ones_own_is_given_captions_without_marks() {
    let generator = FakeGenerator::new().with_image_mark(Some("<pic{n}>"));
    let builder =
        parts(&generator).conditioner(Like).retriever(Stored("a <pic2> quetzal <|image_1|>"));
    let outcome = run(builder, RagRequest::new("a zoo"));
    assert_eq!(prompts(&generator)[1], "a zoo, like a quetzal");
    let conditioned = outcome.trace.stages.iter().find_map(|stage| match &stage.record {
        Some(Record::Conditioned { references, .. }) => Some(references.clone()),
        _ => None,
    });
    assert_eq!(conditioned.unwrap()[0].caption.text, "a quetzal", "what the conditioner was given");
}

#[test]
fn in_prompt_alone_reads_no_marks_in_captions() {
    let references = ["my cat <i2>", "a <|image_1|> quetzal (1.png)"]
        .map(|caption| Reference::new(solid(4, 4, [1; 3]), Caption::concept(caption)));
    let request = ConditionRequest::new("<i1> in a zoo", references).with_image_mark("<i{n}>");
    for (conditioner, expected) in [
        (
            InPrompt::default(),
            "According to these examples of a quetzal (1.png): <i2>, generate <i1> in a zoo",
        ),
        (
            InPrompt::default().with_mark("({n}.png)"),
            "According to these examples of a quetzal: (2.png), generate (1.png) in a zoo",
        ),
        (
            InPrompt::default().with_mark(""),
            "According to these examples of a quetzal (1.png), generate my cat in a zoo",
        ),
    ] {
        assert_eq!(block_on(conditioner.condition(&request)).unwrap().prompt, expected);
    }
}

#[test]
fn a_rephrased_prompt_names_images_by_their_captions() {
    for (reply, own, expected) in [
        ("a bright zoo <|image_9|>", None, "a bright zoo"),
        ("<img><|image_1|></img>", None, "a zoo"),
        (
            "a bright zoo around <|image_1|> <|image_2|>",
            Some("my cat"),
            "According to these examples of my cat: <img><|image_1|></img>, \
             generate a bright zoo around my cat",
        ),
    ] {
        let generator = FakeGenerator::new();
        let builder = parts(&generator).vlm(FakeVlm::new([reply]));
        let request = own.map_or(RagRequest::new("a zoo"), |caption| request("a zoo", caption));
        let outcome = run(builder.config(with_mode(Mode::RephraseOnly)), request);
        assert_eq!(outcome.stop, StopReason::Rephrased);
        assert_eq!(prompts(&generator)[1], expected, "{reply}");
    }
}

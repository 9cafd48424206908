//! Prompts that name the caller's own images (appendix E.2), on fakes.

use std::collections::BTreeSet;

use futures::executor::block_on;
use imagerag::conditioner::{
    ConditionRequest, Conditioner, Conditioning, ConditioningKind, InPrompt, PromptTemplate,
};
use imagerag::critic::Query;
use imagerag::generator::GenerateRequest;
use imagerag::pipeline::{Mode, RagConfig, RagPipelineBuilder, Stage, StopReason};
use imagerag::reference::{Caption, Reference};
use imagerag::testing::{
    FakeConditioner, FakeCritic, FakeGenerator, FakeRetriever, FakeVlm, solid,
};
use imagerag::vlm::Questions;
use imagerag::{Image, RagOutcome, RagPipeline, RagRequest};

fn retriever() -> FakeRetriever {
    FakeRetriever::new([("a quetzal", solid(4, 4, [0, 200, 90]))])
}

fn parts(generator: &FakeGenerator) -> RagPipelineBuilder {
    RagPipeline::builder()
        .generator(generator.clone())
        .retriever(retriever())
        .conditioner(InPrompt::default())
}

fn run(builder: RagPipelineBuilder, request: impl Into<RagRequest> + Send) -> RagOutcome {
    block_on(builder.build().unwrap().run(request)).unwrap()
}

fn own() -> [Image; 2] {
    [solid(4, 4, [200, 120, 40]), solid(4, 4, [30, 30, 30])]
}

/// A request with a cat and a mug of the caller's.
fn request(prompt: &str) -> RagRequest {
    let [cat, mug] = own();
    RagRequest::new(prompt).with_reference(cat, "my cat").with_reference(mug, "my mug")
}

/// What OmniGen asks of a prompt with images: it names every one of them, by the whole mark, and no
/// other.
fn assert_omnigen_reads(request: &GenerateRequest) {
    let count = match &request.conditioning {
        Conditioning::Images(images) => images.len(),
        _ => 0,
    };
    let named: BTreeSet<usize> = request
        .prompt
        .split("<|image_")
        .skip(1)
        .map(|rest| rest.split_once("|>").unwrap().0.parse().unwrap())
        .collect();
    assert_eq!(named, (1..=count).collect(), "{}", request.prompt);
    for n in named {
        let whole = format!("<img><|image_{n}|></img>");
        let alone = request.prompt.matches(&format!("<|image_{n}|>")).count();
        assert_eq!(request.prompt.matches(&whole).count(), alone, "{}", request.prompt);
    }
    assert!(!request.prompt.contains("<img><img>"), "{}", request.prompt);
}

/// The prompts of the draft and of the image with a quetzal, as OmniGen is given them.
fn drawn(prompt: &str) -> [String; 2] {
    let generator = FakeGenerator::new();
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let outcome = run(parts(&generator).critic(critic), request(prompt));
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    let requests = generator.requests();
    requests.iter().for_each(assert_omnigen_reads);
    let [cat, mug] = own();
    let quetzal = solid(4, 4, [0, 200, 90]);
    let expected = [vec![cat.clone(), mug.clone()], vec![cat, mug, quetzal]];
    let [draft, image] = requests.try_into().unwrap();
    let images = [&draft, &image].map(|request| match &request.conditioning {
        Conditioning::Images(images) => images.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(images, expected);
    [draft.prompt, image.prompt]
}

#[test]
fn three_concepts_two_of_them_the_callers() {
    // Both named: alone, whole, half.
    for prompt in [
        "<|image_1|> watches a quetzal from <|image_2|>",
        "<img><|image_1|></img> watches a quetzal from <img><|image_2|></img>",
        "<img><|image_1|> watches a quetzal from <|image_2|></img>",
    ] {
        let named = "<img><|image_1|></img> watches a quetzal from <img><|image_2|></img>";
        assert_eq!(
            drawn(prompt),
            [
                named.to_owned(),
                format!(
                    "According to these examples of a quetzal: <img><|image_3|></img>, generate {named}"
                ),
            ]
        );
    }
}

#[test]
fn numbers_keep_their_meaning_whatever_their_order() {
    let named = "<img><|image_2|></img> with <img><|image_1|></img> on it";
    assert_eq!(
        drawn("<|image_2|> with <|image_1|> on it"),
        [
            named.to_owned(),
            format!(
                "According to these examples of a quetzal: <img><|image_3|></img>, generate {named}"
            ),
        ]
    );
    let twice = "<img><|image_1|></img> and <img><|image_1|></img>, <img><|image_2|></img>";
    assert_eq!(drawn("<|image_1|> and <|image_1|>, <|image_2|>")[0], twice);
}

#[test]
fn images_that_the_prompt_does_not_name_are_listed() {
    let [draft, image] = drawn("<|image_2|> in the snow");
    assert_eq!(
        draft,
        "According to these examples of my cat: <img><|image_1|></img>, \
         generate <img><|image_2|></img> in the snow"
    );
    assert_eq!(
        image,
        "According to these examples of my cat: <img><|image_1|></img>, \
         a quetzal: <img><|image_3|></img>, generate <img><|image_2|></img> in the snow"
    );
    let [draft, _] = drawn("image 1 and image 2 in the snow");
    assert_eq!(
        draft,
        "According to these examples of my cat: <img><|image_1|></img>, \
         my mug: <img><|image_2|></img>, generate image 1 and image 2 in the snow",
        "plain words are no marks"
    );
}

#[test]
fn models_that_judge_are_told_captions_and_numbers() {
    let generator = FakeGenerator::new();
    let vlm = FakeVlm::new(["no", "a quetzal", "a quetzal"]);
    run(parts(&generator).vlm(vlm.clone()), request("<|image_1|> in <|image_2|>"));
    let message = &vlm.requests()[0].messages[0];
    assert_eq!(
        message.text,
        "Does the last image match the instruction \"my cat (image 1) in my mug (image 2)\" applied \
         over the first 2 images? Consider both content and style aspects. Only answer yes or no."
    );
    assert_eq!(message.images[..2], own());
    let all = vlm.requests().iter().flat_map(|asked| asked.messages.clone()).collect::<Vec<_>>();
    assert!(all.iter().all(|message| !message.text.contains("<|image")), "{all:?}");

    let questions = Questions::default().with_own_image("{caption} (Bild {number})");
    let vlm = FakeVlm::new(["yes"]);
    run(parts(&generator).vlm(vlm.clone()).questions(questions.clone()), request("<|image_2|>"));
    assert!(vlm.requests()[0].messages[0].text.contains("\"my mug (Bild 2)\""));
    let error = questions.with_own_image("Bild {number}").validate().unwrap_err().to_string();
    let expected = "question own_image: expected a text with {caption}, found \"Bild {number}\"";
    assert_eq!(error, expected);

    // Without a draft.
    let config = RagConfig::default().with_mode(Mode::AllConcepts);
    let vlm = FakeVlm::new(["a quetzal", "a quetzal"]);
    run(parts(&generator).vlm(vlm.clone()).config(config), request("<|image_1|> and a quetzal"));
    assert!(vlm.requests()[0].messages[0].text.contains("\"my cat (image 1) and a quetzal\""));
}

#[test]
fn retrieval_goes_by_captions() {
    let looked_for = |config: RagConfig, replies: &[&str]| {
        let retriever = retriever();
        let vlm = FakeVlm::new(replies.iter().copied());
        let builder = parts(&FakeGenerator::new()).retriever(retriever.clone()).vlm(vlm);
        run(builder.config(config), request("<|image_1|> and a quetzal"));
        retriever.captions()[0].text.clone()
    };
    let by_prompt = RagConfig::default().with_query(Query::Prompt);
    assert_eq!(looked_for(by_prompt, &["no"]), "my cat and a quetzal");
    assert_eq!(looked_for(RagConfig::default(), &[""; 4]), "my cat and a quetzal", "the fallback");
}

#[test]
fn a_rephrased_prompt_keeps_the_callers_images() {
    let generator = FakeGenerator::new();
    let vlm = FakeVlm::new(["my cat, sitting in my mug"]);
    let config = RagConfig::default().with_mode(Mode::RephraseOnly);
    let builder = parts(&generator).vlm(vlm.clone()).config(config);
    let outcome = run(builder, request("<|image_1|> in <|image_2|>"));
    assert!(vlm.requests()[0].messages[0].text.ends_with("\"my cat in my mug\"."));
    assert_eq!(
        generator.requests()[1].prompt,
        "According to these examples of my cat: <img><|image_1|></img>, \
         my mug: <img><|image_2|></img>, generate my cat, sitting in my mug"
    );
    generator.requests().iter().for_each(assert_omnigen_reads);
    assert_eq!(outcome.references.len(), 2);
}

#[test]
fn a_number_that_no_image_has_is_refused_before_any_part_is_asked() {
    for (prompt, images, expected) in [
        ("<|image_1|> in the snow", 0, "none, because there are no images, found <|image_1|>"),
        ("<|image_0|> in the snow", 2, "images 1 to 2, found <|image_0|>"),
        ("<|image_1|> and <|image_3|>", 2, "images 1 to 2, found <|image_3|>"),
        ("<img><|image_2|></img>", 1, "image 1 alone, found <img><|image_2|></img>"),
        (
            "<|image_4|>, <|image_99999999999999999999|>",
            2,
            "images 1 to 2, found <|image_4|>, <|image_99999999999999999999|>",
        ),
    ] {
        for mode in
            [Mode::OnDemand, Mode::AllConcepts, Mode::RephraseOnly, Mode::EditDraft, Mode::PlanEdit]
        {
            let (generator, vlm) = (FakeGenerator::new(), FakeVlm::default());
            let builder = parts(&generator).vlm(vlm.clone());
            let pipeline = builder.config(RagConfig::default().with_mode(mode)).build().unwrap();
            let mut request = RagRequest::new(prompt);
            for image in own().into_iter().take(images) {
                request = request.with_reference(image, "mine");
            }
            let error = block_on(pipeline.run(request)).unwrap_err();
            assert_eq!((error.stage, error.best), (Stage::Validate, None));
            let message = format!("images that the prompt names: expected {expected}");
            assert_eq!(error.source.to_string(), message);
            assert!(generator.requests().is_empty() && vlm.requests().is_empty());
        }
    }
}

#[test]
fn a_generators_own_mark_names_images_too() {
    for (mark, prompt, expected) in [
        (Some("<pic{n}>"), "<pic2> beside <|image_1|>", "<pic2> beside <pic1>"),
        (Some("[image {n}]"), "[image 1] and [image 2]", "[image 1] and [image 2]"),
        (Some("picture {n}"), "<|image_1|> and <|image_2|>", "picture 1 and picture 2"),
        (None, "<|image_2|> on <|image_1|>", "image 2 on image 1"),
    ] {
        let generator = FakeGenerator::new().with_image_mark(mark);
        run(parts(&generator).critic(FakeCritic::new()), request(prompt));
        assert_eq!(generator.requests()[0].prompt, expected, "{mark:?}");
    }
    // One that is plain words is left alone, and its image is listed.
    let generator = FakeGenerator::new().with_image_mark(None);
    run(parts(&generator).critic(FakeCritic::new()), request("image 7 of a series, <|image_2|>"));
    assert_eq!(
        generator.requests()[0].prompt,
        "According to these examples of my cat: image 1, generate image 7 of a series, image 2"
    );
    let generator = FakeGenerator::new().with_image_mark(Some("<pic{n}>"));
    let pipeline = parts(&generator).critic(FakeCritic::new()).build().unwrap();
    let error = block_on(pipeline.run(request("<pic3>"))).unwrap_err().source.to_string();
    assert!(error.ends_with("expected images 1 to 2, found <pic3>"), "{error}");
}

#[test]
fn conditioners_that_give_no_images_read_captions() {
    let tokens = ConditioningKind::Tokens { space: "colours".into() };
    let generator = FakeGenerator::new().accepting(tokens);
    let builder = parts(&generator).conditioner(FakeConditioner::new("colours", 3));
    run(builder.critic(FakeCritic::new()), request("<|image_1|> in <|image_2|>"));
    assert_eq!(
        generator.requests()[0].prompt,
        "According to these examples of my cat, my mug, generate my cat in my mug"
    );
}

#[test]
fn in_prompt_alone_reads_marks_as_well() {
    let references: Vec<Reference> = (1..=5)
        .map(|n| Reference::new(solid(4, 4, [n; 3]), Caption::concept(format!("thing {n}"))))
        .collect();
    let conditioned = |conditioner: InPrompt, prompt: &str| {
        let request = ConditionRequest::new(prompt, references.clone()).with_image_mark("<i{n}>");
        block_on(conditioner.condition(&request)).map(|made| made.prompt)
    };
    let five = || InPrompt::new(5).unwrap();
    assert_eq!(
        conditioned(five(), "<|image_5|> and <i3>").unwrap(),
        "According to these examples of thing 1: <i1>, thing 2: <i2>, thing 4: <i4>, \
         generate <i5> and <i3>"
    );
    // A mark of the caller's own, and none.
    assert_eq!(
        conditioned(five().with_mark("({n}.png)"), "<i1>, <|image_2|>, (3.png), <i4>, <i5>")
            .unwrap(),
        "(1.png), (2.png), (3.png), (4.png), (5.png)"
    );
    assert_eq!(
        conditioned(five().with_mark(""), "<i1> and <i2>").unwrap(),
        "According to these examples of thing 3, thing 4, thing 5, generate thing 1 and thing 2"
    );
    let plain = five().with_template(PromptTemplate::Plain).unwrap();
    assert_eq!(conditioned(plain, "<i2> on <i1>").unwrap(), "<i3> <i4> <i5> <i2> on <i1>");
    let error = conditioned(five(), "<i6>").unwrap_err().to_string();
    assert_eq!(error, "images that the prompt names: expected images 1 to 5, found <i6>");
    assert!(conditioned(InPrompt::default(), "x").is_err(), "three are the default");
}

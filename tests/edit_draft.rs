//! Drafts that are edited with retrieved references, on fakes.

use futures::executor::block_on;
use imagerag::conditioner::{Conditioning, ConditioningKind, InPrompt, PromptTemplate};
use imagerag::pipeline::{Mode, RagConfig, RagPipelineBuilder, Record, Refusal, Stage, StopReason};
use imagerag::reference::Source;
use imagerag::testing::{
    FakeConditioner, FakeCritic, FakeGenerator, FakeRetriever, FakeVlm, solid,
};
use imagerag::{Error, Image, RagOutcome, RagPipeline, RagRequest};

fn config() -> RagConfig {
    RagConfig::default().with_mode(Mode::EditDraft)
}

fn parts(generator: &FakeGenerator) -> RagPipelineBuilder {
    let shelf = [("a quetzal", solid(4, 4, [0, 200, 90])), ("a sheep", solid(4, 4, [240; 3]))];
    RagPipeline::builder()
        .generator(generator.clone())
        .retriever(FakeRetriever::new(shelf))
        .conditioner(InPrompt::default())
        .config(config())
}

fn run(builder: RagPipelineBuilder, request: impl Into<RagRequest> + Send) -> RagOutcome {
    block_on(builder.build().unwrap().run(request)).unwrap()
}

fn sources(outcome: &RagOutcome) -> Vec<String> {
    outcome.references.iter().map(|one| one.provenance.source.to_string()).collect()
}

/// The prompts and the images of every request after the first.
fn edits(generator: &FakeGenerator) -> Vec<(String, Vec<Image>)> {
    let requests = generator.requests().into_iter().skip(1);
    let edits = requests.map(|request| match request.conditioning {
        Conditioning::Images(images) => (request.prompt, images),
        other => panic!("{other:?}"),
    });
    edits.collect()
}

#[test]
fn the_draft_is_edited_as_in_the_references() {
    let generator = FakeGenerator::new();
    let critic = FakeCritic::new().missing(["a quetzal", "a sheep"]);
    let outcome = run(parts(&generator).critic(critic.clone()), "a zoo at dawn");
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    let (prompt, images) = edits(&generator).remove(0);
    assert_eq!(
        prompt,
        "Edit this image: <img><|image_1|></img> so that it shows a zoo at dawn, as in these \
         examples: a quetzal: <img><|image_2|></img>, a sheep: <img><|image_3|></img>"
    );
    assert_eq!(images.len(), 3);
    assert_eq!(Some(&images[0]), outcome.draft.as_ref());
    assert_eq!(sources(&outcome), ["a quetzal", "a sheep"], "the draft is no reference");
    assert_eq!(critic.requests()[0].max_concepts, 2, "the draft takes a place");
    let Some(Record::Conditioned { references, .. }) = &outcome.trace.stages[4].record else {
        panic!("{}", outcome.trace)
    };
    assert_eq!(references[0].provenance.source, Source::Draft);
}

#[test]
fn the_callers_images_keep_their_numbers() {
    let generator = FakeGenerator::new();
    let critic = FakeCritic::new().missing(["a quetzal", "a sheep"]);
    let cat = solid(4, 4, [9; 3]);
    let request = RagRequest::new("<|image_1|> in a zoo").with_reference(cat.clone(), "my cat");
    let outcome = run(parts(&generator).critic(critic), request);
    let (prompt, images) = edits(&generator).remove(0);
    assert_eq!(
        prompt,
        "Edit this image: <img><|image_2|></img> so that it shows <img><|image_1|></img> in a zoo, \
         as in these examples: a quetzal: <img><|image_3|></img>"
    );
    assert_eq!((&images[0], Some(&images[1])), (&cat, outcome.draft.as_ref()));
    assert_eq!(sources(&outcome), ["caller's image 1", "a quetzal"]);
    let refused = |hit: &imagerag::pipeline::Hit| hit.refused == Some(Refusal::NoRoom);
    assert!(outcome.trace.hits().any(refused), "no room for the sheep");

    // One that the prompt does not name is an example.
    let generator = FakeGenerator::new();
    let request = RagRequest::new("a zoo").with_reference(cat, "my cat");
    let critic = FakeCritic::new().missing(["a quetzal"]);
    run(parts(&generator).critic(critic), request);
    assert!(edits(&generator)[0].0.ends_with(
        "so that it shows a zoo, as in these examples: my cat: <img><|image_1|></img>, \
         a quetzal: <img><|image_3|></img>"
    ));
}

#[test]
fn later_rounds_edit_the_last_image_and_owe_it_its_references() {
    let generator = FakeGenerator::new();
    let critic = FakeCritic::new().missing(["a quetzal"]).missing(["a sheep"]);
    let cat = solid(4, 4, [9; 3]);
    let request = RagRequest::new("a zoo").with_reference(cat, "my cat");
    let outcome =
        run(parts(&generator).critic(critic).config(config().with_max_rounds(3)), request);
    assert_eq!(outcome.stop, StopReason::Matched { round: 2 });
    let edits = edits(&generator);
    assert_eq!(edits.len(), 2);
    let (draft, first) = (&edits[0].1[1], &edits[1].1[1]);
    assert_eq!(outcome.draft.as_ref(), Some(draft));
    assert!(first != draft && *first != outcome.image);
    assert_eq!(sources(&outcome), ["caller's image 1", "a quetzal", "a sheep"]);
}

#[test]
fn an_existing_picture_is_edited() {
    let generator = FakeGenerator::new();
    let picture = solid(20, 10, [1, 2, 3]);
    let request = RagRequest::new("a zoo").with_draft(picture.clone());
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let outcome = run(parts(&generator).critic(critic), request.clone());
    assert_eq!(generator.requests().len(), 1);
    assert!(matches!(
        &generator.requests()[0].conditioning,
        Conditioning::Images(images) if images[0] == picture && images.len() == 2
    ));
    assert_eq!(outcome.draft, Some(picture.clone()));

    // With other modes it is the draft too, or refused.
    let with = |mode| {
        let generator = FakeGenerator::new();
        let vlm = FakeVlm::new(["no", "a quetzal", "a quetzal"]);
        let builder = parts(&generator).vlm(vlm.clone());
        let pipeline = builder.config(RagConfig::default().with_mode(mode)).build().unwrap();
        let result = block_on(pipeline.run(request.clone()));
        (result, generator.requests().len(), vlm.requests())
    };
    let (outcome, drawn, asked) = with(Mode::OnDemand);
    assert_eq!((outcome.unwrap().draft, drawn), (Some(picture.clone()), 1));
    assert_eq!(asked[0].messages[0].images, std::slice::from_ref(&picture));
    let (outcome, drawn, asked) = with(Mode::RephraseOnly);
    assert_eq!((outcome.unwrap().stop, drawn), (StopReason::Rephrased, 1));
    assert_eq!(asked[0].messages[0].images, [picture]);
    let (result, drawn, asked) = with(Mode::AllConcepts);
    let error = result.unwrap_err();
    assert_eq!((error.stage, drawn, asked.len()), (Stage::Validate, 0, 0));
    let expected = "the caller's draft: expected none, as Mode::AllConcepts begins without one, \
                    found one of 20x10 pixels";
    assert_eq!(error.source.to_string(), expected);
}

#[test]
fn too_many_images_of_the_callers_are_refused_before_the_draft() {
    let cats = |count: u8| {
        let cats = (1..=count).map(|n| (solid(4, 4, [n; 3]), format!("cat {n}")));
        cats.fold(RagRequest::new("my cats"), |all, (cat, name)| all.with_reference(cat, name))
    };
    for (capacity, count, most) in [(3, 2, 1), (3, 3, 1), (2, 1, 0), (5, 4, 3)] {
        let generator = FakeGenerator::new();
        let critic = FakeCritic::new().missing(["a quetzal"]);
        let builder = parts(&generator).conditioner(InPrompt::new(capacity).unwrap());
        let pipeline = builder.critic(critic.clone()).build().unwrap();
        let expected = format!(
            "the caller's references: expected at most {most} in Mode::EditDraft, as \
             InPrompt({capacity}) also takes the draft and at least one retrieved reference, found \
             {count}"
        );
        // Also one that brings its draft.
        for request in [cats(count), cats(count).with_draft(solid(4, 4, [9; 3]))] {
            let error = block_on(pipeline.run(request)).unwrap_err();
            assert_eq!(
                (error.stage, error.source.to_string()),
                (Stage::Validate, expected.clone())
            );
        }
        assert!(generator.requests().is_empty() && critic.requests().is_empty());
        let outcome = block_on(pipeline.run(cats(most))).unwrap();
        assert_eq!(
            (outcome.stop, outcome.references.len()),
            (StopReason::RoundLimit, capacity - 1)
        );
    }
    // More than the conditioner takes in any mode.
    let pipeline = parts(&FakeGenerator::new()).critic(FakeCritic::new()).build().unwrap();
    let error = block_on(pipeline.run(cats(4))).unwrap_err().source.to_string();
    assert_eq!(error, "the caller's references: expected at most 3, found 4");
}

#[test]
fn a_condition_of_another_kind_or_without_room_is_refused_by_name() {
    let tokens = ConditioningKind::Tokens { space: "colours".into() };
    let generator = FakeGenerator::new().accepting(tokens);
    let build = |builder: RagPipelineBuilder| {
        builder.critic(FakeCritic::new()).build().map_err(|error| error.to_string())
    };
    let error = build(parts(&generator).conditioner(FakeConditioner::new("colours", 3)));
    let expected = "Mode::EditDraft does not fit FakeConditioner(colours, 3): expected images, \
                    found tokens of colours";
    assert_eq!(error.unwrap_err(), expected);
    let error = build(parts(&generator).conditioner(InPrompt::new(1).unwrap()));
    let expected = "capacity of InPrompt(1): expected at least 2 in Mode::EditDraft, the draft and a \
                    reference, found 1";
    assert_eq!(error.unwrap_err(), expected);
    let error = RagPipeline::builder().generator(generator).config(config()).build().unwrap_err();
    assert!(matches!(error, Error::MissingPart { part: "critic", .. }), "{error}");
}

#[test]
fn the_words_can_be_the_callers() {
    let generator = FakeGenerator::new().with_image_mark(None);
    let german = "Ändere {image}, bis es {prompt} zeigt, nach {examples}. {x}";
    let conditioner = InPrompt::default().with_edit_template(german).unwrap();
    let critic = || FakeCritic::new().missing(["a quetzal"]);
    run(parts(&generator).conditioner(conditioner.clone()).critic(critic()), "ein {image}");
    let expected = "Ändere image 1, bis es ein {image} zeigt, nach a quetzal: image 2. {x}";
    assert_eq!(edits(&generator)[0].0, expected);

    // The template of drawing does not concern edits, and an empty mark leaves examples unnamed.
    let generator = FakeGenerator::new();
    let conditioner = conditioner.with_template(PromptTemplate::ThisItem).unwrap().with_mark("");
    run(parts(&generator).conditioner(conditioner).critic(critic()), "ein Zoo");
    assert_eq!(edits(&generator)[0].0, "Ändere image 1, bis es ein Zoo zeigt, nach a quetzal. {x}");

    for (template, missing) in [
        ("{prompt} {examples}", "{image}"),
        ("{image} {examples}", "{prompt}"),
        ("{image}: {prompt}", "{examples}"),
    ] {
        let error = InPrompt::default().with_edit_template(template).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("edit template: expected a text with {missing}, found {template:?}")
        );
    }
}

#[cfg(feature = "serde")]
#[test]
fn trace_and_settings_are_json_that_reads_back() {
    let json = serde_json::to_string(&config()).unwrap();
    assert!(json.contains("\"edit_draft\""), "{json}");
    assert_eq!(serde_json::from_str::<RagConfig>(&json).unwrap(), config());
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let trace = run(parts(&FakeGenerator::new()).critic(critic), "a zoo").trace;
    let back: imagerag::pipeline::RagTrace = serde_json::from_str(&trace.to_json()).unwrap();
    assert_eq!(back, trace);
}

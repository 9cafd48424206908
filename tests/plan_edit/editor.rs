//! Who makes the edits, with what, and what is said where nobody can.

use futures::executor::block_on;
use imagerag::conditioner::ConditioningKind;
use imagerag::generator::{Drawn, GenerateRequest};
use imagerag::pipeline::{Mode, RagConfig, Stage};
use imagerag::testing::{FakeGenerator, solid};
use imagerag::{Generator, RagPipeline, RagRequest, Usage, async_trait};

use super::{config, parts, prompts, run};

#[test]
fn another_generator_may_edit() {
    let (drafts, edits) = (FakeGenerator::text_only(), FakeGenerator::new());
    let (builder, _) = parts(&drafts, &["Add a tree.", "yes"]);
    let outcome = run(builder.editor(edits.clone()), "a tree");
    assert_eq!(prompts(&drafts), ["a tree"]);
    assert_eq!(prompts(&edits), ["<img><|image_1|></img> Add a tree."]);
    assert_eq!(outcome.trace.parts.editor.as_deref(), Some("FakeGenerator"));
    // One without a mark is asked in words alone, and marks in a reply mean the image.
    for mark in [None, Some("")] {
        let edits = FakeGenerator::new().with_image_mark(mark);
        let (builder, _) = parts(&drafts, &["Make <img><|image_3|></img> darker.", "yes"]);
        run(builder.editor(edits.clone()), "a tree");
        assert_eq!(prompts(&edits), ["Make the image darker."], "{mark:?}");
    }
}

/// An editor that charges.
#[derive(Debug)]
struct Paid;

impl std::fmt::Display for Paid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Paid")
    }
}

#[async_trait]
impl Generator for Paid {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> imagerag::Result<Vec<Drawn>> {
        let image = solid(4, 4, [7; 3]);
        let drawn = Drawn::from(image);
        Ok(vec![drawn.with_usage(Usage::images(1)); requests.len()])
    }
}

#[test]
fn what_the_editor_charges_is_its_own() {
    let (builder, _) = parts(&FakeGenerator::new(), &["Add a tree.\nAdd a dog.", "no", "yes"]);
    let trace = run(builder.editor(Paid), "a tree").trace;
    assert_eq!(trace.usage_by_part()["Paid"], Usage::images(2));
    assert_eq!(trace.usage_by_part().len(), 1);
}

#[test]
fn missing_parts_and_generators_that_take_no_images_are_named() {
    let error = RagPipeline::builder().generator(FakeGenerator::new()).config(config()).build();
    let expected = "the pipeline needs a VLM to plan edits with: call .vlm(…) on the builder";
    assert_eq!(error.unwrap_err().to_string(), expected);

    let expected = "the pipeline does not fit FakeGenerator: expected an editor that accepts images, \
                    found no conditioning";
    let (builder, _) = parts(&FakeGenerator::text_only(), &[]);
    assert_eq!(builder.build().unwrap_err().to_string(), expected);
    let (builder, _) = parts(&FakeGenerator::new(), &[]);
    let error = builder.editor(FakeGenerator::text_only()).build().unwrap_err();
    assert_eq!(error.to_string(), expected);

    // Also where the mode comes later.
    let rephrase = RagConfig::default().with_mode(Mode::RephraseOnly);
    let (builder, vlm) = parts(&FakeGenerator::text_only(), &[]);
    let pipeline = builder.config(rephrase).build().unwrap();
    assert_eq!(pipeline.with_config(config()).unwrap_err().to_string(), expected);
    let error = block_on(pipeline.run(RagRequest::new("a").with_config(config()))).unwrap_err();
    assert_eq!((error.stage, error.source.to_string().as_str()), (Stage::Validate, expected));
    assert!(vlm.requests().is_empty());
}

#[test]
fn an_editor_is_given_the_settings_of_the_request_and_keeps_its_own_others() {
    let settings = |request: &GenerateRequest| {
        let size = request.width.zip(request.height);
        (size, request.steps, request.guidance_scale, request.negative_prompt.clone())
    };
    let draw = |request: RagRequest| {
        let (drafts, edits) = (FakeGenerator::text_only(), FakeGenerator::new());
        let (builder, _) = parts(&drafts, &["Add a tree.", "yes"]);
        run(builder.editor(edits.clone()), request);
        (settings(&drafts.requests()[0]), settings(&edits.requests()[0]))
    };
    let (draft, edit) = draw(RagRequest::new("a tree"));
    assert_eq!((&draft, &edit), (&(None, None, None, None), &draft));
    let request = RagRequest::new("a tree").with_size(32, 16).with_steps(3);
    let (draft, edit) = draw(request.with_guidance_scale(4.0).with_negative_prompt("fog"));
    assert_eq!(draft, (Some((32, 16)), Some(3), Some(4.0), Some("fog".into())));
    assert_eq!(edit, draft);
}

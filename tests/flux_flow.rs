//! The loop of the paper on FLUX with OminiControl, branch by branch: a small random checkpoint
//! draws, the critic and the retriever are fakes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use futures::StreamExt;
use futures::executor::block_on;
use imagerag::conditioner::{ConditionRequest, OminiControl, OminiControlBuilder, PromptTemplate};
use imagerag::critic::{Query, Verdict};
use imagerag::generator::{Flux, GenerateRequest, GeneratorExt};
use imagerag::pipeline::{
    Event, Fallback, Mode, RagConfig, RagPipelineBuilder, Record, Refusal, Stage, StopReason,
    TracedImage,
};
use imagerag::reference::{Caption, Provenance, Reference, Source};
use imagerag::testing::{FakeConditioner, FakeCritic, FakeGenerator, FakeRetriever, FakeVlm};
use imagerag::{Conditioner, Error, Image, RagOutcome, RagPipeline, RagRequest};

/// The side of every image, in pixels.
const SIDE: u32 = 32;
const ADAPTER: &str = "schnell_full";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// One FLUX for all tests.
fn flux() -> Arc<Flux> {
    static FLUX: OnceLock<Arc<Flux>> = OnceLock::new();
    let load = || {
        let flux = Flux::builder(fixture("flux/schnell"))
            .omini_control(fixture("omini/schnell_full.safetensors"))
            .max_sequence_length(16)
            .steps(2);
        Arc::new(flux.load().unwrap())
    };
    Arc::clone(FLUX.get_or_init(load))
}

/// A condition beside the image.
fn omini() -> OminiControlBuilder {
    OminiControl::builder(ADAPTER)
        .pixels_per_token(flux().size_multiple())
        .condition_size(SIDE)
        .position_delta(0, 8)
}

/// Pictures that are not square, with edges.
fn pictures() -> [(&'static str, Image); 3] {
    let open = |name: &str| Image::open(fixture(name)).unwrap();
    [
        ("a photo of a quetzal", open("omini/wide.png")),
        ("a quetzal on a branch", open("omini/high.png")),
        ("a sheep", open("sdxl/reference_0.png")),
    ]
}

fn parts() -> RagPipelineBuilder {
    let retriever = FakeRetriever::new(pictures());
    RagPipeline::builder()
        .generator(flux())
        .retriever(retriever)
        .conditioner(omini().build().unwrap())
}

fn request(prompt: &str) -> RagRequest {
    RagRequest::new(prompt).with_size(SIDE, SIDE).with_seed(3)
}

fn run(builder: RagPipelineBuilder, prompt: &str) -> RagOutcome {
    block_on(builder.build().unwrap().run(request(prompt))).unwrap()
}

/// What FLUX draws outside the loop, with `reference` as `conditioner` prepares it.
fn drawn(prompt: &str, reference: Option<(&OminiControl, &Reference)>) -> Image {
    let mut request = GenerateRequest::new(prompt);
    (request.seed, request.width, request.height) = (3, Some(SIDE), Some(SIDE));
    if let Some((conditioner, reference)) = reference {
        let ask = ConditionRequest::new(prompt, [reference.clone()]);
        let conditioned = block_on(conditioner.condition(&ask)).unwrap();
        (request.prompt, request.conditioning) = (conditioned.prompt, conditioned.conditioning);
    }
    block_on(flux().generate_one(&request)).unwrap().image
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

#[test]
fn a_draft_that_matches_is_the_result() {
    let outcome = run(parts().critic(FakeCritic::new()), "a sheep");
    assert_eq!(outcome.stop, StopReason::Matched { round: 0 });
    assert_eq!(outcome.draft.as_ref(), Some(&outcome.image));
    assert_eq!(outcome.image, drawn("a sheep", None));
    assert_eq!(images(&outcome)[0].conditioning, "no conditioning");
}

#[test]
fn a_missing_concept_is_retrieved_and_stands_beside_the_image() {
    let outcome = run(parts().critic(FakeCritic::new().missing(["a quetzal"])), "a bird at dawn");
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    assert_eq!(uris(&outcome), ["a photo of a quetzal"]);
    assert_eq!(outcome.draft, Some(drawn("a bird at dawn", None)));
    let conditioner = omini().build().unwrap();
    let expected = drawn("a bird at dawn", Some((&conditioner, &outcome.references[0])));
    assert_eq!(outcome.image, expected);
    assert_ne!(outcome.draft.as_ref(), Some(&outcome.image));
    let last = images(&outcome)[1];
    assert_eq!(last.prompt, "According to these examples of a quetzal, generate a bird at dawn");
    assert_eq!(last.conditioning, "a condition image for schnell_full");
    assert_eq!(last.warnings, [""; 0]);
    let parts = &outcome.trace.parts;
    assert_eq!(parts.generator, "FLUX(schnell)");
    assert_eq!(parts.conditioner.as_deref(), Some("OminiControl(schnell_full)"));
}

#[test]
fn of_several_missing_concepts_one_is_drawn() {
    let critic = FakeCritic::new().missing(["a quetzal", "a sheep"]);
    let outcome = run(parts().critic(critic.clone()), "a quetzal and a sheep");
    assert_eq!(critic.requests()[0].max_concepts, 1);
    assert_eq!(outcome.references.len(), 1);
    assert!(outcome.trace.hits().any(|hit| hit.refused == Some(Refusal::NoRoom)));
}

#[test]
fn rounds_go_on_with_other_references_until_the_critic_is_satisfied() {
    let critic = FakeCritic::new().missing(["a quetzal"]).missing(["a quetzal"]);
    let outcome =
        run(parts().critic(critic).config(RagConfig::default().with_max_rounds(5)), "a bird");
    assert_eq!(outcome.stop, StopReason::Matched { round: 2 });
    assert_eq!(uris(&outcome), ["a quetzal on a branch"]);
    assert!(outcome.trace.hits().any(|hit| hit.refused == Some(Refusal::AlreadyTried)));
    assert_eq!(images(&outcome).len(), 3);
}

#[test]
fn the_best_image_of_all_rounds_is_kept() {
    let critic = FakeCritic::new()
        .missing(["a quetzal", "a sheep"])
        .missing(["a quetzal"])
        .missing(["a sheep", "a quetzal"]);
    let outcome =
        run(parts().critic(critic).config(RagConfig::default().with_max_rounds(2)), "everything");
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    let conditioner = omini().build().unwrap();
    assert_eq!(outcome.image, drawn("everything", Some((&conditioner, &outcome.references[0]))));
    assert_eq!(uris(&outcome), ["a photo of a quetzal"], "the image of round 1");
}

#[test]
fn without_a_useful_reference_the_draft_is_kept() {
    let critic = || FakeCritic::new().missing(["zeppelin"]);
    let nothing = run(parts().critic(critic()), "zeppelin");
    let poor = run(
        parts()
            .critic(FakeCritic::new().missing(["a zeppelin"]))
            .config(RagConfig::default().with_threshold(0.9)),
        "a",
    );
    for outcome in [nothing, poor] {
        assert_eq!(outcome.stop, StopReason::NoUsefulReference);
        assert_eq!(outcome.draft.as_ref(), Some(&outcome.image));
    }
}

#[test]
fn a_critic_that_cannot_say_what_is_missing_falls_back_or_stops() {
    let critic = || FakeCritic::new().then(Ok(Verdict::Undetermined));
    let outcome = run(parts().critic(critic()), "a quetzal");
    assert_eq!(uris(&outcome), ["a photo of a quetzal"]);
    let outcome = run(
        parts().critic(critic()).config(RagConfig::default().with_fallback(Fallback::Stop)),
        "a quetzal",
    );
    assert_eq!(outcome.stop, StopReason::Undetermined);
    assert_eq!(outcome.image, drawn("a quetzal", None));
}

#[test]
fn without_a_draft_every_concept_is_looked_for_at_once() {
    let builder =
        parts().config(RagConfig::default().with_mode(Mode::AllConcepts).with_query(Query::Prompt));
    let outcome = run(builder, "a sheep");
    assert_eq!((outcome.draft.as_ref(), uris(&outcome)), (None, vec!["a sheep".to_owned()]));
    assert_eq!(images(&outcome).len(), 1);
    let critic = FakeCritic::new().missing(["zeppelin"]);
    let outcome = run(
        parts().config(RagConfig::default().with_mode(Mode::AllConcepts)).critic(critic),
        "zeppelin",
    );
    assert_eq!(outcome.stop, StopReason::NoUsefulReference);
    assert_eq!(outcome.image, drawn("zeppelin", None));
}

#[test]
fn a_rephrased_prompt_is_drawn_alone() {
    let vlm = FakeVlm::new(["a green bird with a long tail"]);
    let builder = RagPipeline::builder()
        .generator(flux())
        .vlm(vlm)
        .config(RagConfig::default().with_mode(Mode::RephraseOnly));
    let outcome = run(builder, "a quetzal");
    assert_eq!(outcome.stop, StopReason::Rephrased);
    assert_eq!(outcome.image, drawn("a green bird with a long tail", None));
}

#[test]
fn the_callers_image_takes_the_only_place() {
    let mine = pictures()[1].1.clone();
    let request = request("my cat").with_reference(mine.clone(), "my cat");
    let pipeline = parts().critic(FakeCritic::new()).build().unwrap();
    let outcome = block_on(pipeline.run(request.clone())).unwrap();
    assert_eq!(outcome.stop, StopReason::NoRoom);
    let reference = Reference {
        picture: mine.clone().into(),
        caption: Caption::concept("my cat"),
        provenance: Provenance::new(Source::Caller(0), "caller", 1.0, 0),
    };
    let conditioner = omini().build().unwrap();
    assert_eq!(outcome.image, drawn("my cat", Some((&conditioner, &reference))));

    let error = block_on(pipeline.run(request.with_reference(mine, "another"))).unwrap_err();
    assert_eq!(error.stage, Stage::Validate);
    assert!(error.chain().to_string().contains("expected at most 1, found 2"), "{error}");
}

#[test]
fn a_condition_on_the_place_of_the_image_is_a_warning_in_the_trace() {
    let conditioner = omini().position_delta(0, 3).template(PromptTemplate::ThisItem);
    let builder = parts()
        .conditioner(conditioner.build().unwrap())
        .critic(FakeCritic::new().missing(["a quetzal"]));
    let outcome = run(builder, "It flies.");
    let drawn = images(&outcome);
    assert_eq!(drawn[0].warnings, [""; 0]);
    assert_eq!(drawn[1].prompt, "This item is a quetzal. It flies.");
    assert_eq!(
        drawn[1].warnings,
        ["position delta 0,3 puts tokens of the 32x32 condition on positions of the 32x32 image"]
    );
    #[cfg(feature = "serde")]
    assert!(outcome.trace.to_json().contains("puts tokens of the 32x32 condition"));
}

#[test]
fn an_error_keeps_the_trace_and_the_draft() {
    // Tokens of FLUX.1's own size, which this checkpoint does not have.
    let conditioner = OminiControl::builder(ADAPTER).condition_size(SIDE).build().unwrap();
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let pipeline = parts().conditioner(conditioner).critic(critic).build().unwrap();
    let error = block_on(pipeline.run(request("a bird"))).unwrap_err();
    assert_eq!(error.stage, Stage::Generate);
    assert!(
        error.chain().to_string().contains("pixels of a token of the condition image"),
        "{error}"
    );
    assert_eq!(error.best, Some(drawn("a bird", None)));
    // Guidance, which this checkpoint is not told, and a size that it cannot draw.
    let pipeline = parts().critic(FakeCritic::new()).build().unwrap();
    for request in
        [request("a bird").with_guidance_scale(3.5), RagRequest::new("a bird").with_size(30, 30)]
    {
        let error = block_on(pipeline.run(request)).unwrap_err();
        assert_eq!(error.stage, Stage::Draft);
        assert!(matches!(*error.source, Error::InvalidInput { .. }), "{error}");
    }
}

#[test]
fn a_stream_tells_of_every_step_of_flux() {
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
fn parts_that_do_not_fit_are_named_with_what_each_takes() {
    let refused = |builder: RagPipelineBuilder| {
        let error = builder.critic(FakeCritic::new()).build().unwrap_err();
        assert!(matches!(error, Error::Incompatible { .. }), "{error}");
        error.chain().to_string()
    };
    let tokens = "ip-adapter-plus sdxl 2048";
    assert_eq!(
        refused(parts().conditioner(FakeConditioner::new(tokens, 1))),
        "FLUX(schnell) does not fit FakeConditioner(ip-adapter-plus sdxl 2048, 1): expected no \
         conditioning or a condition image for schnell_full, found tokens of ip-adapter-plus sdxl \
         2048"
    );
    let other = refused(parts().conditioner(OminiControl::new("subject_512")));
    assert!(other.contains("found a condition image for subject_512"), "{other}");
    // And the other way round.
    let other = refused(parts().generator(FakeGenerator::new()));
    assert!(other.contains("expected no conditioning or images"), "{other}");
    // More than one reference is refused with the reason, before there is a pipeline.
    let error = omini().capacity(2).build().unwrap_err().chain().to_string();
    assert!(error.contains("read one subject and mix several"), "{error}");
    assert_eq!(omini().build().unwrap().capacity(), 1);
}

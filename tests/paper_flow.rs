//! The loop of the paper, branch by branch, on fakes.

use futures::StreamExt;
use futures::executor::block_on;
use imagerag::conditioner::{Conditioning, ConditioningKind, InPrompt};
use imagerag::critic::{Critic, CritiqueRequest, GuidedCot, Query, Verdict};
use imagerag::pipeline::{
    Event, Fallback, Mode, RagConfig, RagPipelineBuilder, Record, Refusal, Stage, StopReason,
};
use imagerag::reference::Source;
use imagerag::testing::{
    FakeConditioner, FakeCritic, FakeGenerator, FakeRetriever, FakeVlm, solid,
};
use imagerag::vlm::{ChatReply, ChatRequest, Questions, Role};
use imagerag::{Error, RagOutcome, RagPipeline, RagRequest};

/// A gallery with a picture of each thing.
fn gallery() -> FakeRetriever {
    FakeRetriever::new([
        ("a photo of a quetzal", solid(4, 4, [0, 200, 90])),
        ("a quetzal on a branch", solid(4, 4, [0, 190, 80])),
        ("oil painting style", solid(4, 4, [120, 80, 10])),
        ("a sheep", solid(4, 4, [240, 240, 240])),
    ])
}

fn parts(generator: &FakeGenerator) -> RagPipelineBuilder {
    RagPipeline::builder()
        .generator(generator.clone())
        .retriever(gallery())
        .conditioner(InPrompt::new(3).unwrap())
}

fn run(builder: RagPipelineBuilder, request: impl Into<RagRequest> + Send) -> RagOutcome {
    block_on(builder.build().unwrap().run(request)).unwrap()
}

fn uris(outcome: &RagOutcome) -> Vec<String> {
    outcome.references.iter().map(|r| r.provenance.source.to_string()).collect()
}

#[test]
fn a_draft_that_matches_is_the_result() {
    let generator = FakeGenerator::new();
    let vlm = FakeVlm::new(["Yes."]);
    let outcome = run(parts(&generator).vlm(vlm.clone()), "a sheep");
    assert_eq!(outcome.stop, StopReason::Matched { round: 0 });
    assert_eq!(outcome.draft.as_ref(), Some(&outcome.image));
    assert_eq!(generator.requests().len(), 1);
    assert_eq!(vlm.requests().len(), 1);
    assert!(outcome.references.is_empty());
}

#[test]
fn a_missing_concept_is_retrieved_and_drawn() {
    let generator = FakeGenerator::new();
    let vlm = FakeVlm::new(["no", "1. a quetzal", "a photo of a quetzal"]);
    let request = RagRequest::new("a quetzal at dawn").with_seed(9).with_steps(3);
    let outcome = run(parts(&generator).vlm(vlm.clone()), request);

    assert_eq!(outcome.stop, StopReason::RoundLimit);
    assert_eq!(uris(&outcome), ["a photo of a quetzal"]);
    let drawn = generator.requests();
    assert_eq!(drawn.len(), 2);
    assert_eq!(drawn[0].prompt, "a quetzal at dawn");
    assert_eq!(
        drawn[1].prompt,
        "According to these examples of a photo of a quetzal: <img><|image_1|></img>, generate a quetzal at dawn"
    );
    assert!(drawn.iter().all(|request| request.seed == 9 && request.steps == Some(3)));
    assert_ne!(outcome.draft.as_ref(), Some(&outcome.image));

    // The conversation: three questions, the draft sent once in each.
    let asked = vlm.requests();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[2].messages.len(), 5);
    for request in &asked {
        let images: usize = request.messages.iter().map(|message| message.images.len()).sum();
        assert_eq!((images, request.temperature), (1, 0.0));
    }
    assert_eq!(asked[1].messages[1].role, Role::Assistant);
    assert_eq!(asked[1].messages[1].text, "no");
}

#[test]
fn as_many_concepts_as_there_is_room_for() {
    let generator = FakeGenerator::new();
    let vlm = FakeVlm::new([
        "no",
        "- oil painting style\n- a sheep\n- a quetzal\n- a car",
        "oil painting style\na sheep\na quetzal on a branch\na red car",
    ]);
    let outcome = run(parts(&generator).vlm(vlm), "an oil painting of a sheep and a quetzal");
    assert_eq!(uris(&outcome), ["oil painting style", "a sheep", "a quetzal on a branch"]);
    assert!(
        matches!(&generator.requests()[1].conditioning, Conditioning::Images(i) if i.len() == 3)
    );
}

#[test]
fn a_refusal_is_asked_again_at_rising_temperatures_and_then_the_prompt_is_retrieved() {
    let generator = FakeGenerator::new();
    let unable = "I'm unable to respond to that.";
    let vlm = FakeVlm::new(["no", unable, unable, unable, unable]);
    let outcome = run(parts(&generator).vlm(vlm.clone()), "a quetzal");

    let temperatures: Vec<f64> = vlm.requests().iter().map(|r| r.temperature).collect();
    assert_eq!(temperatures, [0.0, 0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
    // The same question each time: the draft is not sent twice in one conversation.
    assert!(vlm.requests()[1..].iter().all(|r| r.messages == vlm.requests()[1].messages));
    assert_eq!(uris(&outcome), ["a photo of a quetzal"]);
    assert_eq!(outcome.references[0].caption.text, "a quetzal");
    let fell_back = outcome.trace.stages.iter().any(|stage| {
        matches!(&stage.record, Some(Record::Captions { fallback: true, captions }) if captions[0].text == "a quetzal")
    });
    assert!(fell_back);
    assert_eq!(outcome.trace.exchanges().count(), 5);
}

#[test]
fn a_repetition_that_succeeds_ends_the_repetitions() {
    let vlm =
        FakeVlm::new(["no", "I can\u{2019}t help with that", "a quetzal", "a photo of a quetzal"]);
    let outcome = run(parts(&FakeGenerator::new()).vlm(vlm.clone()), "a quetzal");
    assert_eq!(vlm.requests().len(), 4);
    assert_eq!(vlm.requests()[3].temperature, 0.0);
    assert_eq!(uris(&outcome), ["a photo of a quetzal"]);
}

#[test]
fn a_refusal_field_counts_as_refusal() {
    let mut refusal = ChatReply::new("");
    refusal.refusal = Some("not allowed".into());
    let vlm = FakeVlm::new(["no"]).then(Ok(refusal.clone())).then(Ok(refusal.clone()));
    let vlm = vlm.then(Ok(refusal.clone())).then(Ok(refusal));
    let builder = parts(&FakeGenerator::new())
        .vlm(vlm)
        .config(RagConfig::default().with_fallback(Fallback::Stop));
    let outcome = run(builder, "a quetzal");
    assert_eq!(outcome.stop, StopReason::Undetermined);
    assert_eq!(outcome.draft.as_ref(), Some(&outcome.image));
}

#[test]
fn eyes_are_no_yes() {
    let vlm = FakeVlm::new(["No, the eyes do not match.", "a quetzal", "a photo of a quetzal"]);
    let outcome = run(parts(&FakeGenerator::new()).vlm(vlm), "a quetzal");
    assert_eq!(outcome.stop, StopReason::RoundLimit);
}

#[test]
fn a_decision_that_makes_no_sense_falls_back_to_the_prompt() {
    let vlm = FakeVlm::new(["The eyes are nice", "perhaps", "", "42"]);
    let outcome = run(parts(&FakeGenerator::new()).vlm(vlm.clone()), "a quetzal");
    assert_eq!(vlm.requests().len(), 4);
    assert_eq!(uris(&outcome), ["a photo of a quetzal"]);
}

#[test]
fn the_ablations_retrieve_by_prompt_and_by_concept() {
    let by = |query, replies: &[&str]| {
        let vlm = FakeVlm::new(replies.iter().copied());
        let outcome = run(
            parts(&FakeGenerator::new())
                .vlm(vlm.clone())
                .config(RagConfig::default().with_query(query)),
            "a sheep",
        );
        (outcome.references[0].caption.text.clone(), vlm.requests().len())
    };
    assert_eq!(by(Query::Prompt, &["no"]), ("a sheep".into(), 1));
    assert_eq!(by(Query::Concept, &["no", "a quetzal"]), ("a quetzal".into(), 2));
    assert_eq!(by(Query::Caption, &["no", "a quetzal", "a quetzal on a branch"]).1, 3);
}

#[test]
fn rephrase_only_draws_the_rephrased_prompt_without_references() {
    let generator = FakeGenerator::new();
    let vlm = FakeVlm::new(["\"a green bird with a long tail\""]);
    let builder = RagPipeline::builder().generator(generator.clone()).vlm(vlm.clone());
    let outcome =
        run(builder.config(RagConfig::default().with_mode(Mode::RephraseOnly)), "a quetzal");
    assert_eq!(outcome.stop, StopReason::Rephrased);
    assert_eq!(generator.requests()[1].prompt, "a green bird with a long tail");
    assert_eq!(vlm.requests()[0].messages[0].images.len(), 1);
    assert!(
        vlm.requests()[0].messages[0].text.ends_with("The prompt to be rephrased: \"a quetzal\".")
    );
}

#[test]
fn all_concepts_needs_no_draft() {
    let generator = FakeGenerator::new();
    let vlm = FakeVlm::new(["a quetzal\na sheep", "a photo of a quetzal\na sheep"]);
    let outcome = run(
        parts(&generator)
            .vlm(vlm.clone())
            .config(RagConfig::default().with_mode(Mode::AllConcepts)),
        "both",
    );
    assert_eq!(generator.requests().len(), 1);
    assert_eq!(outcome.draft, None);
    assert_eq!(uris(&outcome), ["a photo of a quetzal", "a sheep"]);
    assert!(vlm.requests()[0].messages[0].images.is_empty());
}

#[test]
fn retrieval_by_prompt_without_a_draft_needs_no_critic() {
    let generator = FakeGenerator::new();
    let builder = parts(&generator)
        .config(RagConfig::default().with_mode(Mode::AllConcepts).with_query(Query::Prompt));
    let outcome = run(builder, "a sheep");
    assert_eq!(uris(&outcome), ["a sheep"]);
    assert_eq!(generator.requests().len(), 1);
}

#[test]
fn without_a_useful_reference_the_draft_is_kept() {
    let critic = FakeCritic::new().missing(["a zeppelin"]);
    let outcome = run(parts(&FakeGenerator::new()).critic(critic), "a zeppelin");
    // "a" is a word of every label: the best hit is far off.
    let critic = FakeCritic::new().missing(["zeppelin"]);
    let nothing = run(parts(&FakeGenerator::new()).critic(critic), "zeppelin");
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    assert_eq!(nothing.stop, StopReason::NoUsefulReference);
    assert_eq!(nothing.draft.as_ref(), Some(&nothing.image));
}

#[test]
fn all_concepts_without_a_useful_reference_still_draws() {
    let critic = FakeCritic::new().missing(["zeppelin"]);
    let builder = parts(&FakeGenerator::new())
        .critic(critic)
        .config(RagConfig::default().with_mode(Mode::AllConcepts));
    let outcome = run(builder, "zeppelin");
    assert_eq!(outcome.stop, StopReason::NoUsefulReference);
    assert!(outcome.draft.is_some());
}

#[test]
fn a_threshold_refuses_poor_references_and_says_so() {
    let critic = FakeCritic::new().missing(["a zeppelin"]);
    let outcome = run(
        parts(&FakeGenerator::new())
            .critic(critic)
            .config(RagConfig::default().with_threshold(0.9)),
        "a zeppelin",
    );
    assert_eq!(outcome.stop, StopReason::NoUsefulReference);
    let hits: Vec<_> = outcome.trace.hits().collect();
    assert!(!hits.is_empty());
    assert!(hits.iter().all(|hit| hit.refused == Some(Refusal::BelowThreshold { threshold: 0.9 })));
}

#[test]
fn one_image_serves_one_caption() {
    let critic = FakeCritic::new().missing(["a quetzal", "quetzal"]);
    let outcome = run(parts(&FakeGenerator::new()).critic(critic), "two quetzals");
    assert_eq!(uris(&outcome), ["a photo of a quetzal", "a quetzal on a branch"]);
    assert!(outcome.trace.hits().any(|hit| hit.refused == Some(Refusal::Duplicate)));
}

#[test]
fn rounds_go_on_until_the_critic_is_satisfied() {
    let generator = FakeGenerator::new();
    let critic = FakeCritic::new().missing(["a quetzal"]).missing(["a quetzal"]);
    let outcome = run(
        parts(&generator).critic(critic.clone()).config(RagConfig::default().with_max_rounds(5)),
        "a quetzal",
    );
    assert_eq!(outcome.stop, StopReason::Matched { round: 2 });
    assert_eq!((generator.requests().len(), critic.requests().len()), (3, 3));
    // What was tried in round 1 is not tried again.
    assert_eq!(uris(&outcome), ["a quetzal on a branch"]);
    assert!(outcome.trace.hits().any(|hit| hit.refused == Some(Refusal::AlreadyTried)));
}

#[test]
fn the_best_image_of_all_rounds_is_kept() {
    let critic = FakeCritic::new()
        .missing(["a quetzal", "a sheep"])
        .missing(["a quetzal"])
        .missing(["a sheep", "oil painting style"]);
    let builder =
        parts(&FakeGenerator::new()).critic(critic).config(RagConfig::default().with_max_rounds(2));
    let outcome = run(builder, "everything");
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    assert_eq!(uris(&outcome), ["a photo of a quetzal", "a sheep"], "the image of round 1");
}

#[test]
fn the_callers_images_take_slots_first() {
    let generator = FakeGenerator::new();
    let mine = solid(4, 4, [9, 9, 9]);
    let critic = FakeCritic::new().missing(["a quetzal", "a sheep", "oil painting style"]);
    let request = RagRequest::new("my cat with a quetzal").with_reference(mine.clone(), "my cat");
    let outcome = run(parts(&generator).critic(critic.clone()), request);
    assert_eq!(outcome.references.len(), 3);
    assert_eq!(outcome.references[0].provenance.source, Source::Caller(0));
    assert_eq!(critic.requests()[0].max_concepts, 2);
    assert_eq!(critic.requests()[0].references, std::slice::from_ref(&mine));
    assert!(
        matches!(&generator.requests()[0].conditioning, Conditioning::Images(i) if *i == [mine])
    );
}

#[test]
fn the_callers_images_can_take_every_slot() {
    let mut request = RagRequest::new("my cats");
    for n in 0..3 {
        request = request.with_reference(solid(4, 4, [n; 3]), "my cat");
    }
    let critic = FakeCritic::new();
    let outcome = run(parts(&FakeGenerator::new()).critic(critic.clone()), request.clone());
    assert_eq!(outcome.stop, StopReason::NoRoom);
    assert!(critic.requests().is_empty());
    let request = request.with_reference(solid(4, 4, [7; 3]), "one too many");
    let pipeline = parts(&FakeGenerator::new()).critic(FakeCritic::new()).build().unwrap();
    let error = block_on(pipeline.run(request)).unwrap_err();
    assert_eq!(error.stage, Stage::Validate);
    assert!(error.chain().to_string().contains("expected at most 3, found 4"), "{error}");
}

#[test]
fn the_decision_names_the_draft_by_its_place_after_the_callers_images() {
    let vlm = FakeVlm::new(["yes"]);
    let request = RagRequest::new("my cat on a mug").with_reference(solid(4, 4, [1; 3]), "my cat");
    run(parts(&FakeGenerator::new()).vlm(vlm.clone()), request);
    let message = &vlm.requests()[0].messages[0];
    assert!(message.text.starts_with("Does the second image match the instruction"));
    assert_eq!(message.images.len(), 2);
}

#[test]
fn an_error_keeps_the_trace_and_the_best_image() {
    let generator = FakeGenerator::new().failing_at(1);
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let pipeline = parts(&generator).critic(critic).build().unwrap();
    let error = block_on(pipeline.run("a quetzal")).unwrap_err();
    assert_eq!(error.stage, Stage::Generate);
    assert!(error.best.is_some());
    let stages: Vec<Stage> = error.trace.stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(
        stages,
        [
            Stage::Draft,
            Stage::Critique,
            Stage::Caption,
            Stage::Retrieve,
            Stage::Condition,
            Stage::Generate
        ]
    );
    assert!(error.trace.error.as_ref().unwrap().contains("out of memory"));
}

#[test]
fn an_error_of_the_vlm_keeps_what_was_said_before() {
    let vlm = FakeVlm::new(["no"]).then(Err(Error::Cancelled));
    let pipeline = parts(&FakeGenerator::new()).vlm(vlm).build().unwrap();
    let error = block_on(pipeline.run("a quetzal")).unwrap_err();
    assert_eq!(error.stage, Stage::Critique);
    let exchanges: Vec<_> = error.trace.exchanges().collect();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[0].reply.as_deref(), Some("no"));
    assert_eq!(exchanges[1].problem.as_deref(), Some("cancelled"));
}

#[test]
fn captions_that_fail_leave_the_concepts() {
    let vlm = FakeVlm::new(["no", "a quetzal\na sheep", "a photo of a quetzal"]);
    let outcome = run(parts(&FakeGenerator::new()).vlm(vlm), "both");
    let captions: Vec<_> = outcome.references.iter().map(|r| r.caption.text.as_str()).collect();
    assert_eq!(captions, ["a photo of a quetzal", "a sheep"]);
}

#[test]
fn captions_find_their_concepts_and_the_trace_says_which_have_none() {
    let vlm = FakeVlm::new([
        "No. I cannot see a quetzal in this image.",
        "**Missing concepts:**\n1. **a quetzal**: there is none.\n2. **a sheep**: there is none.",
        "Sure! Here is a caption you can use.\n\n\"a sheep\"\n\nLet me know if you need more.",
    ]);
    let outcome = run(parts(&FakeGenerator::new()).vlm(vlm), "both");
    let captions: Vec<_> = outcome.references.iter().map(|r| &r.caption).collect();
    assert_eq!(
        (captions[0].concept.as_str(), captions[0].text.as_str()),
        ("a quetzal", "a quetzal")
    );
    assert_eq!((captions[1].concept.as_str(), captions[1].text.as_str()), ("a sheep", "a sheep"));
    let told = "missing: a quetzal, a sheep (FakeVlm gave no caption for a quetzal)";
    assert!(outcome.trace.to_string().contains(told), "{}", outcome.trace);
}

#[test]
fn captions_of_concepts_that_have_no_room_go_to_no_other_concept() {
    let vlm = FakeVlm::new(["no", "a quetzal\na sheep", "a sheep\na quetzal on a branch"]);
    let config = RagConfig::default().with_max_concepts(1);
    let outcome = run(parts(&FakeGenerator::new()).vlm(vlm).config(config), "both");
    assert_eq!(uris(&outcome), ["a quetzal on a branch"]);
}

#[test]
fn a_thought_that_was_cut_off_is_asked_again() {
    let cut_off = ChatReply::new("<think>The bird is red, no wings, and").cut_off();
    let vlm = FakeVlm::default().then(Ok(cut_off)).then(Ok("<think>Wings!</think>Yes".into()));
    let outcome = run(parts(&FakeGenerator::new()).vlm(vlm.clone()), "a quetzal");
    assert_eq!(outcome.stop, StopReason::Matched { round: 0 });
    assert_eq!(vlm.requests().len(), 2);
}

#[test]
fn a_critic_that_breaks_its_contract_does_no_harm() {
    let critic = FakeCritic::new().then(Ok(Verdict::Missing(Vec::new())));
    let outcome = run(parts(&FakeGenerator::new()).critic(critic), "a quetzal");
    assert_eq!(uris(&outcome), ["a photo of a quetzal"], "retrieved by the prompt");
}

#[test]
fn missing_parts_and_parts_that_do_not_fit_are_named() {
    let error = RagPipeline::builder().build().unwrap_err().chain().to_string();
    assert_eq!(error, "the pipeline needs a generator: call .generator(…) on the builder");
    let error = parts(&FakeGenerator::new()).build().unwrap_err().chain().to_string();
    assert!(error.contains("needs a critic"), "{error}");
    let error = parts(&FakeGenerator::new())
        .critic(FakeCritic::new())
        .conditioner(FakeConditioner::new("ip-adapter-plus", 1))
        .build()
        .unwrap_err()
        .chain()
        .to_string();
    assert_eq!(
        error,
        "FakeGenerator does not fit FakeConditioner(ip-adapter-plus, 1): expected no conditioning \
         or images, found tokens of ip-adapter-plus"
    );
    let error = parts(&FakeGenerator::new())
        .config(RagConfig::default().with_mode(Mode::RephraseOnly))
        .build()
        .unwrap_err();
    assert!(matches!(error, Error::MissingPart { part: "VLM to rephrase with", .. }));
}

#[test]
fn tokens_pass_from_conditioner_to_generator() {
    let kind = ConditioningKind::Tokens { space: "colours".into() };
    let generator = FakeGenerator::new().accepting(kind);
    let builder = parts(&generator)
        .conditioner(FakeConditioner::new("colours", 1))
        .critic(FakeCritic::new().missing(["a sheep"]));
    run(builder, "a sheep");
    let drawn = generator.requests();
    assert_eq!(drawn[1].prompt, "According to these examples of a sheep, generate a sheep");
    assert!(matches!(&drawn[1].conditioning, Conditioning::Tokens(tokens) if tokens.tokens == 1));
}

#[test]
fn the_trace_warns_of_images_that_no_seed_gives_again() {
    let warnings = |generator: FakeGenerator| -> Vec<String> {
        let stages = run(parts(&generator).critic(FakeCritic::new()), "a sheep").trace.stages;
        let image = stages.into_iter().find_map(|stage| match stage.record {
            Some(Record::Image(image)) => Some(image),
            _ => None,
        });
        image.unwrap().warnings
    };
    assert_eq!(warnings(FakeGenerator::new()), [""; 0]);
    let told = "FakeGenerator does not repeat images: seed 0 gives others";
    assert_eq!(warnings(FakeGenerator::new().never_repeating()), [told]);
}

#[test]
fn a_condition_image_passes_and_the_trace_warns_where_it_lies_on_the_image() {
    let kind = ConditioningKind::Condition { adapter: "subject".into() };
    let generator = FakeGenerator::new().accepting(kind);
    let builder = parts(&generator)
        .conditioner(FakeConditioner::condition_image("subject"))
        .retriever(FakeRetriever::new([("a sheep", solid(32, 16, [7; 3]))]))
        .critic(FakeCritic::new().missing(["a sheep"]));
    let outcome = run(builder, RagRequest::new("a sheep").with_size(64, 64));
    let drawn = generator.requests();
    assert!(matches!(&drawn[1].conditioning, Conditioning::Condition(c) if c.adapter == "subject"));
    let images: Vec<_> = outcome
        .trace
        .stages
        .iter()
        .filter_map(|stage| match &stage.record {
            Some(Record::Image(image)) => Some(image),
            _ => None,
        })
        .collect();
    assert_eq!(images[0].warnings, [""; 0]);
    assert_eq!(images[1].conditioning, "a condition image for subject");
    let warning = "position delta 0,0 puts tokens of the 32x16 condition on positions of the \
                   64x64 image";
    assert_eq!(images[1].warnings, [warning]);

    let error = parts(&FakeGenerator::new())
        .conditioner(FakeConditioner::condition_image("subject"))
        .critic(FakeCritic::new())
        .build()
        .unwrap_err()
        .chain()
        .to_string();
    let words = "expected no conditioning or images, found a condition image for subject";
    assert!(error.contains(words), "{error}");
}

#[test]
fn prompts_that_are_no_prompts_are_refused() {
    let pipeline = parts(&FakeGenerator::new()).critic(FakeCritic::new()).build().unwrap();
    for prompt in [String::new(), " \n".into(), "x".repeat(10_000)] {
        let error = block_on(pipeline.run(prompt)).unwrap_err();
        assert_eq!(error.stage, Stage::Validate);
        assert!(
            error.chain().to_string().contains("prompt: expected 1 to 8000 characters"),
            "{error}"
        );
    }
}

#[test]
fn a_stream_tells_everything_in_order() {
    let critic = FakeCritic::new().missing(["a quetzal"]);
    let pipeline = parts(&FakeGenerator::new()).critic(critic).build().unwrap();
    let request = RagRequest::new("a quetzal").with_steps(2).with_previews_every(2);
    let events: Vec<Event> = block_on(pipeline.stream(request).collect());
    let mut begun = Vec::new();
    let mut steps = Vec::new();
    let mut images = 0;
    for event in &events {
        match event {
            Event::StageBegan { stage, .. } => begun.push(*stage),
            Event::StageEnded(trace) => assert_eq!(Some(&trace.stage), begun.last()),
            Event::Step { stage, step, .. } => {
                steps.push((*stage, step.index, step.preview.is_some()));
            }
            Event::Image { .. } => images += 1,
            _ => {}
        }
    }
    assert_eq!(
        begun,
        [
            Stage::Draft,
            Stage::Critique,
            Stage::Caption,
            Stage::Retrieve,
            Stage::Condition,
            Stage::Generate
        ]
    );
    let expected = [
        (Stage::Draft, 1, false),
        (Stage::Draft, 2, true),
        (Stage::Generate, 1, false),
        (Stage::Generate, 2, true),
    ];
    assert_eq!(steps, expected);
    assert_eq!(images, 2);
    assert!(matches!(events.last(), Some(Event::Done(result)) if result.is_ok()));
}

#[test]
fn dropping_a_stream_cancels() {
    let generator = FakeGenerator::new();
    let pipeline =
        parts(&generator).critic(FakeCritic::new().missing(["a sheep"])).build().unwrap();
    let mut stream = pipeline.stream("a sheep");
    let first = block_on(stream.next());
    assert!(matches!(first, Some(Event::StageBegan { stage: Stage::Draft, .. })));
    drop(stream);
    assert!(generator.requests().len() <= 1, "nothing runs on after the caller left");
}

#[test]
fn many_prompts_each_have_their_own_result() {
    let generator = FakeGenerator::new();
    let pipeline = parts(&generator).critic(FakeCritic::new()).build().unwrap();
    let prompts = ["one", "", "three", "four"];
    let mut results: Vec<_> = block_on(pipeline.run_many(prompts, 2).collect());
    results.sort_by_key(|(number, _)| *number);
    let ok: Vec<bool> = results.iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(ok, [true, false, true, true]);
}

#[cfg(feature = "serde")]
#[test]
fn the_trace_is_json_that_reads_back() {
    let vlm = FakeVlm::new(["no", "a quetzal", "a photo of a quetzal"]);
    let outcome = run(parts(&FakeGenerator::new()).vlm(vlm), "a quetzal");
    let json = outcome.trace.to_json();
    assert!(json.contains("Does this image match the prompt"));
    let back: imagerag::pipeline::RagTrace = serde_json::from_str(&json).unwrap();
    assert_eq!(back, outcome.trace);
}

/// A model that knows the answer to every question that begins with one of `answers`, and to no
/// other.
fn speaker(answers: &'static [(&'static str, &'static str)]) -> FakeVlm {
    FakeVlm::answering(move |request: &ChatRequest| {
        let question = &request.messages[request.messages.len() - 1].text;
        let answer = answers.iter().find(|(beginning, _)| question.starts_with(beginning));
        answer
            .map(|(_, answer)| *answer)
            .ok_or_else(|| Error::invalid_input("question", "one of those known", question))
    })
}

/// The whole loop with a verifier and a judged last image in a language of one's own: the trace has
/// no English question.
fn in_a_language(
    questions: Questions,
    answers: &'static [(&'static str, &'static str)],
    verified: &'static [(&'static str, &'static str)],
    [prompt, shown, other]: [&'static str; 3],
) {
    let vlm = speaker(answers);
    let shelf = [(shown, solid(4, 4, [0, 200, 90])), (other, solid(4, 4, [240, 240, 240]))];
    let builder = RagPipeline::builder()
        .generator(FakeGenerator::new())
        .retriever(FakeRetriever::new(shelf))
        .conditioner(InPrompt::new(3).unwrap())
        .vlm(vlm.clone())
        .verifier(speaker(verified))
        .questions(questions);
    let outcome = run(builder, prompt);
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    assert_eq!(uris(&outcome), [shown]);
    assert_eq!(vlm.requests().len(), 3);
    let exchanges = outcome.trace.stages.iter().flat_map(|stage| &stage.exchanges);
    let asked: Vec<&str> =
        exchanges.flat_map(|exchange| &exchange.messages).map(|message| &*message.text).collect();
    assert!(!asked.iter().any(|text| text.contains("image")), "{asked:?}");
}

#[test]
fn the_loop_runs_in_german() {
    let questions = Questions::default()
        .with_decision("Passt dieses Bild zu „{prompt}“? Antworte nur mit ja oder nein.")
        .with_missing_concepts("Was fehlt? Nenne je Zeile einen Begriff.")
        .with_captions("Beschreibe zu jedem Begriff ein Bild, je Zeile eines.")
        .with_verification("Zeigt dieses Bild „{concept}“? Antworte nur mit ja oder nein.")
        .with_yes(["ja"])
        .with_no(["nein"]);
    in_a_language(
        questions,
        &[
            ("Passt dieses Bild zu „ein Igel im Januar“?", "Nein, ein Igel fehlt."),
            ("Was fehlt?", "Es fehlt:\n1. „ein Igel“"),
            ("Beschreibe", "- ein Igel im Gras"),
        ],
        &[("Zeigt dieses Bild „ein Igel“?", "Ja.")],
        ["ein Igel im Januar", "ein Igel im Gras", "eine Katze"],
    );
}

#[test]
fn the_loop_runs_in_chinese() {
    let questions = Questions::default()
        .with_decision("这张图片符合“{prompt}”吗？只回答“是”或“不是”。")
        .with_missing_concepts("缺少什么？每行写一个概念。")
        .with_captions("请为每个概念写一句图片说明，每行一句。")
        .with_verification("这张图片里有“{concept}”吗？只回答“是”或“不是”。")
        .with_yes(["是"])
        .with_no(["不是"]);
    in_a_language(
        questions,
        &[
            ("这张图片符合“黎明的绿咬鹃”吗？", "不是。"),
            ("缺少什么？", "缺少：\n1、绿咬鹃"),
            ("请为每个概念", "「树枝上的绿咬鹃 照片」"),
        ],
        &[("这张图片里有“绿咬鹃”吗？", "是的。")],
        ["黎明的绿咬鹃", "树枝上的绿咬鹃 照片", "一只猫"],
    );
}

#[test]
fn decisions_that_are_still_english_may_be_answered_in_english() {
    let decision = "Passt dieses Bild zu „{prompt}“? Antworte nur mit ja oder nein.";
    let questions = Questions::default().with_decision(decision).with_yes(["ja"]).with_no(["nein"]);
    for (references, asked, reply) in [
        (0, "Passt dieses Bild", "Ja."),
        (1, "Does the second image match", "yes"),
        (2, "Does the last image match", "Yes."),
    ] {
        let vlm = FakeVlm::new([reply]);
        let critic = GuidedCot::new(vlm.clone()).with_questions(questions.clone()).unwrap();
        let draft = solid(4, 4, [0, 200, 90]);
        let mut request = CritiqueRequest::new("ein Igel", Some(draft.clone()));
        request.references = vec![draft; references];
        let critique = block_on(critic.critique(&request)).unwrap();
        assert_eq!(critique.verdict, Verdict::Match, "{references} references");
        assert!(vlm.requests()[0].messages[0].text.starts_with(asked));
    }
}

#[test]
fn the_pipeline_asks_its_own_questions_in_the_given_words() {
    let questions = Questions::default().with_rephrase("Klarer, bitte: {prompt}");
    let vlm = FakeVlm::new(["ein grüner Vogel"]);
    let builder = parts(&FakeGenerator::new())
        .vlm(vlm.clone())
        .config(RagConfig::default().with_mode(Mode::RephraseOnly));
    run(builder.questions(questions), "ein Quetzal");
    assert_eq!(vlm.requests()[0].messages[0].text, "Klarer, bitte: ein Quetzal");

    let wrong = Questions::default().with_verification("Is it there?");
    let error = parts(&FakeGenerator::new()).vlm(vlm).questions(wrong).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "question verification: expected a text with {concept}, found \"Is it there?\""
    );
}

#[test]
fn a_critic_of_ones_own_judges_in_place_of_the_vlm() {
    let generator = FakeGenerator::new();
    let judge = |builder: RagPipelineBuilder| run(builder, "a sheep").trace.parts.critic.unwrap();
    let (critic, vlm) = (FakeCritic::new(), FakeVlm::new(["yes"]));
    assert_eq!(judge(parts(&generator).critic(critic.clone()).vlm(vlm.clone())), "FakeCritic");
    assert_eq!(judge(parts(&generator).vlm(vlm.clone()).critic(critic)), "FakeCritic");
    assert_eq!(judge(parts(&generator).vlm(vlm)), "GuidedCot(FakeVlm)");
}

#[test]
fn guided_cot_names_itself_and_checks_its_temperatures() {
    let critic = GuidedCot::new(FakeVlm::default());
    assert_eq!(critic.to_string(), "GuidedCot(FakeVlm)");
    assert!(critic.clone().with_temperatures([]).is_err());
    assert!(critic.with_temperatures([0.0, -1.0]).is_err());
}

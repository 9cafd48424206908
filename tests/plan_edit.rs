//! Generate, plan, edit (GraPE), branch by branch, on fakes.

use std::future::pending;

use futures::executor::block_on;
use futures::{FutureExt, StreamExt};
use imagerag::conditioner::{Conditioning, InPrompt};
use imagerag::pipeline::{
    Event, Fallback, Mode, RagConfig, RagPipelineBuilder, Record, Stage, StopReason,
};
use imagerag::testing::{FakeCritic, FakeGenerator, FakeVlm, solid};
use imagerag::vlm::{ChatReply, ChatRequest, Questions};
use imagerag::{
    Error, Generator, Image, RagError, RagOutcome, RagPipeline, RagRequest, Vlm, async_trait,
};

const PLAN: &str = "1. Make the car red.\n2. Add a tree.\n3. Remove the dog.";

fn config() -> RagConfig {
    RagConfig::default().with_mode(Mode::PlanEdit)
}

/// A pipeline of a generator and a model that gives `replies`.
fn parts(generator: &FakeGenerator, replies: &[&str]) -> (RagPipelineBuilder, FakeVlm) {
    let vlm = FakeVlm::new(replies.iter().copied());
    let builder = RagPipeline::builder().generator(generator.clone()).vlm(vlm.clone());
    (builder.config(config()), vlm)
}

fn run(builder: RagPipelineBuilder, request: impl Into<RagRequest> + Send) -> RagOutcome {
    block_on(builder.build().unwrap().run(request)).unwrap()
}

/// Draws with `config`, and gives the outcome, the prompts and the questions.
fn with(config: RagConfig, replies: &[&str]) -> (RagOutcome, Vec<String>, Vec<ChatRequest>) {
    let generator = FakeGenerator::new();
    let (builder, vlm) = parts(&generator, replies);
    let outcome = run(builder.config(config), "a red car beside a tree");
    (outcome, prompts(&generator), vlm.requests())
}

fn prompts(generator: &FakeGenerator) -> Vec<String> {
    generator.requests().into_iter().map(|request| request.prompt).collect()
}

fn edited(generator: &FakeGenerator) -> Vec<Image> {
    let requests = generator.requests().into_iter();
    let images = requests.filter_map(|request| match request.conditioning {
        Conditioning::Images(images) => Some(images),
        _ => None,
    });
    images.flatten().collect()
}

fn stages(outcome: &RagOutcome) -> Vec<Stage> {
    outcome.trace.stages.iter().map(|stage| stage.stage).collect()
}

#[test]
fn a_draft_that_needs_no_edit_is_the_result() {
    let (outcome, prompts, asked) = with(config(), &["None."]);
    assert_eq!(outcome.stop, StopReason::NoEditsNeeded);
    assert_eq!(outcome.draft.as_ref(), Some(&outcome.image));
    assert_eq!(prompts, ["a red car beside a tree"]);
    assert_eq!(stages(&outcome), [Stage::Draft, Stage::Plan]);
    assert_eq!(outcome.trace.stages[1].record, Some(Record::Plan { edits: Some(Vec::new()) }));
    let told = outcome.trace.to_string();
    assert!(told.contains("\nplan       nothing\nend        nothing is left to edit, "), "{told}");
    // The planner is shown the draft, and what it should show.
    assert_eq!(asked[0].messages[0].images, [outcome.image]);
    let question = &asked[0].messages[0].text;
    assert!(question.starts_with("This image was generated for the prompt \"a red car beside"));
    assert!(question.contains("at most 5,"), "{question}");
    assert!(asked[0].json_schema.as_ref().unwrap().contains("\"edits\""));
}

#[test]
fn each_edit_is_made_of_the_image_before_and_judged() {
    let generator = FakeGenerator::new();
    let (builder, vlm) = parts(&generator, &[PLAN, "no", "no", "no"]);
    let request = RagRequest::new("a red car").with_seed(9).with_steps(3).with_size(32, 16);
    let outcome = run(builder, request);
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    assert_eq!(
        prompts(&generator)[1..],
        [
            "<img><|image_1|></img> Make the car red.",
            "<img><|image_1|></img> Add a tree.",
            "<img><|image_1|></img> Remove the dog.",
        ]
    );
    let drawn = generator.requests();
    assert!(drawn.iter().all(|request| (request.seed, request.steps) == (9, Some(3))));
    assert!(drawn.iter().all(|request| (request.width, request.height) == (Some(32), Some(16))));
    // The draft, and then the image of each edit but the last, as the critic saw them.
    let judged: Vec<Image> =
        vlm.requests()[1..].iter().map(|asked| asked.messages[0].images[0].clone()).collect();
    let before = edited(&generator);
    assert_eq!(before[0], *outcome.draft.as_ref().unwrap());
    assert_eq!((&before[1..], &outcome.image), (&judged[..2], &judged[2]));
    for asked in &vlm.requests()[1..] {
        assert!(asked.messages[0].text.starts_with("Does this image match the prompt"));
    }
    let pair = [Stage::Edit, Stage::Critique];
    let expected = [&[Stage::Draft, Stage::Plan][..], &pair, &pair, &pair].concat();
    assert_eq!(stages(&outcome), expected);
    assert!(outcome.references.is_empty());
    let told = "\
plan       Make the car red.
           Add a tree.
           Remove the dog.
edit       ";
    assert!(outcome.trace.to_string().contains(told), "{}", outcome.trace);
}

#[test]
fn an_image_that_matches_ends_the_edits() {
    let (outcome, prompts, asked) = with(config(), &[PLAN, "no", "yes"]);
    assert_eq!(outcome.stop, StopReason::Matched { round: 1 });
    assert_eq!((prompts.len(), asked.len()), (3, 3));
    assert_eq!(stages(&outcome).last(), Some(&Stage::Critique));
}

#[test]
fn the_critic_may_judge_the_last_edit_alone_or_none() {
    let last = config().with_judge_each_edit(false);
    let (outcome, prompts, asked) = with(last.clone(), &[PLAN, "yes"]);
    assert_eq!(outcome.stop, StopReason::Matched { round: 1 });
    assert_eq!((prompts.len(), asked.len()), (4, 2));
    // As GraPE itself: one plan, and what comes of it.
    let (outcome, prompts, asked) = with(last.with_judge_last(false), &[PLAN]);
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    assert_eq!((prompts.len(), asked.len()), (4, 1));
    assert_eq!(stages(&outcome).last(), Some(&Stage::Edit));
    assert_ne!(outcome.draft, Some(outcome.image), "the image of the last edit");
    // Each but the last.
    let (_, prompts, asked) = with(config().with_judge_last(false), &[PLAN, "no", "no"]);
    assert_eq!((prompts.len(), asked.len()), (4, 3));
}

#[test]
fn later_rounds_plan_again_until_nothing_is_left() {
    let rounds = config().with_max_rounds(3);
    let replies = ["Make the car red.", "no", "Add a tree.", "no", "No edits needed."];
    let (outcome, prompts, asked) = with(rounds.clone(), &replies);
    assert_eq!(outcome.stop, StopReason::NoEditsNeeded);
    assert_eq!((prompts.len(), asked.len()), (3, 5));
    assert_eq!(outcome.trace.stages.last().map(|stage| stage.round), Some(3));
    assert_eq!(asked[4].messages[0].images, [outcome.image], "the planner vouches for the last");
    assert!(asked[2].messages[0].text.contains("at most 4,"), "what is left of five");

    let (outcome, ..) = with(config().with_max_rounds(2), &replies[..4]);
    assert_eq!(outcome.stop, StopReason::RoundLimit);
}

#[test]
fn an_edit_is_made_once() {
    let plan = "- Add a tree.\n- add a tree\n- Make the car red.";
    let (outcome, prompts, _) = with(config().with_judge_each_edit(false), &[plan, "yes"]);
    assert_eq!(prompts.len(), 3);
    let edits = Some(vec!["Add a tree.".to_owned(), "Make the car red.".to_owned()]);
    assert_eq!(outcome.trace.stages[1].record, Some(Record::Plan { edits }));

    let rounds = config().with_max_rounds(3);
    let replies = [plan, "no", "no", "Add a tree!\nRemove the dog.", "no", "remove the dog"];
    let (outcome, prompts, _) = with(rounds, &replies);
    assert_eq!(outcome.stop, StopReason::EditsRepeated);
    assert!(prompts[3].ends_with("Remove the dog."), "{prompts:?}");
    assert_eq!(prompts.len(), 4);
}

#[test]
fn edits_are_bounded() {
    let (outcome, prompts, asked) = with(config().with_max_edits(2), &[PLAN, "no", "no"]);
    assert_eq!(outcome.stop, StopReason::EditLimit);
    assert_eq!((prompts.len(), asked.len()), (3, 3));
    let Some(Record::Plan { edits: Some(edits) }) = &outcome.trace.stages[1].record else {
        panic!("{}", outcome.trace)
    };
    assert_eq!(edits.len(), 3, "what was planned is told");

    // All rounds together.
    let config = config().with_max_edits(2).with_max_rounds(3);
    let replies = ["Make the car red.", "no", "Add a tree.\nRemove the dog.", "no"];
    let (outcome, prompts, _) = with(config, &replies);
    assert_eq!((outcome.stop, prompts.len()), (StopReason::EditLimit, 3));

    for wrong in [0, 101] {
        let config = RagConfig::default().with_max_edits(wrong);
        let (builder, _) = parts(&FakeGenerator::new(), &[]);
        let error = builder.config(config).build().unwrap_err().to_string();
        assert_eq!(error, format!("max_edits: expected 1 to 100, found {wrong}"));
    }
}

#[test]
fn a_plan_that_is_declined_is_asked_for_again_and_then_the_best_image_is_kept() {
    let unable = "I'm unable to respond to that.";
    for fallback in [Fallback::RetrieveByPrompt, Fallback::Stop] {
        let config = config().with_fallback(fallback);
        let (outcome, prompts, asked) =
            with(config, &[unable, "", "The image shows a car.", unable]);
        assert_eq!(outcome.stop, StopReason::NoPlan);
        assert_eq!((prompts.len(), outcome.draft), (1, Some(outcome.image)));
        assert_eq!(outcome.trace.stages[1].record, Some(Record::Plan { edits: None }));
        let temperatures: Vec<f64> = asked.iter().map(|asked| asked.temperature).collect();
        assert_eq!(temperatures, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
    }
    let (outcome, ..) = with(config(), &[unable, "Add a tree.", "yes"]);
    assert_eq!(outcome.stop, StopReason::Matched { round: 1 });
    // After an edit.
    let config = config().with_max_rounds(2);
    let (outcome, ..) = with(config, &["Add a tree.", "no", unable, unable, unable, unable]);
    assert_eq!(outcome.stop, StopReason::NoPlan);
    assert_ne!(outcome.draft, Some(outcome.image), "the edited image");
}

/// The error of a request whose second edit fails.
fn failing(config: RagConfig, replies: &[&str]) -> (RagError, Vec<Image>) {
    let generator = FakeGenerator::new().failing_at(2);
    let (builder, _) = parts(&generator, replies);
    let pipeline = builder.config(config).build().unwrap();
    let error = block_on(pipeline.run("a red car")).unwrap_err();
    (error, edited(&generator))
}

#[test]
fn an_edit_that_fails_keeps_the_trace_and_the_best_image() {
    for (config, replies) in [
        (config(), &[PLAN, "no"][..]),
        (config().with_judge_each_edit(false), &[PLAN]),
        (config(), &[PLAN, "The eyes", "", "42", "perhaps"]), // The critic cannot tell.
    ] {
        let (error, edited) = failing(config, replies);
        assert_eq!(error.stage, Stage::Edit);
        assert_eq!(error.chain().to_string(), "edit failed: FakeGenerator failed: out of memory");
        assert_eq!(error.best.as_ref(), Some(&edited[1]), "the image of the first edit");
        let last = error.trace.stages.last().unwrap();
        assert_eq!((last.stage, &last.record), (Stage::Edit, &None));
    }
}

#[test]
fn a_planner_that_fails_keeps_the_draft() {
    let vlm = FakeVlm::default().then(Err(Error::service("planner", 500, "down")));
    let builder = RagPipeline::builder().generator(FakeGenerator::new()).vlm(vlm);
    let error = block_on(builder.config(config()).build().unwrap().run("a car")).unwrap_err();
    assert_eq!(error.stage, Stage::Plan);
    assert!(error.best.is_some());
    assert_eq!(error.trace.exchanges().count(), 1);
}

#[test]
fn a_counting_critic_chooses_the_best_of_all_edits() {
    let critic =
        FakeCritic::new().missing(["a tree", "red"]).missing(["a tree"]).missing(["a", "b", "c"]);
    let generator = FakeGenerator::new();
    let (builder, _) = parts(&generator, &[PLAN]);
    let outcome = run(builder.critic(critic.clone()), "a red car");
    let second = edited(&generator)[2].clone();
    assert_eq!((outcome.image, outcome.stop), (second, StopReason::RoundLimit));
    assert!(critic.requests().iter().all(|request| request.max_concepts == 1));
}

#[test]
fn an_existing_picture_is_edited() {
    let generator = FakeGenerator::new();
    let (builder, _) = parts(&generator, &["Add a tree.", "yes"]);
    let picture = solid(20, 10, [1, 2, 3]);
    let outcome = run(builder, RagRequest::new("a tree").with_draft(picture.clone()));
    assert_eq!(prompts(&generator), ["<img><|image_1|></img> Add a tree."]);
    assert_eq!(edited(&generator), std::slice::from_ref(&picture));
    assert_eq!(outcome.draft, Some(picture));
    assert_eq!(outcome.trace.stages[0].record, Some(Record::OwnDraft { width: 20, height: 10 }));
    assert!(outcome.trace.to_string().contains("draft      20x10: the caller's image"));
}

#[test]
fn another_generator_may_edit() {
    let (drafts, edits) = (FakeGenerator::text_only(), FakeGenerator::new());
    let (builder, _) = parts(&drafts, &["Add a tree.", "yes"]);
    let outcome = run(builder.editor(edits.clone()), "a tree");
    assert_eq!(prompts(&drafts), ["a tree"]);
    assert_eq!(prompts(&edits), ["<img><|image_1|></img> Add a tree."]);
    assert_eq!(outcome.trace.parts.editor.as_deref(), Some("FakeGenerator"));
    // One without a mark is asked in words alone, and marks in a reply mean the image.
    let edits = FakeGenerator::new().with_image_mark(None);
    let (builder, _) = parts(&drafts, &["Make <img><|image_3|></img> darker.", "yes"]);
    run(builder.editor(edits.clone()), "a tree");
    assert_eq!(prompts(&edits), ["Make the image darker."]);
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
    fn accepts(&self) -> &[imagerag::conditioner::ConditioningKind] {
        use imagerag::conditioner::ConditioningKind;
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    async fn generate(
        &self,
        requests: &[imagerag::generator::GenerateRequest],
    ) -> imagerag::Result<Vec<imagerag::generator::Drawn>> {
        let image = solid(4, 4, [7; 3]);
        let drawn = imagerag::generator::Drawn::from(image);
        Ok(vec![drawn.with_usage(imagerag::Usage::images(1)); requests.len()])
    }
}

#[test]
fn what_the_editor_charges_is_its_own() {
    let (builder, _) = parts(&FakeGenerator::new(), &["Add a tree.\nAdd a dog.", "no", "yes"]);
    let trace = run(builder.editor(Paid), "a tree").trace;
    assert_eq!(trace.usage_by_part()["Paid"], imagerag::Usage::images(2));
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
fn the_callers_images_are_in_the_draft_and_shown_to_the_critic() {
    let generator = FakeGenerator::new();
    let (builder, vlm) = parts(&generator, &["Add a hat.", "yes"]);
    let cat = solid(4, 4, [9; 3]);
    let request = || RagRequest::new("<|image_1|> in a hat").with_reference(cat.clone(), "my cat");
    let outcome = run(builder.conditioner(InPrompt::default()), request());
    assert_eq!(
        prompts(&generator),
        ["<img><|image_1|></img> in a hat", "<img><|image_1|></img> Add a hat.",]
    );
    let [plan, decision] = &vlm.requests()[..] else { panic!("two questions") };
    assert!(plan.messages[0].text.contains("the prompt \"my cat in a hat\""));
    assert_eq!(plan.messages[0].images.len(), 1);
    assert!(decision.messages[0].text.contains("\"my cat (image 1) in a hat\""));
    assert_eq!(decision.messages[0].images.len(), 2);
    assert_eq!(outcome.references.len(), 1, "it is in the edited image too");

    let (builder, _) = parts(&generator, &[]);
    let error = block_on(builder.build().unwrap().run(request())).unwrap_err().chain().to_string();
    let expected = "the caller's references: expected none without a conditioner, found 1";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_stream_tells_of_plans_and_edits() {
    let (builder, _) = parts(&FakeGenerator::new(), &[PLAN, "no", "yes"]);
    let request = RagRequest::new("a red car").with_steps(2);
    let events: Vec<Event> = block_on(builder.build().unwrap().stream(request).collect());
    let (mut begun, mut steps, mut images) = (Vec::new(), Vec::new(), Vec::new());
    for event in &events {
        match event {
            Event::StageBegan { stage, round } => begun.push((*stage, *round)),
            Event::StageEnded(trace) => assert_eq!(Some(&trace.stage), begun.last().map(|b| &b.0)),
            Event::Step { stage, step, .. } => steps.push((*stage, step.index)),
            Event::Image { round, .. } => images.push(*round),
            _ => {}
        }
    }
    assert_eq!(
        begun,
        [
            (Stage::Draft, 0),
            (Stage::Plan, 1),
            (Stage::Edit, 1),
            (Stage::Critique, 1),
            (Stage::Edit, 1),
            (Stage::Critique, 1),
        ]
    );
    let expected = [Stage::Draft, Stage::Edit, Stage::Edit].map(|stage| [(stage, 1), (stage, 2)]);
    assert_eq!(steps, expected.concat());
    assert_eq!(images, [0, 1, 1]);
    assert!(matches!(events.last(), Some(Event::Done(result)) if result.is_ok()));
}

/// Plans, and never judges.
#[derive(Debug)]
struct Stuck;

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stuck")
    }
}

#[async_trait]
impl Vlm for Stuck {
    async fn chat(&self, request: &ChatRequest) -> imagerag::Result<ChatReply> {
        match request.messages[0].text.starts_with("This image was generated for") {
            true => Ok(PLAN.into()),
            false => pending().await,
        }
    }
}

#[test]
fn a_request_that_is_cancelled_keeps_its_edits() {
    let generator = FakeGenerator::new();
    let builder = RagPipeline::builder().generator(generator.clone()).vlm(Stuck);
    let mut stream = builder.config(config()).build().unwrap().stream("a red car");
    let (mut last, mut idle) = (None, 0);
    while idle < 20 {
        match stream.next().now_or_never() {
            Some(Some(Event::Image { image, .. })) => last = Some(image),
            Some(_) => idle = 0,
            None => idle += 1,
        }
    }
    let error = stream.cancel().unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!((error.stage, generator.requests().len()), (Stage::Critique, 2));
    assert_eq!((error.best.is_some(), error.best), (true, last), "the image of the first edit");
    assert_eq!(error.trace.exchanges().count(), 2);
}

/// Two rounds in a language of one's own: no question is English.
fn in_a_language(questions: Questions, replies: [&str; 3], [prompt, asked, edit]: [&str; 3]) {
    let generator = FakeGenerator::new();
    let (builder, vlm) = parts(&generator, &replies);
    let builder = builder.questions(questions).config(config().with_max_rounds(2));
    let outcome = run(builder, prompt);
    assert_eq!(outcome.stop, StopReason::NoEditsNeeded);
    assert_eq!(vlm.requests()[0].messages[0].text, asked);
    assert_eq!(prompts(&generator)[1], format!("<img><|image_1|></img> {edit}"));
    let asked: Vec<&str> = outcome.trace.exchanges().map(|one| &*one.messages[0].text).collect();
    assert!(asked.iter().all(|text| !text.contains("image")), "{asked:?}");
}

#[test]
fn edits_are_planned_in_german() {
    let questions = Questions::default()
        .with_edits("Höchstens {count} Änderungen für „{prompt}“?")
        .with_decision("Passt es zu „{prompt}“?")
        .with_yes(["ja"])
        .with_no(["nein"])
        .with_none(["keine Änderung"]);
    in_a_language(
        questions,
        ["1. Setze dem Igel einen Hut auf.", "Nein.", "Keine Änderung."],
        ["ein Igel", "Höchstens 5 Änderungen für „ein Igel“?", "Setze dem Igel einen Hut auf."],
    );
}

#[test]
fn edits_are_planned_in_chinese() {
    let questions = Questions::default()
        .with_edits("要让图片符合“{prompt}”，请列出最多{count}处修改，每行一处。")
        .with_decision("这张图片符合“{prompt}”吗？只回答“是”或“不是”。")
        .with_yes(["是"])
        .with_no(["不是"])
        .with_none(["无需修改"]);
    in_a_language(
        questions,
        ["修改：\n1、给狗加一顶红帽子", "不是。", "无需修改。"],
        [
            "戴红帽子的狗",
            "要让图片符合“戴红帽子的狗”，请列出最多5处修改，每行一处。",
            "给狗加一顶红帽子",
        ],
    );
}

#[cfg(feature = "serde")]
#[test]
fn trace_and_settings_are_json_that_reads_back() {
    let config = config().with_max_edits(3).with_judge_each_edit(false).with_max_rounds(2);
    let json = serde_json::to_string(&config).unwrap();
    assert!(json.contains("\"plan_edit\""), "{json}");
    assert_eq!(serde_json::from_str::<RagConfig>(&json).unwrap(), config);
    let outcomes = [
        with(config.clone(), &["Add a tree.", "no", "none"]).0,
        with(config.clone(), &["Add a tree.", "no", "Add a tree."]).0,
        with(config.with_max_edits(1), &["Add a tree.", "no"]).0,
        with(self::config(), &[""; 4]).0,
    ];
    for outcome in outcomes {
        let json = outcome.trace.to_json();
        let back: imagerag::pipeline::RagTrace = serde_json::from_str(&json).unwrap();
        assert_eq!(back, outcome.trace);
    }
}

//! Generate, plan, edit (GraPE), branch by branch, on fakes.

mod editor;
mod endings;
mod languages;

use futures::executor::block_on;
use imagerag::conditioner::{Conditioning, InPrompt};
use imagerag::critic::Verdict;
use imagerag::pipeline::{
    Fallback, Mode, RagConfig, RagPipelineBuilder, Record, Stage, StopReason,
};
use imagerag::reference::Caption;
use imagerag::testing::{FakeCritic, FakeGenerator, FakeVlm, solid};
use imagerag::vlm::ChatRequest;
use imagerag::{Image, RagOutcome, RagPipeline, RagRequest};

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
fn the_record_of_a_critique_names_only_what_the_critic_named() {
    // The model is asked for yes or no.
    let (outcome, ..) = with(config(), &["Add a tree.", "no"]);
    let record = |outcome: &RagOutcome| outcome.trace.stages.last().unwrap().record.clone();
    let mismatch = Verdict::Missing(Vec::new());
    assert_eq!(record(&outcome), Some(Record::Critique(mismatch.into())));
    let told = outcome.trace.to_string();
    assert!(told.contains("\ncritique   it does not match the prompt\nend "), "{told}");
    assert!(!told.contains("missing"), "{told}");
    // A critic of one's own may say more.
    let critic = FakeCritic::new().missing(["a tree"]);
    let (builder, _) = parts(&FakeGenerator::new(), &["Add a tree."]);
    let outcome = run(builder.critic(critic), "a red car");
    let missing = Verdict::Missing(vec![Caption::concept("a tree")]);
    assert_eq!(record(&outcome), Some(Record::Critique(missing.into())));
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

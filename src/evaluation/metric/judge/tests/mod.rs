//! Replies of judges to scores, and rubrics to conversations.

mod settings;

use futures::executor::block_on;

use super::*;
use crate::Usage;
use crate::evaluation::dataset::{Class, RealImage};
use crate::reference::Picture;
use crate::testing::{FakeVlm, solid};
use crate::vlm::{ChatReply, Role};

fn subject() -> Subject {
    Subject::new(solid(64, 32, [0, 140, 70]), "A photo of a quetzal")
}

fn real(count: u8) -> Vec<RealImage> {
    let real = |n| RealImage::new(format!("{n}.jpg"), solid(16, 16, [n, 9, 9]).into());
    (1..=count).map(real).collect()
}

fn score(vlm: &FakeVlm, rubric: Rubric, subject: Subject) -> Score {
    let judge = Judge::new(vlm.clone(), rubric).unwrap();
    block_on(judge.score(&[subject])).unwrap().remove(0)
}

#[test]
fn a_conversation_has_the_structure_of_dreambench_plus() {
    let vlm = FakeVlm::new(["It shows a bird. Score: 3"]);
    let found = score(&vlm, Rubric::gpt_score(), subject());
    assert_eq!(found.outcome, Outcome::Value(0.75));
    assert_eq!((found.exchanges.len(), &found.runs), (1, &Vec::new()));
    let reply = found.exchanges[0].reply.as_deref();
    assert_eq!(reply, Some("It shows a bird. Score: 3"));

    let [request] = &vlm.requests()[..] else { panic!() };
    let roles: Vec<Role> = request.messages.iter().map(|one| one.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    assert_eq!(request.temperature, 1.0);
    assert!(request.messages[0].text.contains("4 (excellent)"));
    assert!(request.messages[0].text.contains("\nScore: N"));
    assert!(request.messages[1].text.starts_with("Yes, I understand"));
    assert!(request.messages[2].text.ends_with("\nText: A photo of a quetzal"));
    let [image] = &request.messages[2].images[..] else { panic!() };
    assert_eq!((image.width(), image.height()), (512, 256));
}

#[test]
fn preservation_shows_a_real_image_first_that_it_was_not_drawn_from() {
    let class = Arc::new(Class::new("7", "quetzal"));
    let subject = subject().with_class(class).with_real_images(real(3));
    let excluded = picture_hash(&solid(16, 16, [1, 9, 9]));
    let vlm = FakeVlm::new(["Score: 4"]);
    let found = score(&vlm, Rubric::preservation(), subject.with_excluded([excluded]));
    assert_eq!(found.outcome, Outcome::Value(1.0));
    let request = &vlm.requests()[0];
    let shown: Vec<u8> = request.messages[2].images.iter().map(|one| one.pixels()[0]).collect();
    assert_eq!(shown, [2, 0]);
    assert!(request.messages[2].text.ends_with("\nSubject: quetzal"), "{request:?}");

    let none = score(&vlm, Rubric::preservation(), self::subject()).outcome;
    assert!(matches!(none, Outcome::NotApplicable(_)), "{none:?}");
    let broken = [RealImage::new("x.jpg", Picture::file("no such file"))];
    let found = score(&vlm, Rubric::preservation(), self::subject().with_real_images(broken));
    assert!(matches!(&found.outcome, Outcome::Failed(reason) if reason.contains("x.jpg")));
    let few = score(
        &FakeVlm::new(["{\"clarity\": 10, \"content\": 10, \"aesthetics\": 10, \"identity\": 10}"]),
        Rubric::fact_ip(),
        self::subject().with_real_images(real(1)),
    );
    assert_eq!(few.outcome, Outcome::Value(100.0));
    assert_eq!(few.notes, ["1 real images were shown, not 2"]);
}

#[test]
fn what_is_no_score_is_asked_for_again_and_never_a_zero() {
    let vlm = FakeVlm::new(["A nice bird.", "Score: 7", "Score: 2"]);
    let found = score(&vlm, Rubric::gpt_score(), subject());
    assert_eq!((found.outcome, found.exchanges.len()), (Outcome::Value(0.5), 3));
    for (last, expected) in [
        ("Score: 5", "expected a whole number from 0 to 4 for score, found 5"),
        ("Score: 2.5", "expected a whole number from 0 to 4 for score, found 2.5"),
        ("Score: 3\nOverall score: 2", "expected one number for score, found 2"),
        ("It is fine.", "expected one number for score, found 0 in: It is fine."),
        ("<think>Score: 3", "no answer behind a thought"),
    ] {
        let found = score(&FakeVlm::new(["?", "?", last]), Rubric::gpt_score(), subject()).outcome;
        let Outcome::Failed(reason) = &found else { panic!("{last}: {found:?}") };
        assert!(reason.contains(expected), "{last}: {reason}");
    }
    for refusal in ["I'm sorry, I can't help with that.", "I can't see the image. Score: 0"] {
        let found = score(&FakeVlm::new([refusal; 3]), Rubric::gpt_score(), subject()).outcome;
        assert_eq!(found, Outcome::Refused(refusal.into()));
    }
    let declined = || Ok(ChatReply::default().with_refusal("policy"));
    let vlm = FakeVlm::default().then(declined()).then(declined()).then(declined());
    let found = score(&vlm, Rubric::gpt_score(), subject());
    assert_eq!((found.outcome, found.exchanges.len()), (Outcome::Refused("policy".into()), 3));
}

#[test]
fn temperatures_rise_where_they_were_low() {
    let vlm = FakeVlm::new(["?", "?", "?"]);
    score(&vlm, Rubric { tries: 3, ..Rubric::k_score() }, subject().with_real_images(real(1)));
    let temperatures: Vec<f64> = vlm.requests().iter().map(|one| one.temperature).collect();
    assert_eq!(temperatures, [0.0, 1.0 / 3.0, 2.0 / 3.0]);
}

#[test]
fn runs_have_a_mean_and_are_kept() {
    let reply = |text: &str| Ok(ChatReply::new(text).with_usage(Usage::tokens(100, 2)));
    let vlm = ["Score: 4", "Score: 3", "Score: 4"]
        .iter()
        .fold(FakeVlm::default(), |vlm, text| vlm.then(reply(text)));
    let found = score(&vlm, Rubric::gpt_score().with_runs(3), subject());
    assert_eq!(found.runs, [1.0, 0.75, 1.0]);
    assert_eq!(found.outcome, Outcome::Value(2.75 / 3.0));
    assert_eq!(found.usage, Some(Usage::tokens(300, 6)));
    assert_eq!(found.exchanges[1].purpose, "judgement, run 2 of 3");
    // One run without a number leaves the picture without one.
    let vlm = FakeVlm::new(["Score: 4", "?", "?", "?"]);
    let found = score(&vlm, Rubric::gpt_score().with_runs(2), subject());
    assert!(matches!(found.outcome, Outcome::Failed(_)));
    assert_eq!(found.runs, [1.0]);
}

#[test]
fn formulas_are_those_of_the_benchmarks() {
    for (rubric, reply, expected) in [
        (
            Rubric::k_score(),
            r#"{"reasoning": "…", "faithfulness": 1, "visual_correctness": 0.5, "text_accuracy": 0.5, "aesthetics": 1}"#,
            0.1 + 0.2 + 0.2 + 0.1,
        ),
        (
            Rubric::fact_ip(),
            r#"{"clarity": 8, "content": 6, "aesthetics": 7, "identity": 9}"#,
            (0.05 * 8.0 + 0.10 * 6.0 + 0.10 * 7.0 + 0.75 * 9.0) * 10.0,
        ),
        (Rubric::vie_score(), r#"{"semantic_consistency": 9, "perceptual_quality": 4}"#, 6.0),
        (Rubric::vie_score(), r#"{"semantic_consistency": 0, "perceptual_quality": 4}"#, 0.0),
        (
            Rubric::wise(),
            r#"{"consistency": 2, "realism": 1, "aesthetics": 0}"#,
            (0.7 * 2.0 + 0.2) / 2.0,
        ),
    ] {
        let subject = subject().with_real_images(real(2));
        let found = score(&FakeVlm::new([reply]), rubric, subject).outcome;
        let Outcome::Value(value) = found else { panic!("{reply}: {found:?}") };
        assert!((value - expected).abs() < 1e-9, "{reply}: {value}");
    }
}

#[test]
fn a_schema_asks_for_what_is_read() {
    let vlm = FakeVlm::new([r#"{"semantic_consistency": 9, "perceptual_quality": 4}"#]);
    score(&vlm, Rubric::vie_score(), subject());
    let schema = vlm.requests()[0].json_schema.clone().unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let mut required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
    required.sort_unstable();
    assert_eq!(required, ["perceptual_quality", "reasoning", "semantic_consistency"]);
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn one_picture_that_fails_keeps_the_others_and_a_service_that_is_down_is_an_error() {
    let replies = |first: Error| FakeVlm::default().then(Err(first)).then(Ok("Score: 4".into()));
    let judge =
        |vlm: FakeVlm| Judge::new(vlm, Rubric::gpt_score()).unwrap().with_concurrency(1).unwrap();
    let subjects = [subject(), subject()];
    let outcomes = |vlm: FakeVlm| -> Vec<Outcome> {
        let scores = block_on(judge(vlm).score(&subjects)).unwrap();
        scores.into_iter().map(|score| score.outcome).collect()
    };
    let found = outcomes(replies(Error::refused("m", "policy")));
    assert!(matches!(found[..], [Outcome::Refused(_), Outcome::Value(1.0)]), "{found:?}");
    let found = outcomes(replies(Error::service("m", 503, "overloaded")));
    assert!(matches!(found[..], [Outcome::Failed(_), Outcome::Value(1.0)]), "{found:?}");

    let vlm = replies(Error::service("m", 401, "wrong key"));
    let error = block_on(judge(vlm.clone()).score(&subjects)).unwrap_err();
    assert!(matches!(error, Error::Service { status: 401, .. }), "{error}");
    assert_eq!(vlm.requests().len(), 1, "the second one was not asked for");
    // What was paid for before stays.
    let vlm = FakeVlm::new(["Score: 4"]).then(Err(Error::service("m", 401, "no credit")));
    let found = outcomes(vlm);
    assert!(matches!(found[..], [Outcome::Value(1.0), Outcome::Failed(_)]), "{found:?}");
    assert!(block_on(judge(FakeVlm::default()).score(&[])).unwrap().is_empty());
}

#[test]
fn words_are_pinned() {
    // A change of these words makes other numbers: it belongs into the CHANGELOG.
    let found = [
        Rubric::gpt_score(),
        Rubric::preservation(),
        Rubric::k_score(),
        Rubric::fact_ip(),
        Rubric::vie_score(),
        Rubric::wise(),
    ]
    .map(|rubric| rubric.words_hash());
    let expected = [
        "5d8a364d5387bb0a",
        "2c46d405606c1b1c",
        "e9e9de11564e4c55",
        "7684eb0945d28d53",
        "0d0300d15e059bfb",
        "597add3c18012a9b",
    ];
    assert_eq!(found, expected);
}

#[test]
fn whatever_changes_a_number_is_in_the_fingerprint() {
    let key = |rubric: Rubric| Judge::new(FakeVlm::default(), rubric).unwrap().fingerprint().key();
    let base = Rubric::vie_score;
    let mut other_words = base();
    other_words.criteria[0].description.push('!');
    let mut other_weight = base();
    other_weight.criteria[0].weight = 2.0;
    let keys = [
        base(),
        other_words,
        other_weight,
        Rubric { combine: Combine::Mean, ..base() },
        Rubric { best: 1.0, ..base() },
        Rubric { temperature: 0.5, ..base() },
        Rubric { image_side: 1024, ..base() },
        Rubric { scale: Scale::whole(0, 10), ..base() },
        base().with_runs(3),
        base().with_references(1),
    ]
    .map(key);
    let unique: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len());
}

#[test]
fn a_rubric_is_read_from_json_and_what_is_wrong_is_named() {
    let k_score = serde_json::to_string(&Rubric::k_score()).unwrap();
    assert_eq!(serde_json::from_str::<Rubric>(&k_score).unwrap(), Rubric::k_score());
    let error = serde_json::from_str::<Rubric>(r#"{"criterion": []}"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `criterion`"), "{error}");
    let one = || Rubric::new("R", "You rate.", [Criterion::new("beauty", "it is beautiful")]);
    assert!(one().validate().is_ok());
    let mut twice = one();
    twice.criteria.push(Criterion::new("Beauty", "again"));
    let scale = |min, max, step| Rubric { scale: Scale { min, max, step }, ..one() };
    for (rubric, words) in [
        (Rubric { name: " ".into(), ..one() }, "name of a rubric: expected a text"),
        (Rubric { task: String::new(), ..one() }, "task of the rubric R"),
        (Rubric { criteria: Vec::new(), ..one() }, "criteria of the rubric R: expected at least 1"),
        (Rubric::new("R", "t", [Criterion::new("a b", "")]), "letters, digits and underscores"),
        (Rubric::new("R", "t", [Criterion::new("a", "").with_weight(0.0)]), "weight of a"),
        (Rubric::new("R", "t", [Criterion::new("a", "").with_weight(f64::NAN)]), "weight of a"),
        (twice, "names of criteria of the rubric R: expected each once"),
        (scale(1.0, 1.0, None), "scale of the rubric R"),
        (scale(0.0, f64::INFINITY, None), "scale of the rubric R"),
        (scale(0.0, 1.0, Some(0.0)), "step of the rubric R"),
        (Rubric { best: 0.0, ..one() }, "best of the rubric R"),
        (Rubric { image_side: 0, ..one() }, "image_side"),
        (Rubric { temperature: -1.0, ..one() }, "temperature"),
        (Rubric { runs: 0, ..one() }, "runs"),
        (Rubric { tries: 0, ..one() }, "tries"),
    ] {
        let error = Judge::new(FakeVlm::default(), rubric).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn k_score_is_half_for_text_where_none_is_asked_for() {
    for none in ["null", "\"N/A\""] {
        let reply = format!(
            r#"{{"faithfulness": 1, "visual_correctness": 1, "text_accuracy": {none}, "aesthetics": 1}}"#
        );
        let vlm = FakeVlm::new([reply]);
        let found = score(&vlm, Rubric::k_score(), subject().with_real_images(real(1)));
        let Outcome::Value(value) = found.outcome else { panic!("{found:?}") };
        assert!((value - 0.8).abs() < 1e-9, "{value}");
        let schema = vlm.requests()[0].json_schema.clone().unwrap();
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let kind = |name: &str| schema["properties"][name]["type"].clone();
        assert_eq!(kind("text_accuracy"), serde_json::json!(["number", "null"]));
        assert_eq!(kind("aesthetics"), "number");
    }
}

#[test]
fn zero_has_no_sign() {
    let found = score(&FakeVlm::new(["Score: -0"]), Rubric::gpt_score(), subject()).outcome;
    assert!(matches!(found, Outcome::Value(value) if value == 0.0 && value.is_sign_positive()));
    let runs = Score::value(-0.0).with_runs(vec![-0.0]).runs;
    assert!(runs[0].is_sign_positive());
}

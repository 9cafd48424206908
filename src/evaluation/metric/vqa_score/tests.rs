//! First tokens as services give them, to probabilities.

use futures::executor::block_on;

use super::*;
use crate::testing::{FakeVlm, solid};
use crate::vlm::Logprob;

fn place(top: &[(&str, f64)]) -> TokenLogprobs {
    let top: Vec<Logprob> =
        top.iter().map(|(token, probability)| Logprob::new(*token, probability.ln())).collect();
    TokenLogprobs::new(top[0].clone()).with_top(top)
}

fn score(metric: impl Fn(FakeVlm) -> VqaScore, reply: ChatReply) -> Score {
    let metric = metric(FakeVlm::default().then(Ok(reply)));
    let subject = Subject::new(solid(8, 8, [0; 3]), "a quetzal");
    block_on(metric.score(&[subject])).unwrap().remove(0)
}

fn outcome(metric: impl Fn(FakeVlm) -> VqaScore, tokens: &[TokenLogprobs]) -> Outcome {
    score(metric, ChatReply::new("Yes").with_logprobs(tokens.to_vec())).outcome
}

#[track_caller]
fn assert_value(found: Outcome, expected: f64) {
    assert!(matches!(found, Outcome::Value(value) if (value - expected).abs() < 1e-9), "{found:?}");
}

#[test]
fn every_spelling_of_an_answer_counts() {
    let first = [
        ("Yes", 0.4),
        ("No", 0.2),
        (" yes", 0.1),
        ("\u{120}Yes", 0.05),
        ("\u{2581}yes", 0.03),
        ("YES", 0.01),
        (" no", 0.04),
        ("Yesterday", 0.1),
        ("Not", 0.05),
    ];
    let tokens = [place(&first), place(&[("No", 0.99)])];
    assert_value(outcome(VqaScore::new, &tokens), 0.59);
    assert_value(outcome(VqaScore::normalised, &tokens), 0.59 / 0.83);
    // A token of white space before the answer is no answer.
    let tokens = [place(&[("\n", 0.9), ("Yes", 0.05)]), place(&[("Yes", 0.7), ("No", 0.2)])];
    assert_value(outcome(VqaScore::new, &tokens), 0.7);
    // A model without alternatives, and one whose reply is not among them.
    assert_value(
        outcome(VqaScore::new, &[TokenLogprobs::new(Logprob::new("Yes", -0.5))]),
        (-0.5_f64).exp(),
    );
    let unlikely =
        TokenLogprobs::new(Logprob::new("Yes", -9.0)).with_top([Logprob::new("No", -0.1)]);
    assert_value(outcome(VqaScore::new, &[unlikely]), (-9.0_f64).exp());
    let none = outcome(VqaScore::new, &[place(&[("No", 0.99)])]);
    assert!(matches!(none, Outcome::Value(value) if value == 0.0 && value.is_sign_positive()));
}

#[test]
fn no_probability_is_a_failure_that_says_why() {
    let subject = || Subject::new(solid(8, 8, [0; 3]), "a quetzal");
    let metric = VqaScore::new(FakeVlm::new(["Yes", "Yes"]));
    let error = block_on(metric.score(&[subject(), subject()])).unwrap_err().chain().to_string();
    assert!(error.contains("FakeVlm") && error.contains("no log-probabilities"), "{error}");
    // The model ended its turn without a word.
    assert!(matches!(score(VqaScore::new, ChatReply::new("")).outcome, Outcome::Failed(_)));
    let found = outcome(VqaScore::new, &[place(&[("The", 0.8), ("This", 0.1)])]);
    let Outcome::Failed(reason) = found else { panic!("{found:?}") };
    assert!(reason.ends_with("found \"The\", \"This\""), "{reason}");
    let unknown = TokenLogprobs::new(Logprob::new("Yes", f64::NEG_INFINITY));
    assert!(matches!(outcome(VqaScore::normalised, &[unknown]), Outcome::Failed(_)));
    for reply in [
        ChatReply::default().with_refusal("policy"),
        ChatReply::new("I'm sorry, I can't help with that.").with_logprobs([place(&[("I", 0.9)])]),
    ] {
        let found = score(VqaScore::new, reply).outcome;
        assert!(matches!(found, Outcome::Refused(_)), "{found:?}");
    }
}

#[test]
fn the_question_is_that_of_the_paper_and_asks_for_log_probabilities() {
    let vlm =
        FakeVlm::default().then(Ok(ChatReply::new("Yes").with_logprobs([place(&[("Yes", 0.9)])])));
    let subject = Subject::new(solid(8, 8, [0; 3]), "a {red} quetzal");
    let scores = block_on(VqaScore::new(vlm.clone()).score(&[subject])).unwrap();
    assert_eq!(scores[0].exchanges[0].reply.as_deref(), Some("Yes"));
    let request = &vlm.requests()[0];
    let expected = "Does this figure show \"a {red} quetzal\"? Please answer yes or no.";
    assert_eq!(request.messages[0].text, expected);
    assert_eq!((request.logprobs, request.temperature), (Some(20), 0.0));
    let error = VqaScore::new(vlm).with_question("Is it good?").unwrap_err().to_string();
    assert!(error.contains("a text with {prompt}"), "{error}");
}

#[test]
fn a_share_of_yes_is_another_number_with_another_name() {
    let subject = || Subject::new(solid(8, 8, [0; 3]), "a quetzal");
    let score = |replies: &[&str]| {
        let vlm = FakeVlm::new(replies.iter().copied());
        let metric = VqaScore::sampled(vlm.clone(), replies.len()).unwrap();
        let score = block_on(metric.score(&[subject()])).unwrap().remove(0);
        assert!(vlm.requests().iter().all(|one| one.temperature == 1.0 && one.logprobs.is_none()));
        score
    };
    let found = score(&["Yes.", "yes", "No, it is a parrot.", "**Yes**"]);
    assert_eq!((found.outcome, found.exchanges.len()), (Outcome::Value(0.75), 4));
    assert!(matches!(score(&["Yes", "Perhaps."]).outcome, Outcome::Failed(_)));
    assert!(matches!(score(&["I'm sorry, I can't help with that."]).outcome, Outcome::Refused(_)));
    assert!(VqaScore::sampled(FakeVlm::default(), 0).is_err());
    let metrics = [
        VqaScore::new(FakeVlm::default()),
        VqaScore::normalised(FakeVlm::default()),
        VqaScore::sampled(FakeVlm::default(), 4).unwrap(),
        VqaScore::sampled(FakeVlm::default(), 8).unwrap(),
    ];
    let names: Vec<String> = metrics.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["VQAScore", "VQAScore (normalised)", "yes share", "yes share"]);
    let keys: std::collections::BTreeSet<String> =
        metrics.iter().map(|metric| metric.fingerprint().key()).collect();
    assert_eq!(keys.len(), 4);
}

#[test]
fn what_is_neither_yes_nor_no_is_no_number() {
    let metrics: [fn(FakeVlm) -> VqaScore; 2] =
        [|vlm| VqaScore::new(vlm), |vlm| VqaScore::normalised(vlm)];
    for metric in metrics {
        for (top, first) in [
            (&[("A", 0.8), ("No", 0.001)][..], "\"A\""),
            (&[("The", 0.9), ("Yes", 0.05)], "\"The\""),
            (&[("A", 0.8), ("Yes", 1e-12), ("No", 1e-12)], "\"A\""),
        ] {
            let Outcome::Failed(reason) = outcome(metric, &[place(top)]) else { panic!("{top:?}") };
            assert!(reason.contains(&format!("the reply begins with {first}")), "{reason}");
            assert!(reason.contains("at least 0.1"), "{reason}");
        }
    }
    let unsure = ChatReply::new("Yes").with_logprobs([place(&[("It", 0.6), ("Yes", 0.3)])]);
    let found = score(VqaScore::new, unsure);
    assert_value(found.outcome, 0.3);
    assert_eq!(
        found.notes,
        ["yes and no have a probability of 0.30; the likeliest first tokens: \"It\", \"Yes\""]
    );
    let sure = ChatReply::new("Yes").with_logprobs([place(&[("Yes", 0.6), ("It", 0.3)])]);
    assert!(score(VqaScore::new, sure).notes.is_empty());
}

#[test]
fn a_log_probability_above_0_is_a_failure() {
    let tokens = |logprob| {
        [TokenLogprobs::new(Logprob::new("Yes", -0.1))
            .with_top([Logprob::new("Yes", -0.1), Logprob::new("No", logprob)])]
    };
    let Outcome::Failed(reason) = outcome(VqaScore::new, &tokens(0.9)) else { panic!() };
    assert!(reason.contains("at most 0, found 0.9 for \"No\""), "{reason}");
    // Rounding.
    assert_value(outcome(VqaScore::new, &tokens(1e-6)), (-0.1_f64).exp());
}

#[test]
fn every_setting_is_in_the_fingerprint() {
    let vlm = FakeVlm::default;
    let metrics = [
        VqaScore::new(vlm()),
        VqaScore::normalised(vlm()),
        VqaScore::sampled(vlm(), 4).unwrap(),
        VqaScore::sampled(vlm(), 5).unwrap(),
        VqaScore::new(vlm()).with_question("Is it {prompt}?").unwrap(),
    ];
    let keys: std::collections::BTreeSet<String> =
        metrics.iter().map(|metric| metric.fingerprint().key()).collect();
    assert_eq!(keys.len(), metrics.len());
    let slow = VqaScore::new(vlm()).with_concurrency(1).unwrap();
    assert_eq!(slow.fingerprint(), metrics[0].fingerprint());
}

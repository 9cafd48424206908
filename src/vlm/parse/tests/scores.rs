//! Replies of judges as models write them, to the numbers in them.

use proptest::prelude::Strategy;

use crate::vlm::ChatReply;
use crate::vlm::parse::{Unscored, scores};

fn score(reply: &str) -> Option<f64> {
    scores(&ChatReply::new(reply), &["score"], 4.0).ok().map(|found| found[0])
}

#[test]
fn one_score_is_read_however_it_is_written() {
    for (reply, expected) in [
        ("Score: 3", 3.0),
        ("score: 3.", 3.0),
        ("The wings are right, the tail is not.\n\nScore: 3", 3.0),
        ("**Score:** 3", 3.0),
        ("**Score: 3**", 3.0),
        ("**Score**: **3**", 3.0),
        ("### Score: 3", 3.0),
        ("Score: 3/4", 3.0),
        ("Score: 3 / 4", 3.0),
        ("Score: 3 out of 4", 3.0),
        ("Score: [3]", 3.0),
        ("Score: <3>", 3.0),
        ("Score: `3`", 3.0),
        ("Score: \"3\"", 3.0),
        ("Score: Good (3)", 3.0),
        ("Score: good 3", 3.0),
        ("Score: 3 (good)", 3.0),
        ("Score: 3 - good", 3.0),
        ("Score: three", 3.0),
        ("Score:3", 3.0),
        ("Score (0-4): 3", 3.0),
        ("**Score** (out of 4): 3", 3.0),
        ("Score：3", 3.0),
        ("Score = 3", 3.0),
        ("Score:\n3", 3.0),
        ("Score: \\boxed{3}", 3.0),
        ("| Score | 3 |", 3.0),
        ("Final score: 3", 3.0),
        ("Score: 0", 0.0),
        ("Score: 4", 4.0),
        ("3", 3.0),
        ("**3**", 3.0),
        ("3/4", 3.0),
        ("3 out of 4.", 3.0),
        ("I would say the score is 3.", 3.0),
        ("My score is 2, no: the tail counts.\nScore: 3", 3.0),
        (r#"{"score": 3}"#, 3.0),
        (r#"{"score": "3"}"#, 3.0),
        (r#"{"Score": "3/4", "reason": "the score of 2 would be harsh"}"#, 3.0),
        ("```json\n{\"reasoning\": \"…\", \"score\": 3}\n```", 3.0),
        (r#"{'score': 3,}"#, 3.0),
        (r#"{"evaluation": {"score": 3}}"#, 3.0),
        (r#"[{"score": 3}]"#, 3.0),
        ("<think>Score: 1? No.</think>\nScore: 3", 3.0),
        ("Unfortunately, the tail is too short. Score: 3", 3.0),
        ("I cannot find any mistake in it. Score: 4", 4.0),
        ("I cannot tell the species. Score: 3", 3.0),
        ("The image does not come close to the text. Score: 0", 0.0),
        ("Underscore: 1, yes.\nScore: 3", 3.0),
    ] {
        assert_eq!(score(reply), Some(expected), "{reply}");
    }
}

#[test]
fn what_is_not_one_score_is_none() {
    for reply in [
        "",
        "A fine image.",
        "Score:",
        "Score: N",
        "Score: N/A",
        "Score: 3\nScore: 2",
        "Score: 3\nScore: 3",
        "Score: 3-4",
        "Score: 3 – 4",
        "Score: 3 or 4",
        "Score: 3 to 4",
        "Score: 0, 1, 2, 3 or 4",
        "Score: 3/5",
        "Score: 3/10",
        "Score: 6 out of 10",
        "Score: 75%",
        "Score: 3rd",
        "2 wings, 1 tail",
        "Score: one of the wings is missing",
        "3 wings",
        r#"{"score": null}"#,
        r#"{"score": 3, "final_score": 2, "Score": 1}"#,
        r#"[{"score": 3}, {"score": 2}]"#,
        r#"{"wings": 3}"#,
        "<think>Score: 3",
    ] {
        let found = scores(&ChatReply::new(reply), &["score"], 4.0);
        assert!(matches!(found, Err(Unscored::Unclear(_))), "{reply}: {found:?}");
    }
    // 1 of 10 may have become 10.
    let cut = ChatReply::new("Score: 1").cut_off();
    assert!(matches!(scores(&cut, &["score"], 10.0), Err(Unscored::Unclear(_))));
    let whole = ChatReply::new("Score: 1\nThe tail").cut_off();
    assert_eq!(scores(&whole, &["score"], 10.0), Ok(vec![1.0]));
}

#[test]
fn a_refusal_is_no_score_whatever_number_it_has() {
    for reply in [
        "I'm sorry, but I can't assist with that request.",
        "I'm sorry, I can't see the image. Score: 0",
        "I cannot view images, so I have to say Score: 0",
        "I'm unable to evaluate this. Score: 0",
        "No image was provided. Score: 0",
        "I'm unable to view the image. {\"score\": 0}",
        "As an AI, I have no opinion. Score: 2",
        "I can't help with that.",
    ] {
        let found = scores(&ChatReply::new(reply), &["score"], 4.0);
        assert!(matches!(found, Err(Unscored::Refused(_))), "{reply}: {found:?}");
    }
    let declined = ChatReply::default().with_refusal("policy");
    assert_eq!(scores(&declined, &["score"], 4.0), Err(Unscored::Refused("policy".into())));
}

#[test]
fn several_criteria_are_read_by_their_names() {
    let names = ["visual_correctness", "aesthetics"];
    for reply in [
        r#"{"visual_correctness": 0.5, "aesthetics": 1}"#,
        r#"{"aesthetics": 1.0, "Visual Correctness": "0.5", "reasoning": "aesthetics: 0"}"#,
        r#"{"visualCorrectness": {"score": 0.5, "reason": "2 wings"}, "aesthetics": {"reason": "", "score": 1}}"#,
        r#"{"scores": {"visual_correctness": 0.5, "aesthetics": 1}}"#,
        r#"{"visual_correctness_score": 0.5, "aesthetics_score": 1}"#,
        "```json\n{\n  \"visual_correctness\": 0.5, // half\n  \"aesthetics\": 1,\n}\n```",
        "- **Visual Correctness:** 0.5\n- **Aesthetics:** 1/1",
        "Visual correctness: 0.5\nAesthetics: 1",
        "1. Visual-correctness score: 0.5\n2. Aesthetics score: 1",
        "| Visual Correctness | 0.5 |\n| Aesthetics | 1 |",
        "Visual correctness: 0,5\nAesthetics: 1,0",
    ] {
        let found = scores(&ChatReply::new(reply), &names, 1.0);
        assert_eq!(found, Ok(vec![0.5, 1.0]), "{reply}");
    }
    for reply in [
        r#"{"visual_correctness": 0.5}"#,
        "Aesthetics: 1",
        "0.5",
        r#"{"visual_correctness": 0.5, "aesthetics": 1} {"visual_correctness": 1, "aesthetics": 1}"#,
    ] {
        let found = scores(&ChatReply::new(reply), &names, 1.0);
        assert!(matches!(found, Err(Unscored::Unclear(_))), "{reply}: {found:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_reply_is_read_outside_of_it_or_panics(
        pieces in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::sample::select(vec![
                    "Score", "score", ":", "：", " ", "\n", "**", "3", "0.5", "/4", " out of 4", "-", "[", "]",
                    "{\"score\": ", "}", "\"", "is", "İ", "K", "ß", "é", "|", "three", "\\boxed{", "%", ",",
                ]).prop_map(str::to_owned),
                proptest::prelude::any::<String>(),
            ],
            0..12,
        )
    ) {
        use proptest::prelude::*;
        let reply = pieces.concat();
        match scores(&ChatReply::new(&*reply), &["score"], 4.0) {
            Ok(found) => prop_assert!(found.len() == 1 && found[0].is_finite(), "{}", reply),
            Err(Unscored::Refused(said) | Unscored::Unclear(said)) => {
                prop_assert!(said.chars().count() < 500, "{}", reply);
            }
        }
    }
}

//! Replies of judges as models write them, to the numbers in them.

use proptest::prelude::Strategy;

use crate::vlm::ChatReply;
use crate::vlm::parse::{self, Asked, Unscored};

fn scores(reply: &ChatReply, names: &[&str], max: f64) -> Result<Vec<f64>, Unscored> {
    let asked: Vec<Asked<'_>> =
        names.iter().map(|name| Asked { name, not_applicable: None }).collect();
    parse::scores(reply, &asked, max)
}

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
        ("### Score\n3", 3.0),
        ("## Final score\n\n**3**", 3.0),
        ("**Score**\n3/4", 3.0),
        ("Score (0-4)\n3 out of 4\nThe tail is short.", 3.0),
        ("| Score | Reason |\n|---|---|\n| 3 | 2 wings |", 3.0),
        ("| Criterion | Score |\n|---|---|\n| Score | 3 |", 3.0),
        ("| Criterion | Score |\n|---|---|\n| shape | 4 |\n| colour | 2 |\n\nScore: 3", 3.0),
        ("Rating: 3", 3.0),
        ("**Overall rating:** 3/4", 3.0),
        ("得分：3", 3.0),
        ("最终得分：3分", 3.0),
        ("評価：３／４", 3.0),
        ("점수: 3점", 3.0),
        ("Puntuación: 3", 3.0),
        ("Bewertung: 3 von 4", 3.0),
        ("The rating was hard. Score: 3", 3.0),
        ("4 would be the maximum score. Score: 3", 3.0),
        ("The maximum score: 4 is not reached. Score: 3", 3.0),
        ("I cannot help but like it. Score: 4", 4.0),
        ("I cannot rate it higher. Score: 2", 2.0),
        ("I can't give it a score of 4. Score: 3", 3.0),
        ("There is no picture on the wall. Score: 2", 2.0),
        ("It has no image noise. Score: 4", 4.0),
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
        "Score: 3 1/2",
        "Score: 3½",
        "Score: 3 ½",
        "Score: 3 and a half",
        "Score: three and a half",
        "Score: 3+",
        "Score: 3~4",
        "Score: 3 4",
        "Score: not 4",
        "Score: isn't 4",
        "Score: below 3",
        "Score: at least 3",
        "The maximum Score: 4 cannot be given",
        "Score: 4 cannot be given",
        "Score: 4 would be too high",
        "The highest score is 4",
        "### Score\n3 wings",
        "### Score\nThe bird has 3 wings",
        "| Criterion | Score |\n|---|---|\n| shape | 4 |\n| colour | 2 |",
        "Rating: 3\nGrade: 2",
        "Note: 3",
        "Underrating: 3",
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
        "I can't score this. Score: 0",
        "I cannot rate this picture.\n\nScore: 0",
        "I cannot give this a score. Score: 0",
        "I see no image. Score: 0",
        "There is no image attached. Score: 0",
        "I do not see any image. Score: 0",
        "I don't see any image here.\nScore: 0",
        "Score: 0 (I cannot see any image)",
        "Score: 0\n\nNo image was given.",
        r#"{"score": 0, "reason": "I can't see the image"}"#,
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

#[test]
fn what_does_not_apply_has_the_number_of_its_criterion() {
    let asked = [("text_accuracy", Some(0.5)), ("aesthetics", None)]
        .map(|(name, not_applicable)| Asked { name, not_applicable });
    let read = |reply: &str| parse::scores(&ChatReply::new(reply), &asked, 1.0);
    for reply in [
        r#"{"text_accuracy": null, "aesthetics": 1}"#,
        r#"{"text_accuracy": "N/A", "aesthetics": 1}"#,
        r#"{"text_accuracy": "not applicable", "aesthetics": 1}"#,
        r#"{"text_accuracy": {"score": null, "reason": "no writing"}, "aesthetics": 1}"#,
        "Text accuracy: N/A\nAesthetics: 1",
        "| Criterion | Reason | Score |\n|---|---|---|\n| Text accuracy | 0 words | n/a |\n| Aesthetics | 2 faults | 1 |",
    ] {
        assert_eq!(read(reply), Ok(vec![0.5, 1.0]), "{reply}");
    }
    assert_eq!(read(r#"{"text_accuracy": 0, "aesthetics": 1}"#), Ok(vec![0.0, 1.0]));
    for reply in [r#"{"text_accuracy": 1, "aesthetics": null}"#, r#"{"aesthetics": 1}"#] {
        assert!(matches!(read(reply), Err(Unscored::Unclear(_))), "{reply}");
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

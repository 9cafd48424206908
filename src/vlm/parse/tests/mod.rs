//! What models are seen to write, and anything at all, to what it must mean.

mod captions;
mod drawn;
mod edit_plans;
mod edits;
mod lists;
mod properties;
mod replies;
#[cfg(feature = "evaluation")]
mod scores;

use proptest::prelude::*;

use super::*;

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);
/// Neither: the question is asked again.
const AGAIN: Option<bool> = None;

/// The functions under test with the English questions.
fn yes_or_no(reply: &str) -> Option<bool> {
    let questions = Questions::default();
    yes_or_no_to(&questions, &questions.decision, reply)
}

fn yes_or_no_to(questions: &Questions, template: &str, reply: &str) -> Option<bool> {
    super::yes_or_no(questions, template, &reply.into())
}

fn list(reply: &str) -> Vec<String> {
    list_to(&Questions::default(), reply)
}

fn list_to(questions: &Questions, reply: &str) -> Vec<String> {
    super::concepts(questions, &reply.into()).unwrap_or_default()
}

fn indices(reply: &str, count: usize) -> Vec<usize> {
    super::indices(&Questions::default(), &reply.into(), count)
}

fn text(reply: &str) -> Option<String> {
    super::text(&Questions::default(), &reply.into())
}

fn is_refusal(reply: &str) -> bool {
    is_refusal_to(&Questions::default(), reply)
}

fn is_refusal_to(questions: &Questions, reply: &str) -> bool {
    let answer = thoughts::answer(reply).map(|behind| behind.text).unwrap_or_default();
    refusal::is_refusal(questions, &answer)
}

#[test]
fn reads_yes_and_no() {
    for (reply, meaning) in [
        ("yes", Some(true)),
        ("Yes.", Some(true)),
        ("**Yes**", Some(true)),
        ("YES!", Some(true)),
        ("no", Some(false)),
        ("No, the eyes do not match.", Some(false)),
        ("Answer: no", Some(false)),
        ("{\"answer\": \"yes\"}", Some(true)),
        ("Yes, there is no difference.", Some(true)),
        ("<think>yes? no.</think>\nno", Some(false)),
        ("The eyes", None),
        ("I know yesterday", None),
        ("It could be yes or no", None),
        ("", None),
        ("   \n", None),
        ("\u{1f600}", None),
    ] {
        assert_eq!(yes_or_no(reply), meaning, "{reply:?}");
    }
}

#[test]
fn reads_yes_and_no_in_other_languages() {
    let words = |yes: &[&str], no: &[&str]| {
        Questions::default().with_yes(yes.iter().copied()).with_no(no.iter().copied())
    };
    let german = words(&["ja"], &["nein"]);
    let french = words(&["oui"], &["non", "pas d'accord"]);
    let chinese = words(&["是", "是的"], &["不是", "不", "否"]);
    let japanese = words(&["はい"], &["いいえ"]);
    let thai = words(&["ใช่"], &["ไม่ใช่"]);
    let korean = words(&["네", "예"], &["아니요"]);
    for (questions, reply, meaning) in [
        (&german, "Ja!", Some(true)),
        (&german, "Nein, kein Januar.", Some(false)),
        (&german, "Antwort: nein", Some(false)),
        (&german, "Januar", None),
        (&german, "yes", None),
        (&french, "OUI.", Some(true)),
        (&french, "Je ne suis pas d\u{2019}accord", Some(false)),
        (&french, "nonchalant", None),
        (&chinese, "是", Some(true)),
        (&chinese, "是的。", Some(true)),
        (&chinese, "不是", Some(false)),
        (&chinese, "“不是。”", Some(false)),
        (&chinese, "这不是一只羊。", Some(false)),
        (&chinese, "答案：是", Some(true)),
        (&chinese, "这是羊，不是马", None),
        (&chinese, "一只羊", None),
        (&japanese, "はい、そうです", Some(true)),
        (&japanese, "いいえ", Some(false)),
        (&japanese, "答えはいいえです", Some(false)),
        (&thai, "ใช่", Some(true)),
        (&thai, "ไม่ใช่", Some(false)),
        (&korean, "네, 맞습니다.", Some(true)),
        (&korean, "아니요.", Some(false)),
        (&korean, "네모", None),
    ] {
        assert_eq!(yes_or_no_to(questions, "{prompt}?", reply), meaning, "{reply:?}");
    }
}

#[test]
fn english_answers_count_after_sentences_that_are_still_english() {
    let translated = Questions::default()
        .with_decision("Passt es zu {prompt}?")
        .with_verification("Zeigt es {concept}?");
    let german = translated.with_yes(["ja"]).with_no(["nein"]);
    let english = Questions::default();
    for template in [
        &english.decision,
        &english.decision_over_reference,
        &english.decision_over_references,
        &english.verification,
    ] {
        for (reply, meaning) in [
            ("Yes.", Some(true)),
            ("no", Some(false)),
            ("Ja.", Some(true)),
            ("nein", Some(false)),
            ("It could be ja or no", None),
            ("The eyes", None),
        ] {
            assert_eq!(yes_or_no_to(&german, template, reply), meaning, "{template}: {reply}");
        }
    }
    for template in [&german.decision, &german.verification] {
        for (reply, meaning) in [("Ja.", Some(true)), ("Yes.", None), ("no", None)] {
            assert_eq!(yes_or_no_to(&german, template, reply), meaning, "{template}: {reply}");
        }
    }
    // Who says "no" in Polish agrees.
    let polish = Questions::default().with_yes(["tak", "no"]).with_no(["nie"]);
    assert_eq!(yes_or_no_to(&polish, &english.decision, "No."), Some(false));
    assert_eq!(yes_or_no_to(&polish, "{prompt}?", "No."), Some(true));
}

#[test]
fn reads_lists_of_other_languages() {
    let chinese = Questions::default().with_none(["没有"]).with_yes(["是"]).with_no(["不是"]);
    for reply in
        ["1、油画风格\n2、一只羊", "缺少：\n（1）油画风格\n（2）「一只羊」", "・油画风格\n・一只羊"]
    {
        assert_eq!(list_to(&chinese, reply), ["油画风格", "一只羊"], "{reply:?}");
    }
    for reply in ["没有。", "不是", "none"] {
        assert!(list_to(&chinese, reply).is_empty(), "{reply:?}");
    }
    assert_eq!(list("„ein Schaf“\n«un mouton»"), ["ein Schaf", "un mouton"]);
}

#[test]
fn recognises_refusals_of_ones_own() {
    let questions = Questions::default().with_refusals(["Es tut mir leid", "抱歉"]);
    for reply in ["Es tut mir leid, das geht nicht.", "抱歉，我无法回答。", "I cannot help"]
    {
        assert!(is_refusal_to(&questions, reply), "{reply:?}");
    }
    assert!(!is_refusal_to(&questions, "Ein Schild: es tut mir leid"));
    assert!(!is_refusal("抱歉，我无法回答。"));
}

#[test]
fn reads_lists_as_models_write_them() {
    let both = vec!["oil painting style".to_owned(), "a sheep".to_owned()];
    for reply in [
        "oil painting style\na sheep",
        "1. oil painting style\n2. a sheep",
        "- oil painting style\n\n- a sheep\n",
        "* **oil painting style**\n* **a sheep**",
        "(1) oil painting style\r\n(2) a sheep",
        "The missing concepts are:\n• oil painting style\n• a sheep",
        "```\noil painting style\na sheep\n```",
        "\"oil painting style\"\n\u{201c}a sheep\u{201d}",
        "<think>a car?\na dog?</think>oil painting style\na sheep\nA sheep",
    ] {
        assert_eq!(list(reply), both, "{reply:?}");
    }
}

#[test]
fn keeps_what_belongs_to_an_item() {
    assert_eq!(list("a photo of Bob's \"red\" cat"), ["a photo of Bob's \"red\" cat"]);
    assert_eq!(list("10. a dog\n3.5 inch disk\n7"), ["a dog", "3.5 inch disk", "7"]);
    assert_eq!(list("\"a\" and \"b\""), ["\"a\" and \"b\""]);
}

#[test]
fn nothing_is_no_item() {
    for reply in ["", " \n \n", "None", "none.", "N/A", "---", "No missing concepts."] {
        assert!(list(reply).is_empty(), "{reply:?}");
    }
}

#[test]
fn recognises_refusals_and_nothing_else() {
    for reply in [
        "I'm sorry, I can't assist with that.",
        "I\u{2019}m unable to respond.",
        "Sorry, but no.",
        "I cannot identify people in images.",
        "Unable to determine the differences",
        "The model is unable to respond",
        "<think>hm</think> I can't help",
    ] {
        assert!(is_refusal(reply), "{reply:?}");
    }
    for reply in ["a cat that can't swim", "a sorry-looking dog", "no", "a can of paint"] {
        assert!(!is_refusal(reply), "{reply:?}");
    }
}

#[test]
fn reads_indices_as_models_write_them() {
    for (reply, named) in [
        ("2,0", vec![2, 0]),
        ("Answer: 2, 0.", vec![2, 0]),
        ("[2, 0]", vec![2, 0]),
        ("{\"answer\": [2, 0]}", vec![2, 0]),
        ("```\n2,0\n```", vec![2, 0]),
        ("Images 2 and 0", vec![2, 0]),
        ("Image 2, image 0", vec![2, 0]),
        ("1. 2\n2. 0", vec![2, 0]),
        ("1) Image 2\n2) Image 0", vec![2, 0]),
        ("- 2\n- 0\n", vec![2, 0]),
        ("**2**, **0**", vec![2, 0]),
        ("2: it shows 3 birds\n0: one", vec![2]),
        ("The 3 most relevant of these are 2, 0, 5", vec![2, 0, 5]),
        ("The best of the 6 is 2", vec![2]),
        ("<think>1, 3, 4 or 5?</think>2,0", vec![2, 0]),
        ("2, 2, 0, 2", vec![2, 0]),
        ("2, 17, 0", vec![2, 0]),
        ("6,1", vec![5, 0]),
        ("6,0", vec![0]),
        ("7", vec![]),
        ("-1", vec![]),
        ("99999999999999999999999", vec![]),
        ("two", vec![]),
        ("", vec![]),
        (" \n", vec![]),
    ] {
        assert_eq!(indices(reply, 6), named, "{reply:?}");
    }
    assert!(indices("0, 1", 0).is_empty());
}

#[test]
fn long_replies_are_read_in_time_that_grows_with_them() {
    for part in
        ["no ", "<", "[\n", "<a>", "[A]", "- no\n", "{\"a\": ", "\"", "1. ", "**", "| a |\n"]
    {
        let reply = part.repeat(60_000 / part.len());
        assert_ne!(yes_or_no(&reply), Some(true), "{part}");
        assert!(list(&reply).len() <= MAX_ITEMS, "{part}");
        assert_eq!(text(&reply), None, "{part}");
    }
}

/// Replies stitched together from what models are seen to write, and from anything at all.
fn replies() -> impl Strategy<Value = String> {
    let seen = "\n|\r\n|- |* |1. |10) |(3) |\"|'|\u{201c}|\u{201d}|**|```|<think>|</think>|:|yes|no|none|\
        a sheep|can't |unable to |respond|\u{0}|\u{fe0f}|İ|0|2|5, 8|image |-1|ß|   ";
    let fragment = prop_oneof![
        prop::sample::select(seen.split('|').collect::<Vec<_>>()).prop_map(str::to_owned),
        any::<String>(),
    ];
    prop::collection::vec(fragment, 0..24).prop_map(|fragments| fragments.concat())
}

proptest! {
    // `PROPTEST_CASES=1000000 cargo test vlm::parse` fuzzes for longer.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    #[test]
    fn any_reply_gives_clean_items(reply in replies()) {
        let items = list(&reply);
        prop_assert!(items.len() <= MAX_ITEMS);
        for item in &items {
            prop_assert!(item.chars().any(char::is_alphanumeric));
            prop_assert!(item.chars().count() <= MAX_ITEM_CHARS);
            prop_assert!(!item.contains('\n'));
            prop_assert_eq!(item.trim(), item.as_str());
        }
    }

    #[test]
    fn any_reply_can_be_read(reply in replies()) {
        // Markdown's marks may stand inside a word: `n**o**`.
        let lower = reply.to_lowercase().replace(['*', '_', '#', '`', '$', '>'], "");
        if yes_or_no(&reply).is_some() {
            prop_assert!(lower.contains("yes") || lower.contains("no"));
        }
        if let Some(text) = text(&reply) {
            prop_assert!(!text.trim().is_empty());
        }
        let _ = is_refusal(&reply);
    }

    #[test]
    fn any_reply_names_things_that_there_are(reply in replies(), count in 0_usize..9) {
        let named = indices(&reply, count);
        prop_assert!(named.iter().all(|&index| index < count));
        let each: std::collections::BTreeSet<usize> = named.iter().copied().collect();
        prop_assert_eq!(each.len(), named.len());
    }
}

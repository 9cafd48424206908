//! A known answer with anything around it that models write, to that answer or to nothing.
//!
//! `PROPTEST_CASES=1000000 cargo test --release vlm::parse::tests::properties` draws as many cases of
//! each property.

use std::cell::{Cell, RefCell};

use super::drawn::*;
use super::*;
use proptest::test_runner::TestRunner;

/// Runs `read` on cases of `strategy`: it gives whether an answer was understood, or fails where it
/// was understood wrongly. At least 99 % must be understood.
pub(super) fn nearly_always<S: Strategy>(
    strategy: &S,
    read: impl Fn(S::Value) -> Result<bool, TestCaseError>,
) {
    let default = ProptestConfig::default();
    let config = ProptestConfig { cases: default.cases.max(4_000), ..default };
    let (all, puzzling) = (Cell::new(0_u64), RefCell::new(Vec::new()));
    let result = TestRunner::new(config).run(strategy, |case| {
        all.set(all.get() + 1);
        let told = format!("{case:?}");
        if !read(case)? {
            puzzling.borrow_mut().push(told);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let (all, puzzling) = (all.get(), puzzling.into_inner());
    let first = &puzzling[..puzzling.len().min(8)];
    let count = puzzling.len();
    assert!(count as u64 * 100 <= all, "{count} of {all} not understood: {first:#?}");
}

/// `right`, or nothing.
pub(super) fn never_wrong<T: PartialEq + std::fmt::Debug>(
    read: Option<T>,
    right: &T,
    reply: &str,
) -> Result<bool, TestCaseError> {
    match read {
        Some(read) if read == *right => Ok(true),
        Some(read) => {
            Err(TestCaseError::fail(format!("{reply:?} was read as {read:?}, not {right:?}")))
        }
        None => Ok(false),
    }
}
#[test]
fn a_decision_is_never_the_opposite() {
    let before = one_of(&[
        "",
        "",
        "",
        "Answer: ",
        "**Answer:** ",
        "Final answer: ",
        "**Final Answer**\n",
        "### Answer\n",
        "The answer is ",
        "The answer is: ",
        "I'd say ",
        "Based on the image, ",
        "Only answer yes or no. ",
        "\"Yes\" or \"no\"? ",
        "Does this image match the prompt? ",
        "It shows a bird, so ",
        "The image shows a dog.\n\nAnswer: ",
    ]);
    let quotes = one_of(&["{}", "{}", "**{}**", "\"{}\"", "“{}”", "`{}`", "*{}*", "\\boxed{{}}"]);
    let after = prop::sample::select(vec![
        (true, ". There are no differences."),
        (true, ".\n\nThe image matches the prompt with no issues."),
        (true, ", it shows the bird."),
        (true, ".\nExplanation: no part of the prompt was left out."),
        (false, ". I cannot see a mibbo in this image."),
        (false, ", the eyes do not match."),
        (false, ".\nExplanation: yes, there is a bird, but it is red."),
        (false, ", it does not match."),
        (false, ".\n\n- a sheep is missing\n- the style differs"),
    ]);
    let after =
        (any::<bool>(), after, one_of(&["", ".", "!", "\n", "\n\nLet me know if you need more."]))
            .prop_map(|(explains, (of_yes, explanation), end)| {
                (explains, of_yes, explanation, end)
            });
    let word = (any::<bool>(), 0..3_usize);
    let json = one_of(&[
        "{\"answer\": \"{}\"}",
        "```json\n{\"answer\": \"{}\", \"reason\": \"no doubt, yes or no\"}\n```",
        "{\"reasoning\": \"yes and no\", \"answer\": \"{}\"}",
        "{'decision': '{}'}",
    ]);
    let cases = (
        thought(),
        answer_tag(),
        before,
        quotes,
        word,
        after,
        prop::option::weighted(0.1, json),
        end(),
    );
    nearly_always(
        &cases,
        |(thought, (open, close), before, quotes, (yes, case), after, json, end)| {
            let word = match (yes, case) {
                (true, 0) => "yes",
                (true, 1) => "Yes",
                (true, _) => "YES",
                (false, 0) => "no",
                (false, 1) => "No",
                (false, _) => "NO",
            };
            let (explains, of_yes, explanation, closing) = after;
            let after = if explains && of_yes == yes { explanation } else { closing };
            let said = match json {
                Some(json) => json.replace("{}", word),
                None => format!("{before}{}{after}", quotes.replace("{}", word)),
            };
            let reply = format!("{thought}{open}{said}{close}{end}");
            never_wrong(yes_or_no(&reply), &yes, &reply)
        },
    );
}

#[test]
fn concepts_are_never_others() {
    let kind = prop::option::weighted(0.2, 0..7_usize);
    let other = prop::option::weighted(0.3, (one_of(NO_CONCEPTS), any::<prop::sample::Index>()));
    let shape = (layout(), kind, other);
    let cases = (thought(), answer_tag(), named(), shape, surroundings(), end());
    nearly_always(&cases, |(thought, (open, close), items, shape, around_it, end)| {
        let ((marker, decoration, between), kind, other) = shape;
        let (introduction, heading, farewell, is_windows) = around_it;
        let list = match (kind, other) {
            (Some(kind), _) => structured(&items, kind),
            // Among the concepts one thing that is none.
            (None, Some((other, place))) => {
                let mut all = items.clone();
                all.insert(place.index(items.len()) + 1, other.to_owned());
                lines(&all, marker, "{}", between)
            }
            (None, None) => lines(&items, marker, decoration, between),
        };
        let text = around([introduction, heading, &list, farewell], is_windows);
        let reply = format!("{thought}{open}{text}{close}{end}");
        let read = super::concepts(&Questions::default(), &reply.as_str().into());
        never_wrong(read, &items, &reply)
    });
}

#[test]
fn captions_never_belong_to_another_concept() {
    let scene = one_of(&["on a beach", "at dusk", "in the fog", "seen from above", "under a lamp"]);
    let extra = prop::option::weighted(0.2, one_of(&["A blank wall", "A calm lake, wide shot"]));
    let shape = (0..6_usize, any::<bool>(), extra, any::<prop::sample::Index>());
    let cases = (thought(), named(), scene, layout(), surroundings(), shape, end());
    nearly_always(&cases, |(thought, concepts, scene, layout, around_it, shape, end)| {
        let (kind, drops, extra, which) = shape;
        let (marker, decoration, between) = layout;
        let (introduction, _, farewell, is_windows) = around_it;
        let of = |concept: &String| format!("A photo of {concept} {scene}");
        // One concept may have no caption, and one caption no concept.
        let left_out = (drops && concepts.len() > 1).then(|| which.index(concepts.len()));
        let told: Vec<&String> =
            (0..concepts.len()).filter(|&n| Some(n) != left_out).map(|n| &concepts[n]).collect();
        let mut captions: Vec<String> = told.iter().map(|concept| of(concept)).collect();
        let pairs = told.iter().zip(&captions);
        let list = match kind {
            0 => {
                let fields = pairs.map(|(concept, caption)| format!("{concept:?}: {caption:?}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }
            1 => {
                let objects = pairs.map(|(concept, caption)| {
                    format!("{{\"concept\": {concept:?}, \"caption\": {caption:?}}}")
                });
                format!("[{}]", objects.collect::<Vec<_>>().join(", "))
            }
            2 => {
                let labelled: Vec<String> =
                    pairs.map(|(concept, caption)| format!("**{concept}**: {caption}")).collect();
                lines(&labelled, marker, "{}", between)
            }
            _ => {
                captions.extend(extra.map(str::to_owned));
                let quoted = if decoration.ends_with("{}") || decoration.len() < 8 {
                    decoration
                } else {
                    "{}"
                };
                lines(&captions, marker, quoted, between)
            }
        };
        let text = around([introduction, "", &list, farewell], is_windows);
        let reply = format!("{thought}{text}{end}");
        let right: Vec<Option<String>> =
            (0..concepts.len()).map(|n| (Some(n) != left_out).then(|| of(&concepts[n]))).collect();
        let read = super::captions(&Questions::default(), &reply.as_str().into(), &concepts);
        let Some(read) = read else { return Ok(false) };
        for (read, right) in read.iter().zip(&right) {
            let is_right = read.is_none() || read == right;
            // A concept that no caption was written for may get one that no concept claims.
            let is_spare = right.is_none() && read.as_deref() == extra;
            prop_assert!(is_right || is_spare, "{:?} was read as {:?}", reply, read);
        }
        Ok(read.iter().flatten().count() >= told.len())
    });
}

#[test]
fn an_order_is_never_another() {
    let order = (2..9_usize).prop_flat_map(|count| {
        Just((0..count).collect::<Vec<usize>>())
            .prop_shuffle()
            .prop_map(move |order| (count, order))
    });
    let form = one_of(&[
        "{}",
        "[{}]",
        "{\"answer\": [{}]}",
        "Answer: {}",
        "The order is {}.",
        "```\n{}\n```",
        "Images {}",
        "**{}**",
        "Here is the order: {}",
        "{}\n\nLet me know if you need more.",
    ]);
    let separator = one_of(&[", ", ",", " , ", ", ", ",  "]);
    let cases = (thought(), answer_tag(), order, form, separator, end());
    nearly_always(&cases, |(thought, (open, close), (count, order), form, separator, end)| {
        let numbers: Vec<String> = order.iter().map(ToString::to_string).collect();
        let said = form.replace("{}", &numbers.join(separator));
        let reply = format!("{thought}{open}{said}{close}{end}");
        let read = Some(indices(&reply, count)).filter(|read| !read.is_empty());
        never_wrong(read, &order, &reply)
    });
}

#[test]
fn what_stands_behind_a_thought_is_the_answer() {
    let answers = one_of(&[
        "Yes",
        "a sheep\na dog",
        "- a sheep\n- a dog",
        "2, 0, 1",
        "{\"answer\": \"no\"}",
        "x < y, y > x",
        "a <red> hat",
        "the mark `</think>` ends it",
        "\"<think>\" begins it",
        "A \"[SALE]\" sign",
        "```\ncode\n```",
        "是",
        "I ♥ NY",
    ]);
    let cases = (thought(), answer_tag(), answers, end());
    nearly_always(&cases, |(thought, (open, close), answer, end)| {
        let reply = format!("{thought}{open}{answer}{close}{end}");
        let read = thoughts::answer(&reply).map(|read| read.text.trim().to_owned());
        never_wrong(read, &answer.to_owned(), &reply)
    });
}

#[test]
fn an_answer_that_is_taken_back_is_not_read() {
    let concept = one_of(&["the quetzal", "a sheep", "dawn lighting", "an oil painting style"]);
    let back = (any::<bool>(), one_of(TAKE_BACK_YES), one_of(TAKE_BACK_NO));
    let cases = (thought(), one_of(OPENERS), one_of(JOINTS), back, concept, end());
    always(&cases, |(thought, opener, joint, (yes, back_yes, back_no), concept, end)| {
        let (word, back) = if yes { ("Yes", back_yes) } else { ("No", back_no) };
        let joint = match joint {
            ", but " | ". However, " | ", although " if !yes => ", ",
            joint => joint,
        };
        let said = back.replace("{}", concept);
        let reply = format!("{thought}{}{joint}{said}{end}", opener.replace('@', word));
        prop_assert_ne!(yes_or_no(&reply), Some(yes), "{}", reply);
        Ok(())
    });
}

#[test]
fn fields_of_other_questions_and_pleas_decide_nothing() {
    let value = one_of(&["true", "false", "\"yes\"", "\"No.\""]);
    let cases = (thought(), one_of(OTHER_FIELDS), value, 0..3_usize, one_of(PLEAS), end());
    always(&cases, |(thought, field, value, shape, plea, end)| {
        let said = match shape {
            0 => format!("{{\"{field}\": {value}}}"),
            1 => format!("```json\n{{\"result\": {{\"{field}\": {value}}}}}\n```"),
            _ => format!("<{field}>{}</{field}>", value.trim_matches('"')),
        };
        let reply = format!("{thought}{said}{end}");
        prop_assert_eq!(yes_or_no(&reply), None, "{}", reply);
        for before in ["", "Sure! ", "Yes, I can help with that. ", "No. "] {
            let reply = format!("{thought}{before}{plea}{end}");
            prop_assert_eq!(yes_or_no(&reply), None, "{}", reply);
            prop_assert!(list(&reply).is_empty(), "{}", reply);
            prop_assert_eq!(text(&reply), None, "{}", reply);
        }
        Ok(())
    });
}

/// Runs `check` on cases of `strategy`, of which none may fail.
fn always<S: Strategy>(strategy: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let default = ProptestConfig::default();
    let config = ProptestConfig { cases: default.cases.max(4_000), ..default };
    if let Err(error) = TestRunner::new(config).run(strategy, check) {
        panic!("{error}");
    }
}

#[test]
fn a_thought_that_was_cut_off_decides_nothing() {
    let opening =
        one_of(&["<think>", "<thinking>", "[THINK]", "◁think▷", "<|channel|>analysis<|message|>"]);
    let musings = prop::collection::vec(one_of(MUSINGS), 1..8);
    always(&(opening, musings), |(opening, musings)| {
        let reply = format!("{opening}{}", musings.join(" "));
        prop_assert_eq!(yes_or_no(&reply), None, "{}", reply);
        prop_assert!(list(&reply).is_empty(), "{}", reply);
        prop_assert!(indices(&reply, 9).is_empty(), "{}", reply);
        prop_assert_eq!(text(&reply), None, "{}", reply);
        Ok(())
    });
}

//! A reply to whether the model declines to answer (appendix D).

use super::folded;
use crate::vlm::Questions;

/// How replies begin that decline.
const BEGINNINGS: &str = "sorry|i'm sorry|i am sorry|my apologies|i apologize|i apologise|\
    unfortunately|i'm unable|i am unable|unable to|i can't|i cannot|i can not|i'm not able|\
    i am not able|i won't|i will not|as an ai|as a language model";

/// Who cannot.
const SUBJECTS: [&str; 8] =
    ["i ", "i'm ", "i am ", "we ", "we're ", "model ", "model is ", "assistant is "];

const INABILITIES: [&str; 8] = [
    "unable to ",
    "can't ",
    "cannot ",
    "can not ",
    "not able to ",
    "couldn't ",
    "could not ",
    "won't be able to ",
];

/// What nobody says who has looked.
const TASKS: &str = "respond|determine|answer|provide|assist|help|process|comply|analyze|analyse|\
    tell|fulfill|discuss|engage|create|generate|access|open";

/// What those say too who have looked and do not find the concept.
const SIGHT: &str = "identify|see|view|recognize|recognise|find|detect|make out";

/// Whether the model declines: "I'm unable to respond", "I can't help with that". What a listed
/// concept or somebody else cannot do is no refusal.
pub(super) fn is_refusal(questions: &Questions, answer: &str) -> bool {
    let declines = |task| starts_with_any(task, TASKS) || starts_with_any(task, SIGHT);
    begins_to_decline(questions, answer) || inabilities(&folded(answer)).any(declines)
}

/// Whether the answer begins as refusals do.
pub(super) fn begins_to_decline(questions: &Questions, answer: &str) -> bool {
    let answer = folded(answer);
    let answer = answer.trim_start_matches(|c: char| !c.is_alphanumeric());
    starts_with_any(answer, BEGINNINGS)
        || questions.refusals.iter().any(|phrase| answer.starts_with(&folded(phrase.trim())))
}

/// Whether a reply that begins with yes or no declines all the same: "No, I can't help with that",
/// "No. I cannot see images". That it cannot see the concept is an answer.
pub(super) fn declines_after_all(questions: &Questions, answer: &str) -> bool {
    let answer = folded(answer);
    let is_own = questions.refusals.iter().any(|phrase| answer.contains(&folded(phrase.trim())));
    is_own
        || inabilities(&answer).any(|task| {
            let sees = |word: &str| {
                let object = task.strip_prefix(word).map(str::trim_start);
                object.is_some_and(|object| {
                    let object = ["the ", "this ", "any ", "your ", "an "]
                        .iter()
                        .find_map(|article| object.strip_prefix(article))
                        .unwrap_or(object);
                    ["image", "picture", "photo"].iter().any(|what| object.starts_with(what))
                })
            };
            starts_with_any(task, TASKS) || SIGHT.split('|').any(sees)
        })
}

/// What follows each "I cannot" of `answer`, which is folded.
fn inabilities(answer: &str) -> impl Iterator<Item = &str> {
    INABILITIES.iter().flat_map(move |inability| {
        answer.match_indices(inability).filter_map(move |(at, _)| {
            let before = &answer[..at];
            let subject = SUBJECTS.iter().find(|subject| before.ends_with(*subject))?;
            let clause = &before[..before.len() - subject.len()];
            let is_word = !clause.ends_with(|c: char| c.is_alphanumeric() || c == '\'');
            // In quotation marks somebody else speaks.
            let is_quoted = clause.ends_with(['"', '“', '‘', '«', '\'']);
            (is_word && !is_quoted).then(|| &answer[at + inability.len()..])
        })
    })
}

fn starts_with_any(text: &str, words: &str) -> bool {
    words.split('|').any(|word| text.starts_with(word))
}

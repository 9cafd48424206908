//! A reply to whether the model declines to answer (appendix D).

use super::{folded, is_one_of};
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

/// What a model asks for that was shown none.
const IMAGES: &str = "image|images|picture|pictures|photo|photos|file|attachment";

/// What it asks for it to be done with.
const SENDING: &str = "share|upload|provide|attach|send|resend|reupload|paste|post|submit|supply|include|\
    link|re-upload";

/// What an image does that arrives.
const ARRIVING: &str = "provided|included|attached|uploaded|shared|sent|received|arrived|arrive|come|came|\
    load|loaded|upload|attach|given|here|available|submitted|supplied";

/// Whether the model declines: "I'm unable to respond", "I can't help with that". What a listed
/// concept or somebody else cannot do is no refusal.
pub(super) fn is_refusal(questions: &Questions, answer: &str) -> bool {
    let declines = |task| starts_with_any(task, TASKS) || starts_with_any(task, SIGHT);
    begins_to_decline(questions, answer)
        || asks_for_image(answer)
        || inabilities(&folded(answer)).any(declines)
}

/// `answer` without the notes below it: "(Note: I cannot see the image.)"
pub(super) fn without_notes(answer: &str) -> String {
    let is_note = |line: &str| {
        let line = folded(line.trim_start_matches(|c: char| !c.is_alphanumeric()));
        starts_with_any(&line, "note:|note that|notes:|please note|disclaimer")
    };
    let mut lines = answer.lines();
    let first = lines.next().into_iter();
    first.chain(lines.filter(|line| !is_note(line))).collect::<Vec<_>>().join("\n")
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
        || asks_for_image(&answer)
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

/// Whether the answer says that no image arrived, or asks for it.
fn asks_for_image(answer: &str) -> bool {
    let folded = folded(answer);
    let words: Vec<&str> = folded
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .collect();
    let names_image = |words: &[&str]| words.iter().any(|word| is_one_of(word, IMAGES));
    words.iter().enumerate().any(|(at, word)| {
        let (before, after) = (&words[at.saturating_sub(4)..at], &words[at + 1..]);
        let near = &after[..after.len().min(4)];
        let is_plea = is_one_of(word, SENDING)
            && before.iter().any(|word| is_one_of(word, "please|you|to|and"))
            && (names_image(near) || near.first() == Some(&"it"));
        // "No image was provided", "the image didn't come through"
        let is_missing = is_one_of(word, IMAGES) && {
            let denies = |words: &[&str]| {
                let is_denial =
                    |word: &&str| is_one_of(word, "no|not|never|without") || word.ends_with("n't");
                words.iter().any(is_denial)
            };
            let arrives = |words: &[&str]| words.iter().any(|word| is_one_of(word, ARRIVING));
            (denies(before) || denies(&near[..near.len().min(3)])) && arrives(near)
        };
        let is_unseen = is_one_of(word, "see|have|receive|received|find")
            && before.last().is_some_and(|word| word.ends_with("n't") || *word == "not")
            && before.iter().any(|word| is_one_of(word, "i|we"))
            && names_image(&near[..near.len().min(3)])
            && (near
                .first()
                .is_some_and(|word| is_one_of(word, "an|any|the|your|images|pictures")));
        is_plea || is_missing || is_unseen
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

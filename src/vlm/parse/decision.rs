//! The answer to a question for yes or no to what it means.

use super::answer_words::{LABELS, Told, Words};
use super::json::{self, Json};
use super::refusal::{begins_to_decline, declines_after_all};
use super::table::without_tags;
use super::{Answer, folded, is_one_of};
use crate::vlm::Questions;

/// Fields of JSON that hold a decision.
const FIELDS: &str = "answer|final_answer|decision|verdict|conclusion|result|response|match|matches|\
    is_match|matches_prompt|match_prompt|output|shows|present|yes_or_no";

/// What an image has that does not match. Who has none of them means yes, whatever was asked.
const FLAWS: &str = "difference|differences|issue|issues|problem|problems|discrepancy|discrepancies|\
    mismatch|mismatches|missing|lack|lacks|lacking|deviation|deviations|error|errors|flaw|flaws|\
    inconsistency|inconsistencies|doubt|exception|exceptions|except|wrong|incorrect|instead";

/// What denies a flaw.
const DENIALS: &str = "no|not|any|without|nothing|none|zero|never";

/// Those that contradict a yes.
const GRAVE_FLAWS: &str = "difference|differences|discrepancy|discrepancies|mismatch|mismatches|\
    missing|lacks|exception|exceptions|except|wrong|incorrect|instead";

/// How a mismatch is told in the negative.
const MISMATCHES: [&str; 8] = [
    "not match",
    "n't match",
    "not fully match",
    "not show",
    "n't show",
    "not depict",
    "n't depict",
    "no match",
];

/// How a match is told.
const MATCHES: [&str; 9] = [
    "everything matches",
    "everything is",
    "all concepts are",
    "all elements are",
    "it matches",
    "image matches",
    "matches perfectly",
    "perfectly matches",
    "matches the prompt",
];

/// A reply to `template` as yes or no; `None` where it says neither, declines, or cannot be told.
pub(super) fn decide(questions: &Questions, template: &str, answer: &Answer) -> Option<bool> {
    let words = Words::new(questions, template);
    let values = json::values(&answer.text);
    if !values.is_empty() {
        return unanimous(values.iter().map(|value| in_json(&words, value)));
    }
    let text = plain(&without_tags(&answer.text));
    let told = labelled(&words, &text).or_else(|| words.in_prose(&text, answer.cut_off))?;
    let fair = text.trim_start().strip_prefix("unfortunately").unwrap_or(&text);
    let is_opening = told.begins || !begins_to_decline(questions, fair);
    (is_opening && !declines_after_all(questions, &text)).then_some(())?;
    (!contradicts(&text, told.meaning)).then_some(told.meaning)
}

/// The answer on lines such as `Answer: No`; `None` where there is no such line or they disagree.
fn labelled(words: &Words, text: &str) -> Option<Told> {
    let told = text.lines().filter_map(|line| {
        let (label, rest) = line.split_once([':', '：'])?;
        let label = label.trim_matches(|c: char| !c.is_alphanumeric());
        is_one_of(label, LABELS).then_some(())?;
        words.at_the_start(rest)
    });
    // "Answer:" on a line of its own.
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    let mut below = Vec::new();
    while let Some(line) = lines.next() {
        let label = line.trim_matches(|c: char| !c.is_alphanumeric());
        if is_one_of(label, LABELS) {
            below.extend(lines.peek().and_then(|next| words.at_the_start(next)));
        }
    }
    let meaning = unanimous(told.chain(below).map(Some))?;
    Some(Told { meaning, begins: true })
}

/// What all of `answers` say; `None` where one says nothing or they disagree.
fn unanimous(mut answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let first = answers.next()??;
    answers.all(|other| other == Some(first)).then_some(first)
}

fn in_json(words: &Words, value: &Json) -> Option<bool> {
    match value {
        Json::Bool(value) => Some(*value),
        Json::Text(text) => words.at_the_start(&plain(text)),
        Json::List(list) => unanimous(list.iter().map(|value| in_json(words, value))),
        Json::Fields(fields) => {
            let is_named = |field: &&(String, Json)| is_one_of(&folded(&field.0), FIELDS);
            let named: Vec<_> = fields.iter().filter(is_named).collect();
            match (named.is_empty(), fields.as_slice()) {
                (true, [(_, only)]) => in_json(words, only),
                _ => unanimous(named.into_iter().map(|(_, value)| in_json(words, value))),
            }
        }
        Json::Number(_) | Json::Null => None,
    }
}

/// Whether the rest of an English answer says the opposite: "Yes, it does not match", "No, there are
/// no differences".
fn contradicts(text: &str, meaning: bool) -> bool {
    let (mut flawed, mut flawless) = (false, false);
    for clause in text.split(['.', ',', ';', ':', '!', '?', '\n', '—', '–', '(']) {
        let is_part = |c: char| c.is_alphanumeric() || c == '\'';
        let words: Vec<&str> = clause.split(|c| !is_part(c)).filter(|w| !w.is_empty()).collect();
        let denies = |word: &&str| is_one_of(word, DENIALS) || word.ends_with("n't");
        for (at, word) in words.iter().enumerate().filter(|(_, word)| is_one_of(word, FLAWS)) {
            match words[at.saturating_sub(4)..at].iter().any(denies) {
                true => flawless = true,
                false => flawed |= !meaning || is_one_of(word, GRAVE_FLAWS),
            }
        }
    }
    let told = |phrase: &&str| text.contains(phrase);
    let mismatched = MISMATCHES.iter().any(told);
    match meaning {
        true => mismatched || flawed,
        false => (flawless || MATCHES.iter().any(told)) && !flawed && !mismatched,
    }
}

/// `text` folded, without emphasis, code and TeX: `\boxed{\text{no}}` is `no`.
fn plain(text: &str) -> String {
    let text = folded(text);
    let text = ["\\boxed{", "\\text{", "\\textbf{", "\\mathrm{"]
        .iter()
        .fold(text, |text, command| text.replace(command, "\""));
    let text = text.replace('}', "\"");
    text.chars().filter(|c| !matches!(c, '*' | '_' | '#' | '`' | '$' | '>')).collect()
}

//! The answer to a question for yes or no to what it means.

use super::answer_words::{LABELS, Told, Words};
use super::contradiction::{is_for_the_opposite, names_a_flaw, takes_back};
use super::json::{self, Json};
use super::refusal::{begins_to_decline, declines_after_all};
use super::table::without_tags;
use super::{Answer, folded, is_one_of, phrases};
use crate::vlm::Questions;

/// What a field of JSON or a tag is called that holds the decision, without what is between its words.
/// What any other holds may be the answer to another question: `{"mismatch": true}`.
const FIELDS: &str = "answer|finalanswer|myanswer|youranswer|decision|finaldecision|verdict|finalverdict|\
    conclusion|result|finalresult|response|reply|match|matches|matched|ismatch|ismatching|doesmatch|\
    matchesprompt|matchprompt|matchestheprompt|promptmatch|promptmatches|imagematch|imagematches|\
    imagematchesprompt|imagematchestheprompt|doesimagematchprompt|overall|overallmatch|output|final|\
    shows|present|ispresent|yesorno|yesno|judgement|judgment";

/// A reply to `template` as yes or no; `None` where it says neither, declines, or cannot be told.
pub(super) fn decide(questions: &Questions, template: &str, answer: &Answer) -> Option<bool> {
    let words = Words::new(questions, template);
    answer.tags.iter().all(|tag| holds_decision(tag)).then_some(())?;
    let values = json::values(&answer.text);
    if values.is_empty() {
        return in_prose(questions, &words, &without_tags(&answer.text), answer.cut_off);
    }
    let meaning = unanimous(values.iter().map(|value| in_json(questions, &words, value)))?;
    // What is said behind it may take it back.
    let after = answer.text.rsplit_once(['}', ']']).map_or("", |(_, after)| after);
    let said = Told { meaning, begins: true, labelled: true, is_english: true, start: 0, end: 0 };
    let after = plain(after);
    (!takes_back(&after, said) && !declines_after_all(questions, &after)).then_some(meaning)
}

fn in_prose(questions: &Questions, words: &Words, text: &str, cut_off: bool) -> Option<bool> {
    let text = plain(text);
    let opening = text.trim().lines().next().and_then(|line| words.at_the_start(line));
    let told = match labelled(words, &text) {
        // "Yes … Final answer: no"
        Some(told) if opening.is_some_and(|opening| opening.meaning != told.meaning) => {
            return None;
        }
        Some(told) => told,
        None => words.in_prose(&text, cut_off)?,
    };
    let fair = text.trim_start().strip_prefix("unfortunately").unwrap_or(&text);
    let is_opening = told.begins || !begins_to_decline(questions, fair);
    (is_opening && !declines_after_all(questions, &text)).then_some(())?;
    (!takes_back(&text, told)).then_some(told.meaning)
}

/// The answer on lines such as `Answer: No`, or below a line `Answer:`; `None` where there is none or
/// they disagree.
fn labelled(words: &Words, text: &str) -> Option<Told> {
    let is_label =
        |text: &str| is_one_of(text.trim_matches(|c: char| !c.is_alphanumeric()), LABELS);
    let (mut found, mut from, mut is_below): (Vec<Told>, usize, bool) = (Vec::new(), 0, false);
    for line in text.split_inclusive('\n') {
        let end = from + line.len();
        from = end;
        let behind = match line.split_once([':', '：']) {
            Some((label, behind)) if is_label(label) => Some(behind),
            _ => Some(line).filter(|_| is_below),
        };
        if let Some((behind, told)) =
            behind.and_then(|text| Some((text, words.at_the_start(text)?)))
        {
            let start = end - behind.len();
            let (start, end) = (start + told.start, start + told.end);
            found.push(Told { labelled: true, start, end, ..told });
        }
        is_below = is_label(line) || (is_below && line.trim().is_empty());
    }
    unanimous(found.iter().map(|told| Some(told.meaning)))?;
    found.pop()
}

/// What all of `answers` say; `None` where one says nothing or they disagree.
fn unanimous(mut answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let first = answers.next()??;
    answers.all(|other| other == Some(first)).then_some(first)
}

fn in_json(questions: &Questions, words: &Words, value: &Json) -> Option<bool> {
    let read = |value| in_json(questions, words, value);
    match value {
        Json::Bool(value) => Some(*value),
        Json::Text(text) => {
            words.at_the_start(&plain(text))?;
            in_prose(questions, words, text, false)
        }
        Json::List(list) => unanimous(list.iter().map(read)),
        Json::Fields(fields) => {
            let answer = fields.iter().position(|(name, _)| holds_decision(name))?;
            let named = fields.iter().filter(|(name, _)| holds_decision(name));
            let meaning = unanimous(named.map(|(_, value)| read(value)))?;
            let is_refuted = fields.iter().enumerate().any(|(at, (name, value))| {
                !holds_decision(name) && refutes(name, value, meaning, at > answer)
            });
            (!is_refuted).then_some(meaning)
        }
        Json::Number(_) | Json::Null => None,
    }
}

/// Whether a field or tag of this name holds the decision.
fn holds_decision(name: &str) -> bool {
    is_one_of(&joined(name), FIELDS)
}

/// `name` without what is between its words: `final_answer` and `finalAnswer` are `finalanswer`.
fn joined(name: &str) -> String {
    folded(name).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Whether a field beside the decision says the opposite: what is missing after a yes, or that nothing
/// is after a no.
fn refutes(name: &str, value: &Json, meaning: bool, is_behind: bool) -> bool {
    let has_flaw = match value {
        Json::Text(text) if !names_a_flaw(&joined(name)) => {
            return is_for_the_opposite(&plain(text), meaning, is_behind);
        }
        _ if !names_a_flaw(&joined(name)) => return false,
        Json::Bool(value) => *value,
        Json::List(list) => !list.is_empty(),
        Json::Fields(fields) => !fields.is_empty(),
        Json::Text(text) => !phrases::is_nothing(text),
        Json::Number(number) => *number != 0.0,
        Json::Null => false,
    };
    has_flaw == meaning
}

/// `text` folded, without emphasis, code, TeX and what is struck out: `\boxed{\text{no}}` is `no`.
fn plain(text: &str) -> String {
    let kept: String = text.split("~~").step_by(2).collect();
    let text = folded(&kept);
    let text = ["\\boxed{", "\\text{", "\\textbf{", "\\mathrm{"]
        .iter()
        .fold(text, |text, command| text.replace(command, "\""));
    let text = text.replace('}', "\"");
    text.chars().filter(|c| !matches!(c, '*' | '_' | '#' | '`' | '$' | '>')).collect()
}

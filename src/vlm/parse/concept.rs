//! An item of a list of missing concepts to the concept that it names.

use super::items::Item;
use super::{folded, is_one_of, phrases, words};
use crate::vlm::Questions;

/// What an item of a list of missing concepts says.
pub(super) enum Named {
    Concept(String),
    /// That something is there, or nothing at all.
    Nothing,
    /// Something of which it cannot be told what is missing: then nothing of the list is read.
    Unclear,
}

/// What is said of a concept that is there.
const THERE: &str = "present|visible|shown|included|there|in the image|ok|okay|correct|match|matches|\
    matches the prompt|matches the image|same|the same|all present|both present|all match|matched|fine|\
    good|accurate|unchanged|consistent|as requested|as prompted|as expected|present in the image|\
    visible in the image|shown in the image|not missing|identical|found|depicted|all good|all there|\
    all correct|satisfied|perfect|as described|no change|appropriate|match the prompt";

/// What is said of one that is not.
const MISSING: &str = "missing|absent|not present|not visible|not shown|not depicted|not included|\
    not there|not in the image|not found|not seen|nowhere|lacking|omitted|left out|not here";

/// What explains that a concept is missing.
const OBSERVED: &str = "visible|present|shown|depicted|absent|missing|instead|lacks|lacking";

/// How an explanation begins.
const EXPLAIN: [&str; 12] = [
    "the image ",
    "this image ",
    "the picture ",
    "the prompt ",
    "there is no",
    "there are no",
    "not visible",
    "not present",
    "not shown",
    "not depicted",
    "missing",
    "absent",
];

/// What names no concept, but all of them.
const ALL: &str = "everything|all|all of it|all of them|all concepts|all the concepts|the whole prompt|\
    the entire prompt|both|both concepts|all elements|all of the concepts|every concept|\
    all of the above|the whole scene|the rest|all content|everything else";

/// What stands before the concept that is missing.
const PREFIXES: [&str; 10] = [
    "what is missing is ",
    "what's missing is ",
    "the lack of ",
    "lack of ",
    "lacks ",
    "lacking ",
    "the absence of ",
    "absence of ",
    "no sign of ",
    "missing ",
];

/// What "missing" is a part of: a missing person poster.
const MISSED: &str =
    "person|persons|people|child|tooth|teeth|poster|piece|pieces|limb|arm|leg|cat|dog";

/// How sentences begin that name no concept.
const BEGINNINGS: [&str; 9] = [
    "the missing concept",
    "there is ",
    "there are ",
    "it seems",
    "it appears",
    "none of ",
    "no concepts ",
    "no missing ",
    "nothing is ",
];

/// Sentences about the image that name no concept.
const SENTENCES: [&str; 8] = [
    "the image ",
    "the style ",
    "the draft ",
    "this image ",
    "the picture ",
    "the given image ",
    "the generated image ",
    "the prompt ",
];

/// What such sentences go on with.
const VERBS: &str = "is|does|doesn't|lacks|shows|has|contains|matches|appears|depicts|features|was|\
    already|should|asks|needs|seems|looks|requires|specifies|fully|accurately|only|did|also|includes";

/// What `item` says. Where `sentences` explain other items of the list, one explains this as well.
pub(super) fn named(questions: &Questions, item: &Item, sentences: bool) -> Named {
    let kind = item.kind.as_deref().unwrap_or_default();
    if phrases::is_aside(kind) || phrases::is_recap(kind) || is_there(&item.text) {
        return Named::Nothing;
    }
    let mut name = match &item.label {
        Some(label) if is_choice(&item.text) && !label.is_empty() => return Named::Unclear,
        Some(label) => label.as_str(),
        None => item.text.as_str(),
    };
    if phrases::says_nothing(questions, name) || phrases::is_category(name) {
        return Named::Nothing;
    }
    if item.label.is_none() {
        name = within_parentheses(name);
        if is_there(name) {
            return Named::Nothing;
        }
        name = match in_parts(name, sentences) {
            Part::Named(name) => name,
            Part::There => return Named::Nothing,
            Part::Unclear => return Named::Unclear,
        };
    }
    let name = without_stop(name);
    let name = match predicate(name) {
        Some((_, said)) if is_there(said) => return Named::Nothing,
        Some((subject, said)) if is_missing(said) && !is_sentence(name) => subject,
        Some((subject, said)) if asks_what_is_missing(subject) => match names_several(said) {
            true => return Named::Unclear,
            false => said,
        },
        _ => name,
    };
    let name = without_prefix(name);
    let name =
        [" missing", " absent"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    if names_all(name) || is_sentence(name) {
        return Named::Unclear;
    }
    match phrases::says_nothing(questions, name) || phrases::is_category(name) {
        true => Named::Nothing,
        false => Named::Concept(super::line::cleaned(name)),
    }
}

/// Whether a sentence behind a colon explains what `item` is.
pub(super) fn is_explained(item: &Item) -> bool {
    item.label.is_none() && item.text.split_once(": ").is_some_and(|(_, text)| explains(text))
}

/// The concept in a text that may explain it.
enum Part<'a> {
    Named(&'a str),
    There,
    Unclear,
}

fn in_parts(text: &str, sentences: bool) -> Part<'_> {
    // "noon lighting -> dawn lighting"
    for arrow in [" -> ", " → ", " => "] {
        if let Some((is, should_be)) = text.split_once(arrow) {
            return Part::Named(if explains(should_be) { is } else { should_be });
        }
    }
    for mark in [": ", " - ", " – ", " — "] {
        let Some((name, said)) = text.split_once(mark) else { continue };
        let is_sentence = || sentences && mark == ": " && said.ends_with('.');
        match said {
            _ if is_there(said) => return Part::There,
            _ if is_choice(said) => return Part::Unclear,
            _ if explains(said) || is_sentence() => return Part::Named(name),
            _ => break,
        }
    }
    let end = text.trim_end_matches('.').strip_suffix(')').and_then(|text| text.rsplit_once('('));
    match end {
        Some((name, said)) if !name.trim().is_empty() && is_there(said) => Part::There,
        Some((name, said)) if !name.trim().is_empty() && explains(said) => Part::Named(name.trim()),
        _ => Part::Named(text),
    }
}

fn within_parentheses(text: &str) -> &str {
    let inner =
        text.strip_prefix('(').and_then(|text| text.trim_end_matches('.').strip_suffix(')'));
    inner.filter(|inner| !inner.contains(['(', ')'])).unwrap_or(text)
}

fn explains(said: &str) -> bool {
    let folded = folded(said);
    EXPLAIN.iter().any(|beginning| folded.starts_with(beginning))
        || words(said).iter().any(|word| is_one_of(word, OBSERVED))
}

/// Whether `said` of a concept means that it is there, or of a style that it does not differ.
fn is_there(said: &str) -> bool {
    let said = folded(phrases::bare(said));
    let said = ["already ", "clearly ", "also ", "both ", "is ", "are ", "correctly "]
        .iter()
        .fold(said.as_str(), |said, word| said.strip_prefix(word).unwrap_or(said));
    let is_flawless = said.starts_with("no ")
        && words(said).last().is_some_and(|word| {
            is_one_of(
                word,
                "difference|differences|issue|issues|change|changes|problem|problems|\
                discrepancy|discrepancies|missing|mismatch|mismatches|needed",
            )
        });
    is_one_of(said, THERE) || is_flawless
}

fn is_missing(said: &str) -> bool {
    let said = folded(said);
    let said = ["completely ", "entirely ", "also "]
        .iter()
        .fold(said.as_str(), |said, word| said.strip_prefix(word).unwrap_or(said));
    MISSING.split('|').any(|missing| said.starts_with(missing))
}

/// Whether `said` of a concept is a yes or no to a question that is not known.
fn is_choice(said: &str) -> bool {
    is_one_of(&folded(phrases::bare(said)), "yes|no|true|false|y|n")
}

/// The subject of a sentence and what is said of it: "the dog" and "present".
fn predicate(text: &str) -> Option<(&str, &str)> {
    let denied = [" isn't ", " isn’t ", " aren't ", " aren’t ", " wasn't ", " wasn’t "];
    if let Some(parts) = denied.iter().find_map(|verb| text.split_once(verb)) {
        return is_there(parts.1).then_some((parts.0, "missing"));
    }
    let verbs = [" is ", " are ", " was ", " would be ", " has been "];
    let (subject, said) = verbs.iter().find_map(|verb| text.split_once(verb))?;
    let is_relative =
        words(subject).last().is_some_and(|word| is_one_of(word, "that|which|who|what"));
    (!is_relative).then_some((subject, said))
}

/// "The only missing concept", "what is missing"
fn asks_what_is_missing(subject: &str) -> bool {
    let words = words(subject);
    const AROUND: &str = "the|only|one|main|missing|absent|concept|element|object|thing|item|aspect|\
        subject|style|concepts|elements|things|that|in|from|image|this";
    words.iter().any(|word| is_one_of(word, "missing|absent"))
        && words.iter().all(|word| is_one_of(word, AROUND))
}

fn names_all(name: &str) -> bool {
    let name = folded(name);
    let beginnings = ["everything ", "the entire ", "the whole "];
    is_one_of(&name, ALL) || beginnings.iter().any(|words| name.starts_with(words))
}

fn names_several(text: &str) -> bool {
    text.contains(" and ") || text.contains(", ")
}

/// `text` without the full stop of a sentence; that of an abbreviation stays.
fn without_stop(text: &str) -> &str {
    let Some(text_before) = text.strip_suffix(['.', '。']) else { return text };
    let last = text_before.rsplit(' ').next().unwrap_or_default();
    let is_abbreviation = last.contains('.')
        || is_one_of(&folded(last), "jr|sr|st|dr|mr|mrs|ms|inc|ltd|co|etc|vs|no|bros")
        || last.chars().count() < 2;
    if is_abbreviation { text } else { text_before }
}

fn without_prefix(text: &str) -> &str {
    let found = PREFIXES.iter().find(|prefix| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    });
    let Some(prefix) = found else { return text };
    let rest = text[prefix.len()..].trim();
    let is_compound = words(rest).first().is_some_and(|word| is_one_of(word, MISSED));
    if rest.is_empty() || (*prefix == "missing " && is_compound) { text } else { rest }
}

fn is_sentence(name: &str) -> bool {
    let name = folded(name);
    if BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
        return true;
    }
    SENTENCES.iter().filter_map(|subject| name.strip_prefix(subject)).any(|rest| {
        let verb = rest.split(|c: char| !(c.is_alphanumeric() || c == '\'')).next();
        verb.is_some_and(|verb| is_one_of(verb, VERBS))
    })
}

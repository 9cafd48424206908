//! A sentence of a plan to whether it instructs to edit, says that the image is right, or neither.

use super::edit_words::{
    ADVERBS, ALL, AROUND, BETWEEN, DENIALS, DENIALS_WITHIN, ENGLISH, FINE, FINITE, FURTHER, KEEPS,
    NEEDS, PLAN, REASONS, RIGHT, SPEAKERS, STATES, STEPS, VERBS, WHOLE, WRONG,
};
use super::line::{cleaned, unquoted};
use super::{MAX_ITEM_CHARS, folded, is_one_of, phrases, words};
use crate::vlm::Questions;

/// What a sentence of a plan says.
#[derive(Debug)]
pub(super) enum Said {
    Edit(String),
    /// No edit is needed at all.
    Nothing,
    /// The image, or something in it, is right: this may stand beside edits.
    Right,
    /// Something about the image or the plan.
    Aside,
    /// Something about the image that may be wrong.
    Doubt,
    /// It may be an edit or not.
    Unclear,
}

/// What `text` says, one sentence after the other. Those that go on with an instruction belong to it.
/// What `is_item` is marked as one item of the plan, and may be in another language than English.
pub(super) fn said(questions: &Questions, text: &str, is_item: bool) -> Vec<Said> {
    let (text, is_item) = match without_step(text) {
        rest if rest.len() < text.len()
            && is_one_of(&folded(rest.trim_matches(['.', '*'])), "no") =>
        {
            return vec![Said::Nothing]; // "Edits needed: no"
        }
        rest if rest.len() < text.len() => (unquoted(rest), true),
        text => (text, is_item),
    };
    let mut all: Vec<Said> = Vec::new();
    let mut before = "";
    for sentence in sentences(text) {
        let one = sentence_says(questions, sentence, is_item);
        match (one, all.last_mut()) {
            // "Add a dog. It is brown."
            (Said::Aside | Said::Doubt | Said::Unclear, Some(Said::Edit(_)))
                if remarks(sentence) => {}
            (Said::Edit(_) | Said::Aside | Said::Doubt | Said::Unclear, Some(Said::Edit(edit)))
                if !explains(sentence) =>
            {
                *edit = format!("{edit} {sentence}");
            }
            (_, Some(Said::Edit(_))) if explains(sentence) => {}
            // "There is no dog. Add one."
            (Said::Edit(edit), Some(Said::Aside | Said::Doubt | Said::Unclear))
                if refers_back(&edit) && !explains(before) =>
            {
                all.pop();
                all.push(Said::Edit(format!("{before} {edit}")));
            }
            (Said::Edit(edit), Some(Said::Unclear | Said::Doubt)) => {
                all.pop();
                all.push(Said::Edit(edit));
            }
            (one, _) => all.push(one),
        }
        before = sentence;
    }
    for one in &mut all {
        if let Said::Edit(edit) = one {
            *edit = edit.chars().take(MAX_ITEM_CHARS).collect::<String>().trim().to_owned();
        }
    }
    all
}

/// The sentences of `text`. What stands in quotation marks is one.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let (mut all, mut from, mut is_quoted) = (Vec::new(), 0, false);
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            '“' => is_quoted = true,
            '”' => is_quoted = false,
            ' ' if !is_quoted && matches!(previous, '.' | '!' | '?') => {
                all.push(text[from..at].trim());
                from = at;
            }
            '。' | '！' | '？' if !is_quoted => {
                all.push(text[from..at + c.len_utf8()].trim());
                from = at + c.len_utf8();
            }
            _ => {}
        }
        previous = c;
    }
    all.push(text[from..].trim());
    all.retain(|one| one.contains(char::is_alphanumeric));
    all
}

/// Whether an instruction speaks of what stands before it.
pub(super) fn refers_back(text: &str) -> bool {
    words(text).iter().any(|word| is_one_of(word, "it|its|them|their|they|one|this|that"))
}

/// Whether a sentence gives the reason of an instruction: "Reason: it is blue", "This will match".
fn explains(sentence: &str) -> bool {
    let first = words(sentence).into_iter().next().unwrap_or_default();
    let is_labelled = label(sentence).is_some_and(|(label, _)| is_reason(label));
    is_labelled
        || is_one_of(&first, "this|these|because|since|currently|as")
        || phrases::addresses_reader(sentence)
}

/// Whether a sentence only says how things are: "The prompt asks for a dog".
fn remarks(sentence: &str) -> bool {
    const STARTS: [&str; 7] = [
        "the prompt",
        "the image",
        "the draft",
        "the current",
        "the original",
        "there is",
        "there are",
    ];
    STARTS.iter().any(|start| folded(sentence).starts_with(start))
}

fn sentence_says(questions: &Questions, text: &str, is_item: bool) -> Said {
    let all = words(text);
    let holds = |listed: &str| all.iter().any(|word| is_one_of(word, listed));
    let edit = || Said::Edit(text.trim().to_owned());
    let Questions { yes, no, none, .. } = questions;
    let plain = |text: &str| folded(text.trim_matches(|c: char| !c.is_alphanumeric()));
    let is = |text: &str, listed: &[String]| listed.iter().any(|one| plain(one) == plain(text));
    let folded_text = plain(text);
    if folded_text.is_empty() || is(text, yes) || is(text, no) || is_one_of(&folded_text, "yes|no")
    {
        return Said::Aside; // An answer to another question.
    }
    let clauses: Vec<&str> = clauses(text);
    let denies = |clause: &&str| {
        (phrases::is_nothing(clause) && !praises(clause)) || is(clause, none) || denies_all(clause)
    };
    if is_one_of(&folded_text, "end|done") {
        return Said::Right;
    }
    if clauses.iter().all(denies) || is_one_of(&folded_text, "0|zero") {
        // "No further edits are needed", below edits.
        return if holds(FURTHER) { Said::Right } else { Said::Nothing };
    }
    if phrases::addresses_reader(text) {
        return Said::Aside;
    }
    if instructs(text) {
        let is_plan = |word: &String| {
            is_one_of(word, STEPS) || is_one_of(word, AROUND) || is_one_of(word, PLAN)
        };
        let denied = denies_needs(text)
            && holds("is|are|isn't|aren't")
            && holds("needed|necessary|required");
        return match () {
            () if all.len() > 1 && all.iter().all(is_plan) && holds(STEPS) => Said::Aside,
            () if denied && !text.contains(['"', '“']) => Said::Right,
            () if all.len() == 1 => Said::Unclear,
            () if all.len() == 2 && all[1] == "nothing" => Said::Nothing,
            () => edit(),
        };
    }
    // "There is no dog, so add one."
    let parts = || text.split([',', ';']).flat_map(|part| part.split(" so "));
    if parts().skip(1).any(|part| words(part).len() > 1 && instructs(part)) {
        return match clauses.iter().any(|clause| denies_needs(clause)) {
            true => Said::Unclear,
            false => edit(),
        };
    }
    if let Some((label, rest)) = label(text) {
        let is_fine = words(rest).iter().all(|word| is_one_of(word, FINE));
        match () {
            () if is_reason(label) || phrases::is_recap(label) || phrases::is_aside(label) => {
                return Said::Aside;
            }
            () if is_fine && !rest.is_empty() => return Said::Right,
            () if denies_needs(rest)
                && !words(rest).iter().any(|word| is_one_of(word, "but|however")) =>
            {
                return Said::Right;
            }
            () if instructs(rest) && words(rest).len() > 1 && words(label).len() < 5 => {
                return if refers_back(rest) { edit() } else { Said::Edit(rest.to_owned()) };
            }
            () => {}
        }
    }
    if from_verb(text).first().is_some_and(|word| is_one_of(word, KEEPS)) {
        return match holds("only|just|more|less") || holds(VERBS) {
            true => edit(), // "Keep only one cat", "Keep the car and add a dog"
            false => Said::Right,
        };
    }
    let denied = clauses.iter().any(|clause| denies_needs(clause) || denies(clause));
    if denied || clauses.iter().any(|clause| praises(clause)) {
        let is_reserved = |clause: &&str| {
            let starts_no = words(clause).iter().all(|word| is_one_of(word, "yes|no"));
            !starts_no && !denies_needs(clause) && !denies(clause) && reserves(clause)
        };
        let is_turned = holds("but|however|except|although|though|unless|until");
        return match () {
            () if is_turned || clauses.iter().any(is_reserved) => Said::Doubt,
            () if clauses.iter().any(denies) && !holds(FURTHER) => Said::Nothing,
            () => Said::Right,
        };
    }
    let is_of_plan = all
        .first()
        .is_some_and(|word| is_one_of(word, "this|these|those|that|i|we|you|if|no|none|nothing"))
        || all.iter().take(2).any(|word| is_one_of(word, STEPS));
    let is_wish = wishes(text) && !is_of_plan && !holds("match|matches|sure");
    let is_told_missing = label(text).is_some() && holds("missing|lacks");
    let is_wordy = all.len() > 1 || !text.is_ascii();
    match () {
        () if text.trim_end().ends_with(['?', '？']) => Said::Unclear,
        () if is_wish || is_told_missing => edit(),
        () if denies_abroad(text) => Said::Unclear,
        () if is_item && all.first().is_some_and(|word| is_one_of(word, "a|an")) => Said::Unclear,
        () if is_item && is_wordy && !holds(ENGLISH) && !text.contains(['✓', '✔', '✅']) => {
            edit()
        }
        () if text.contains(['✓', '✔', '✅']) && !reserves(text) => Said::Right,
        () if reserves(text) => Said::Doubt,
        () if is_item && !holds(STATES) => Said::Unclear,
        () => Said::Aside,
    }
}

/// The label before a colon or a dash, and what follows.
pub(super) fn label(text: &str) -> Option<(&str, &str)> {
    let marks = [":", "：", " - ", " – ", " — ", " → ", " -> "];
    let (at, mark) = marks.iter().filter_map(|mark| Some((text.find(mark)?, mark))).min()?;
    let label = text[..at].trim_matches(|c: char| !c.is_alphanumeric());
    let is_short = !label.is_empty() && words(label).len() < 8 && !label.contains(['"', '“']);
    is_short.then(|| (label, text[at + mark.len()..].trim()))
}

/// Whether a label says that a reason or what is wrong follows.
pub(super) fn is_reason(label: &str) -> bool {
    words(label).first().is_some_and(|word| is_one_of(word, REASONS))
}

/// Whether `label` only says that an edit or the plan follows.
pub(super) fn is_step(label: &str) -> bool {
    let words = words(label);
    let is_number = |word: &str| word != "0" && word.chars().all(|c| c.is_ascii_digit());
    words.iter().any(|word| is_one_of(word, STEPS))
        && words
            .iter()
            .all(|word| is_number(word) || is_one_of(word, STEPS) || is_one_of(word, AROUND))
}

/// Whether the heading of a column says that it has the edits: "Suggested edit", "How to fix it".
pub(super) fn names_edits(heading: &str) -> bool {
    words(heading).iter().any(|word| is_one_of(word, STEPS))
}

/// `text` without `Step 2:` or `[Edit 1]` before it.
pub(super) fn without_step(text: &str) -> &str {
    let bracketed = text.strip_prefix(['[', '(']).and_then(|text| text.split_once([']', ')']));
    match bracketed.or_else(|| label(text)) {
        Some((label, rest)) if is_step(label) && !rest.trim().is_empty() => {
            rest.trim_start_matches([':', ' ', '*']).trim()
        }
        _ => text,
    }
}

/// Whether a sentence says how something should be.
pub(super) fn wishes(text: &str) -> bool {
    words(text).iter().any(|word| is_one_of(word, "should|must|needs"))
}

/// Whether there are edits, and each begins with the verb of an instruction.
pub(super) fn are_instructions(edits: &[String]) -> bool {
    let begins = |edit: &String| words(edit).first().is_some_and(|word| is_one_of(word, VERBS));
    !edits.is_empty() && edits.iter().all(begins)
}

/// Whether `text` begins with what to do, in English.
pub(super) fn instructs(text: &str) -> bool {
    let all = from_verb(text);
    let Some(verb) = all.first() else { return false };
    let is_first = words(text).first() == Some(verb);
    let is_finite = |at: usize| all.get(at).is_some_and(|word| is_one_of(word, FINITE));
    let is_joined = all.get(1).is_some_and(|next| next == "and");
    let is_noun = is_finite(1) || (is_joined && is_finite(3));
    let advises = || {
        let is_advice =
            |word: &String| is_one_of(word, "consider|try|suggest|recommend|propose|advise");
        words(text).iter().take_while(|word| *word != verb).any(is_advice)
    };
    if all.get(1).is_some_and(|next| is_one_of(next, "me|us")) {
        return false; // "Show me the image"
    }
    match verb.as_str() {
        "have" if !is_first => false, // "We have compared"
        verb if is_one_of(verb, VERBS) => !is_noun,
        verb => verb.strip_suffix("ing").is_some_and(|stem| {
            let undoubled =
                &stem[..stem.len() - stem.chars().next_back().map_or(0, char::len_utf8)];
            let is_verb = |stem: &str| is_one_of(stem, VERBS);
            advises() && (is_verb(stem) || is_verb(&format!("{stem}e")) || is_verb(undoubled))
        }),
    }
}

/// The words of `text` from where its verb should be: without "I would", "please", "slightly" and what
/// stands in parentheses before it.
fn from_verb(text: &str) -> Vec<String> {
    let text = cleaned(&folded(text));
    let plain = match text.strip_prefix('(').and_then(|text| text.split_once(')')) {
        Some((inner, rest)) if words(inner).len() < 3 => rest,
        _ => text.as_str(),
    };
    let plain = plain.trim_start_matches(|c: char| !c.is_alphanumeric());
    let speaker = SPEAKERS.iter().find(|speaker| plain.starts_with(&format!("{speaker} ")));
    let all = words(speaker.map_or(plain, |speaker| &plain[speaker.len()..]));
    let is_before = |word: &String| {
        let is_manner = word.ends_with("ly") && !is_one_of(word, "apply|only|multiply|fly");
        is_one_of(word, ADVERBS) || is_manner
    };
    all.into_iter().skip_while(is_before).collect()
}

fn clauses(text: &str) -> Vec<&str> {
    let ends =
        |c: char| matches!(c, ',' | ';' | '.' | '!' | '(' | ')' | ':' | '，' | '。' | '–' | '—');
    let parts =
        text.split(ends).flat_map(|part| part.split(" - ")).flat_map(|part| part.split(" so "));
    parts.filter(|clause| clause.contains(char::is_alphanumeric)).collect()
}

/// Whether a clause says that nothing at all is to be edited: "so no changes are needed".
pub(super) fn denies_all(clause: &str) -> bool {
    let is_general = |word: &String| {
        is_one_of(word, BETWEEN)
            || is_one_of(word, ALL)
            || is_one_of(word, NEEDS)
            || is_denial(word)
    };
    denies_needs(clause) && words(clause).iter().all(is_general)
}

fn is_denial(word: &str) -> bool {
    is_one_of(word, "no|none|nothing|not|zero|0|without|never|cannot") || word.ends_with("n't")
}

/// Whether a clause says that something, or nothing at all, is not to be edited: "No change to the dog".
fn denies_needs(clause: &str) -> bool {
    let words = words(clause);
    let is_turned =
        words.iter().any(|word| is_one_of(word, "but|except|until|unless|match|enough"));
    let denies = |at: usize| {
        let mut after = words[at + 1..]
            .iter()
            .skip_while(|word| is_one_of(word, BETWEEN) && !is_one_of(word, NEEDS));
        after.next().is_some_and(|word| is_one_of(word, NEEDS))
    };
    // "I don't edit people"
    let declines = words.first().is_some_and(|word| is_one_of(word, "i|we"))
        && !words.iter().any(|word| is_one_of(word, "would|wouldn't|need"))
        && words.iter().take(4).any(|word| is_one_of(word, "edit|modify|alter|change"));
    !is_turned && !declines && (0..words.len()).any(|at| is_denial(&words[at]) && denies(at))
}

/// Whether a clause says that the image is as it should be, without a reservation.
fn praises(clause: &str) -> bool {
    let words = words(clause);
    let holds = |listed: &str| words.iter().any(|word| is_one_of(word, listed));
    let is_left = || [" as is", " as it is"].iter().any(|end| folded(clause).trim().ends_with(end));
    let is_right = holds(RIGHT) || is_left() || words.last().is_some_and(|word| word == "there");
    let is_aim = words.first().is_some_and(|word| word == "to");
    let is_of_all = holds(WHOLE) || folded(clause).trim().starts_with("the prompt");
    is_right && is_of_all && !is_aim && !reserves(clause)
}

/// Whether a clause says that something is not as it should be, or may not be.
fn reserves(clause: &str) -> bool {
    words(clause).iter().any(|word| is_one_of(word, WRONG) || word.ends_with("n't"))
}

/// Whether `text` denies something in another language.
fn denies_abroad(text: &str) -> bool {
    words(text).iter().any(|word| is_one_of(word, DENIALS))
        || DENIALS_WITHIN.iter().any(|word| text.contains(word))
}

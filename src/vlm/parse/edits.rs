//! The answer to a question for edits of an image to the instructions in it.

use super::edit_fields::{any, in_json};
use super::items::{Item, items};
use super::json::{self, Json};
use super::{Answer, MAX_ITEM_CHARS, MAX_ITEMS, folded, is_one_of, phrases, words};
use crate::vlm::Questions;

/// How English instructions begin.
const VERBS: &str = "add|adjust|alter|apply|attach|blur|brighten|bring|change|close|color|colour|convert|\
    correct|cover|create|crop|darken|decrease|delete|depict|draw|dress|duplicate|eliminate|enlarge|\
    ensure|erase|exchange|expand|extend|fill|fix|flip|give|hang|have|hide|include|increase|insert|\
    integrate|introduce|let|lift|lower|make|mirror|modify|move|narrow|open|paint|place|position|put|\
    raise|rearrange|recolor|recolour|redraw|reduce|refine|relocate|remove|render|reorient|replace|\
    reposition|resize|restyle|rotate|scale|separate|set|sharpen|shift|show|shrink|straighten|substitute|\
    surround|swap|switch|take|tilt|tint|transform|turn|use|widen|write";

/// What may stand before the verb: "Next, please add".
const ADVERBS: &str = "please|then|first|firstly|second|secondly|third|next|finally|lastly|also|and|now|\
    after|that|you|should|could|must|need|to|we|again";

/// What an item is called that is one of a plan: "Step 2", "Edit", "Final plan".
const STEPS: &str = "step|steps|edit|edits|instruction|instructions|action|actions|change|changes|\
    correction|corrections|fix|fixes|modification|modifications|task|feedback|plan|adjustment|\
    adjustments|editing";

/// What may stand around those words.
const AROUND: &str = "the|a|final|first|second|third|fourth|fifth|next|last|needed|required|necessary|\
    suggested|proposed|recommended|following|list|of|are|is|here|to|make|number|single|image";

/// What words for "nothing" are about that say the image needs no edit: "No further changes".
const NEEDS: &str = "edit|edits|editing|change|changes|changed|correction|corrections|modification|\
    modifications|modified|adjustment|adjustments|alteration|alterations|feedback|fix|fixes|fixed|improvement|\
    improvements|mistakes|mistake|differences|difference|discrepancies|edited|instructions|steps|needed|\
    necessary|required";

/// What sentences begin with that are about the image and instruct nobody.
const ABOUT: [&str; 18] = [
    "there is",
    "there are",
    "the image",
    "this image",
    "the picture",
    "the prompt",
    "the draft",
    "the generated image",
    "the edits",
    "these edits",
    "these changes",
    "this will",
    "this would",
    "with these",
    "after these",
    "overall",
    "everything",
    "it ",
];

/// What they hold where the image is as it should be.
const RIGHT: &str = "match|matches|matched|matching|already|aligns|aligned|correct|correctly|accurate|\
    accurately|perfect|perfectly|faithful|faithfully|satisfies|complete|fine|good";

/// What they hold where it is not.
const WRONG: &str = "not|but|however|except|only|lacks|lacking|missing|needs|should|instead|no|mostly|almost|\
    partially|partly|would|will|once|to";

/// What an item of a plan says.
enum Said {
    Edit(String),
    /// No edit is needed.
    Nothing,
    /// The image is right, in a sentence that may stand beside edits.
    Right,
    /// Something about the plan.
    Aside,
}

/// The edits, in order and each once; `None` where there are none and it is not said that none is needed,
/// or where both is said.
pub(super) fn planned(questions: &Questions, answer: &Answer) -> Option<Vec<String>> {
    let values = json::values(&answer.text);
    let all = match values.is_empty() {
        true => in_prose(answer),
        false => {
            let all = in_json(&Json::List(values.clone()));
            let is_empty_list = |value: &Json| matches!(value, Json::List(list) if list.is_empty());
            let is_object = |value: &Json| matches!(value, Json::Fields(_));
            if all.is_empty() && values.iter().any(|one| any(one, &is_empty_list)) {
                return Some(Vec::new());
            }
            match all.is_empty() && !values.iter().any(|one| any(one, &is_object)) {
                true => in_prose(answer), // "[1] Add …"
                false => all,
            }
        }
    };
    let all = if let [only] = all.as_slice() { sentences(only) } else { all };
    let (mut edits, mut says_none, mut is_right): (Vec<String>, _, _) = (Vec::new(), false, false);
    for text in all {
        match said(questions, &text) {
            Said::Edit(edit) if edits.len() < MAX_ITEMS => {
                if !edits.iter().any(|known| words(known) == words(&edit)) {
                    edits.push(edit);
                }
            }
            Said::Nothing => says_none = true,
            Said::Right => is_right = true,
            Said::Edit(_) | Said::Aside => {}
        }
    }
    match edits.is_empty() {
        true => (says_none || is_right).then(Vec::new),
        false => (!says_none).then_some(edits),
    }
}

/// The sentences of an only item where each instructs to do something else.
fn sentences(text: &str) -> Vec<String> {
    let all: Vec<String> = text.split_inclusive(". ").map(|one| one.trim().to_owned()).collect();
    let stands_alone = |text: &String| {
        instructs(text) && !words(text).iter().any(|word| is_one_of(word, "it|its|them|their|they"))
    };
    if all.iter().all(stands_alone) { all } else { vec![text.to_owned()] }
}

/// The texts that may be instructions, without the labels before them.
pub(super) fn in_prose(answer: &Answer) -> Vec<String> {
    let text = below_heading(&answer.text).to_owned();
    let answer = Answer { text, cut_off: answer.cut_off, tags: Vec::new() };
    // A list is read without the lines around it, which may deny it.
    let denial = answer.text.lines().find(|line| denies_all(line)).map(str::to_owned);
    denial.into_iter().chain(items(&answer).iter().filter_map(instruction)).collect()
}

/// What stands below the last heading for edits, such as `**Edit plan:**`; all of `text` where there is
/// none.
fn below_heading(text: &str) -> &str {
    let (mut below, mut from) = (text, 0);
    for line in text.split_inclusive('\n') {
        from += line.len();
        // A numbered one heads a single edit.
        let is_plain = !line.contains(|c: char| c.is_ascii_digit());
        if is_plain && is_step(line) && !text[from..].trim().is_empty() {
            below = &text[from..];
        }
    }
    below
}

/// Whether `label` only says that an edit or the plan follows.
pub(super) fn is_step(label: &str) -> bool {
    let words = words(label);
    let is_number = |word: &str| word.chars().all(|c| c.is_ascii_digit());
    words.iter().any(|word| is_one_of(word, STEPS))
        && words
            .iter()
            .all(|word| is_number(word) || is_one_of(word, STEPS) || is_one_of(word, AROUND))
}

/// What an item instructs to do, `None` where its label says that it is something else.
pub(super) fn instruction(item: &Item) -> Option<String> {
    let (text, below) = (item.text.as_str(), item.description.as_deref());
    if item.kind.as_deref().is_some_and(|kind| phrases::is_aside(kind) || phrases::is_recap(kind)) {
        return None;
    }
    let text = match &item.label {
        None if is_step(text) || (!instructs(text) && below.is_some_and(instructs)) => {
            below.unwrap_or(text).to_owned()
        }
        None => text.to_owned(),
        Some(label) if phrases::is_nothing(text) && !is_step(label) => return None,
        Some(_) if instructs(text) => text.to_owned(),
        Some(label) if instructs(label) && words(label).len() == 1 => format!("{label} {text}"),
        Some(label) if is_step(label) => text.to_owned(),
        Some(label) if instructs(label) => label.clone(),
        Some(label) if phrases::is_aside(label) || phrases::is_recap(label) => return None,
        Some(label) => format!("{label}: {text}"),
    };
    Some(without_step(&text).to_owned())
}

/// `text` without `Step 2:` or `[Edit 1]` before it.
fn without_step(text: &str) -> &str {
    let bracketed = text.strip_prefix(['[', '(']).and_then(|text| text.split_once([']', ')']));
    let labelled = bracketed.or_else(|| text.split_once([':', '：']));
    match labelled {
        Some((label, rest)) if is_step(label) && !rest.trim().is_empty() => {
            rest.trim_start_matches([':', ' ']).trim()
        }
        _ => text,
    }
}

/// Whether there are edits, and each begins with the verb of an instruction.
pub(super) fn are_instructions(edits: &[String]) -> bool {
    let begins = |edit: &String| words(edit).first().is_some_and(|word| is_one_of(word, VERBS));
    !edits.is_empty() && edits.iter().all(begins)
}

/// Whether `text` begins with what to do.
pub(super) fn instructs(text: &str) -> bool {
    let words = words(text);
    words.iter().find(|word| !is_one_of(word, ADVERBS)).is_some_and(|word| is_one_of(word, VERBS))
}

fn said(questions: &Questions, text: &str) -> Said {
    let words = words(text);
    let Questions { yes, no, none, .. } = questions;
    let plain = folded(text.trim_matches(|c: char| !c.is_alphanumeric()));
    let is = |listed: &[String]| listed.iter().any(|word| folded(word.trim()) == plain);
    if plain.is_empty() || is(yes) || is(no) || is_one_of(&plain, "yes|no") {
        return Said::Aside; // An answer to another question.
    }
    let clauses: Vec<&str> =
        plain.split([',', ';', '.', '!']).filter(|clause| !clause.trim().is_empty()).collect();
    if phrases::is_nothing(text) || is(none) || clauses.iter().all(|clause| denies_all(clause)) {
        return Said::Nothing;
    }
    let is_about = ABOUT.iter().any(|start| format!("{plain} ").starts_with(start));
    if is_about || clauses.first().is_some_and(|clause| denies_needs(clause)) {
        let instructs = words.iter().any(|word| is_one_of(word, "should|must|needs"));
        return match clauses.iter().all(|clause| denies_needs(clause) || praises(clause)) {
            true => Said::Right,
            // "The image should be an oil painting."
            false if instructs => Said::Edit(text.trim().to_owned()),
            false => Said::Aside,
        };
    }
    let edit: String = text.chars().take(MAX_ITEM_CHARS).collect();
    Said::Edit(edit.trim().to_owned())
}

/// Whether a clause says that nothing at all is to be edited: "so no changes are needed".
fn denies_all(clause: &str) -> bool {
    const ANY: &str = "so|and|therefore|thus|there|there's|is|are|be|to|no|none|nothing|further|more|other|\
        additional|any|at|all|in|for|the|this|image|prompt|it|as|here|were|was|have|has|of|single";
    denies_needs(clause)
        && words(clause).iter().all(|word| is_one_of(word, ANY) || is_one_of(word, NEEDS))
}

/// Whether a clause says that something, or nothing at all, is not to be edited: "No change to the dog".
fn denies_needs(clause: &str) -> bool {
    let words = words(clause);
    let mut said = words
        .iter()
        .skip_while(|word| is_one_of(word, "so|and|therefore|thus|there|there's|is|are"));
    let denies = said.next().is_some_and(|word| is_one_of(word, "no|none|nothing"));
    let rest: Vec<&String> = said.collect();
    let holds = |listed: &str| rest.iter().any(|word| is_one_of(word, listed));
    denies && holds(NEEDS) && !holds("but|except|until|unless")
}

/// Whether a clause says that the image is as it should be, without a reservation.
fn praises(clause: &str) -> bool {
    let words = words(clause);
    let holds = |listed: &str| words.iter().any(|word| is_one_of(word, listed));
    holds(RIGHT) && !holds(WRONG) && !words.iter().any(|word| word.ends_with("n't"))
}

//! The answer to a question for edits of an image to the instructions in it.

use super::edit_fields::{in_json, in_table, says_none};
use super::edit_lines::in_lines;
use super::instruction::{Said, denies_all, instructs, names_edits, refers_back, said, sentences};
use super::json::{self, Json};
use super::table::{Table, lined_up, table, without_tags};
use super::{Answer, MAX_ITEMS, words};
use crate::vlm::Questions;

/// A text that may be an instruction.
#[derive(Debug)]
pub(super) struct Told {
    pub text: String,
    /// Whether it is marked as one item of the plan.
    pub is_item: bool,
}

impl Told {
    pub(super) fn item(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_item: true }
    }
}

/// The edits, in order and each once; `None` where there are none and it is not said that none is needed,
/// where both is said, or where it cannot be told of an item whether it is an edit.
pub(super) fn planned(questions: &Questions, answer: &Answer) -> Option<Vec<String>> {
    let values = json::values(&answer.text);
    let all = in_json(questions, &Json::List(values.clone()));
    if all.is_empty() && values.iter().any(says_none) {
        return Some(Vec::new());
    }
    // "[1] Add …" is no JSON.
    let is_json = !all.is_empty() || values.iter().any(Json::has_fields);
    let all = if is_json { all } else { in_prose(questions, answer)? };
    let all = if let [only] = all.as_slice() { apart(only) } else { all };
    let (mut edits, mut is_right): (Vec<String>, bool) = (Vec::new(), false);
    let (mut says_none, mut doubts, mut is_unclear) = (false, false, false);
    for one in all.iter().flat_map(|told| said(questions, &told.text, told.is_item)) {
        match one {
            Said::Edit(edit) if edits.len() < MAX_ITEMS => {
                if !edits.iter().any(|known| words(known) == words(&edit)) {
                    edits.push(edit);
                }
            }
            Said::Nothing => says_none = true,
            Said::Right => is_right = true,
            Said::Doubt => doubts = true,
            Said::Unclear => is_unclear = true,
            Said::Edit(_) | Said::Aside => {}
        }
    }
    match edits.is_empty() {
        _ if is_unclear => None,
        true => ((says_none || is_right) && !doubts).then_some(edits),
        false => (!says_none).then_some(edits),
    }
}

/// The sentences of an only text where each instructs to do something else, or says that no more is to do.
fn apart(told: &Told) -> Vec<Told> {
    let sentences = sentences(&told.text);
    let stands_alone = |one: &&str| (instructs(one) && !refers_back(one)) || denies_all(one);
    let are_apart = sentences.iter().all(stands_alone);
    let one = |text: &str| Told { text: text.to_owned(), is_item: told.is_item };
    if are_apart { sentences.into_iter().map(one).collect() } else { vec![one(&told.text)] }
}

/// The texts that may be instructions: those in a table and in the lines around it. `None` where a table
/// does not say which of its columns has them.
pub(super) fn in_prose(questions: &Questions, answer: &Answer) -> Option<Vec<Told>> {
    let text = without_tags(&answer.text).replace("\\item", "- ");
    let text = if text.contains('\n') { text } else { text.replace("\\n", "\n") };
    let is_headed =
        |table: &Table| !table.header.iter().any(|cell| instructs(cell) && !names_edits(cell));
    let Some(mut table) = table(&text).or_else(|| lined_up(&text).filter(is_headed)) else {
        return Some(in_lines(questions, &text, answer.cut_off && !answer.text.ends_with('\n')));
    };
    if answer.cut_off && !text.trim_end().ends_with('|') {
        table.rows.pop();
    }
    let Table { header, rows } = &table;
    let around: Vec<&str> = text.lines().filter(|line| !line.contains('|')).collect();
    let around = in_lines(questions, &around.join("\n"), false);
    match in_table(header, rows) {
        Some(all) => Some(all.into_iter().chain(around).collect()),
        None => Some(around).filter(|around| !around.is_empty()),
    }
}

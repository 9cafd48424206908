//! An answer to the items of the list in it, whatever it is laid out as.

use super::json::{self, Json};
use super::line::{self, cleaned, labelled};
use super::table::{Table, table, without_tags};
use super::{Answer, folded, is_one_of, outline, phrases};

/// Fields of an object that hold what an item is called.
const LABEL_FIELDS: &str = "concept|name|label|title|item|missing_concept|object|element|subject|key|\
    missing";

/// Fields of an object that hold the words of an item.
const TEXT_FIELDS: &str = "caption|image_caption|text|value|query|prompt|search_query|retrieval_caption|\
    description|captions|answer";

/// Fields around a list.
const LIST_FIELDS: &str = "missing_concepts|concepts|captions|image_captions|items|list|answer|result|\
    results|output|response|data|missing|elements|missing_elements|final_answer|queries|\
    missing concepts|image captions";

/// What says of an item that the image has it, or that it does not.
const THERE: &str = "present|is present|in image|in the image|shown|visible|included|found|there|match|\
    matches|matched|present in image|present in the image|in draft|depicted";
const ABSENT: &str = "missing|is missing|absent|lacking|missing from image|missing from the image";

const YES: &str = "yes|true|y|✓|✔|✅|present|matches";
const NO: &str = "no|false|n|✗|✘|❌|none";

/// One item of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Item {
    /// What stands before a colon in bold, in a field of its own, or in the first column.
    pub label: Option<String>,
    /// A label that only sorts the item: "Style", "Concept 2", "Present".
    pub kind: Option<String>,
    /// The words themselves, or those behind the label.
    pub text: String,
    /// What stands below.
    pub description: Option<String>,
}

impl Item {
    fn new(text: &str) -> Self {
        Self { text: cleaned(text), ..Self::default() }
    }

    fn with_label(label: &str, text: &str) -> Self {
        let text = cleaned(text);
        Self { label: Some(cleaned(label)), text, ..Self::default() }
    }

    /// A line without its marker.
    pub(super) fn read(line: &str) -> Self {
        // "Caption 2: a sheep", and the same in bold; "[style] oil painting".
        let plain = line.split_once([':', '：']).map(|(label, text)| (label.trim(), text.trim()));
        let bracketed = line
            .strip_prefix(['[', '('])
            .and_then(|line| line.split_once([']', ')']))
            .map(|(label, text)| (label.trim(), text.trim()))
            .filter(|(_, text)| !text.is_empty());
        let sorts = |label: &&(&str, &str)| is_kind(label.0);
        let split = labelled(line).or(plain.as_ref().filter(sorts).copied());
        match split.or(bracketed.as_ref().filter(sorts).copied()) {
            Some((label, "")) => Self::new(label),
            Some((label, text)) if is_kind(label) => {
                let item = match labelled(text) {
                    Some((label, text)) if !text.is_empty() => Self::with_label(label, text),
                    _ => Self::new(text),
                };
                Self { kind: Some(label.to_owned()), ..item }
            }
            Some((label, text)) => Self::with_label(label, text),
            None => Self::new(line),
        }
    }
}

/// Whether a label only says what sort of item stands behind it.
fn is_kind(label: &str) -> bool {
    phrases::is_numbered_label(label)
        || phrases::is_category(label)
        || phrases::is_aside(label)
        || phrases::is_recap(label)
}

/// The items of `answer`, none where it has none or cannot be told. The last one of an answer that
/// was cut off is left out.
pub(super) fn items(answer: &Answer) -> Vec<Item> {
    let values = json::values(&answer.text);
    match in_json(&Json::List(values.clone())) {
        Some(items) if !values.is_empty() => return items,
        None if values.iter().any(Json::has_fields) => return Vec::new(), // It cannot be told.
        _ => {}
    }
    let tagged = without_tags(&answer.text);
    let (mut items, is_last_whole) = match table(&tagged) {
        Some(table) => (in_table(&table), answer.text.trim_end().ends_with('|')),
        // Line breaks that were escaped.
        None if tagged.contains("\\n") => {
            (outline::items(&line::unquoted(&tagged).replace("\\n", "\n")), false)
        }
        None => (outline::items(&tagged), answer.text.ends_with('\n')),
    };
    if answer.cut_off && !is_last_whole {
        items.pop();
    }
    items
}

/// `None` where `value` is no list of items.
fn in_json(value: &Json) -> Option<Vec<Item>> {
    match value {
        // A line break that was escaped twice.
        Json::Text(text) if text.contains("\\n") => in_json(&Json::Text(text.replace("\\n", "\n"))),
        Json::Text(text) if text.trim().contains('\n') => Some(outline::items(text)),
        Json::Text(text) => Some(vec![Item::read(&one_line(text))]),
        Json::List(list) => {
            let all: Option<Vec<_>> = list.iter().map(in_json).collect();
            Some(all?.concat())
        }
        Json::Fields(fields) => in_fields(fields),
        Json::Null => Some(Vec::new()),
        Json::Bool(_) | Json::Number(_) => None,
    }
}

/// A text of JSON without its marker and line breaks.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = line::lines(text).iter().map(|line| line.text).collect();
    lines.join(" ")
}

fn in_fields(fields: &[(String, Json)]) -> Option<Vec<Item>> {
    let field = |names: &str| {
        fields.iter().find(|(name, _)| is_one_of(&folded(name), names)).map(|(_, value)| value)
    };
    if let Some(list) = field(LIST_FIELDS).filter(|value| !matches!(value, Json::Text(_))) {
        return in_json(list);
    }
    if fields.iter().any(|(name, value)| is_told_there(name, value)) {
        return Some(Vec::new());
    }
    if let Some(label) = field(LABEL_FIELDS).and_then(Json::text) {
        let text = field(TEXT_FIELDS).and_then(Json::text).unwrap_or_default();
        return Some(vec![match text.is_empty() {
            true => Item::new(label),
            false => Item::with_label(label, text),
        }]);
    }
    if let Some(text) = field(TEXT_FIELDS).filter(|value| value.text().is_some()) {
        return in_json(text);
    }
    let is_aside = |name: &str| phrases::is_aside(&name.replace('_', " "));
    let told = fields.iter().filter(|(name, _)| !is_aside(name));
    let all: Option<Vec<Vec<Item>>> = told
        .map(|(name, value)| {
            let name = name.replace('_', " ");
            let is_generic = phrases::is_category(&name)
                || phrases::is_numbered_label(&name)
                || name.chars().all(|c| c.is_ascii_digit());
            match value {
                Json::Text(text) if !is_generic => Some(vec![Item::with_label(&name, text)]),
                Json::List(_) | Json::Fields(_) | Json::Text(_) => in_json(value),
                Json::Null | Json::Bool(_) | Json::Number(_) => None,
            }
        })
        .collect();
    Some(all?.concat())
}

/// Whether a field of an item says that the image has it: `"present": true`, `"missing": "no"`.
fn is_told_there(name: &str, value: &Json) -> bool {
    let said = match value {
        Json::Bool(value) => *value,
        Json::Text(text) if is_one_of(&folded(text), YES) => true,
        Json::Text(text) if is_one_of(&folded(text), NO) => false,
        _ => return false,
    };
    let name = folded(name).replace('_', " ");
    if said { is_one_of(&name, THERE) } else { is_one_of(&name, ABSENT) }
}

/// The rows of a table, without those of what the image has. A column of captions is the text; of the others the first one that is no
/// number is what the item is called.
fn in_table(table: &Table) -> Vec<Item> {
    let names: Vec<String> = table.header.iter().map(|cell| folded(cell)).collect();
    let captions = names.iter().position(|name| name.contains("caption"));
    let is_number = |cell: &String| cell.chars().all(|c| !c.is_alphabetic());
    let row = |row: &Vec<String>| {
        let is_caption = |column: usize| Some(column) == captions;
        let mut columns = (0..row.len()).filter(|&column| !is_number(&row[column]));
        let label = columns.find(|&column| !is_caption(column)).map(|column| row[column].as_str());
        let text = captions.and_then(|column| row.get(column)).map(String::as_str);
        match (label, text) {
            (Some(label), Some(text)) => Some(Item::with_label(label, text)),
            (label, text) => Some(Item::new(label.or(text)?)),
        }
    };
    let is_there = |row: &&Vec<String>| {
        names.iter().zip(*row).any(|(name, cell)| {
            let name = phrases::bare(name).to_owned();
            let cell = folded(cell);
            let is_status = is_one_of(&name, "status|result");
            (is_one_of(&name, THERE) && is_one_of(&cell, YES))
                || (is_one_of(&name, ABSENT) && is_one_of(&cell, NO))
                || (is_status && is_one_of(&cell, "present|matches|match|ok"))
        })
    };
    table.rows.iter().filter(|row| !is_there(row)).filter_map(row).collect()
}

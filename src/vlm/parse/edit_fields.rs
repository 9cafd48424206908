//! Edits that are planned in JSON or in a table to the texts that may be instructions.

use super::edit_lines::instruction;
use super::edits::{Told, in_prose};
use super::instruction::{denies_all, instructs, is_reason, is_step, names_edits, refers_back};
use super::items::Item;
use super::json::{self, Json};
use super::{Answer, folded, is_one_of, phrases, words};
use crate::vlm::Questions;

/// Fields of an object that hold a whole instruction.
const TEXT_FIELDS: &str = "edit|instruction|edit_instruction|edit_prompt|prompt|text|description|command|\
    feedback|action|step|content";

/// Fields around a list.
const LIST_FIELDS: &str = "edits|edit_plan|plan|steps|instructions|edit_instructions|actions|changes|\
    feedback|corrections|modifications|answer|result|output|response|items|list|final_answer|\
    arguments|parameters|input|args|function|tool_calls|tool_call|calls|function_call";

/// Fields that explain an instruction, or sort it.
const ASIDE_FIELDS: &str = "id|index|number|order|reason|reasoning|why|explanation|rationale|issue|problem|\
    mistake|observation|observations|analysis|priority|type|category|confidence|thought|thoughts|current|\
    caption|summary|match|matches";

/// The texts in `value` that may be instructions.
pub(super) fn in_json(questions: &Questions, value: &Json) -> Vec<Told> {
    match value {
        // The arguments of a call to a tool.
        Json::Text(text)
            if text.trim().starts_with(['{', '[']) && !json::values(text).is_empty() =>
        {
            in_json(questions, &Json::List(json::values(text)))
        }
        Json::Text(text) if text.trim().contains('\n') => {
            let answer = Answer { text: text.clone(), cut_off: false, tags: Vec::new() };
            in_prose(questions, &answer).unwrap_or_default()
        }
        Json::Text(text) => {
            instruction(&Item::read(text.trim())).map(Told::item).into_iter().collect()
        }
        Json::List(list) => list.iter().flat_map(|one| in_json(questions, one)).collect(),
        Json::Fields(fields) => in_fields(questions, fields),
        Json::Bool(_) | Json::Number(_) | Json::Null => Vec::new(),
    }
}

fn in_fields(questions: &Questions, fields: &[(String, Json)]) -> Vec<Told> {
    let is_list = |value: &Json| matches!(value, Json::List(_) | Json::Fields(_));
    let is_encoded = |value: &Json| value.text().is_some_and(|text| text.trim().starts_with('{'));
    let named = |names: &str| {
        let names = names.to_owned();
        fields.iter().filter(move |(name, _)| is_one_of(&folded(name), &names))
    };
    if let Some((_, list)) =
        named(LIST_FIELDS).find(|(_, value)| is_list(value) || is_encoded(value))
    {
        let inner = in_json(questions, list);
        // {"name": "add_object", "arguments": {"object": "a dog"}}
        let call = named("name|tool").find_map(|(_, value)| value.text());
        let verb = call.and_then(|call| call.split(['_', '-', ' ']).next());
        return match (verb, list) {
            (Some(verb), Json::Fields(fields)) if inner.is_empty() => {
                let parts: Vec<&str> =
                    fields.iter().filter_map(|(_, value)| value.text()).collect();
                let whole = format!("{verb} {}", parts.join(" "));
                if instructs(&whole) { vec![Told::item(whole)] } else { Vec::new() }
            }
            _ => inner,
        };
    }
    // One instruction in a field of its own.
    let texts =
        || named(TEXT_FIELDS).chain(named(LIST_FIELDS)).filter_map(|(_, value)| value.text());
    let is_beside = |name: &str| is_one_of(&folded(name), ASIDE_FIELDS) || is_reason(name);
    let is_denied_field = |(name, value): &(String, Json)| {
        let names_edit = is_one_of(&folded(name), TEXT_FIELDS) || is_step(&name.replace('_', " "));
        names_edit && (*value == Json::Null || value.text().is_some_and(is_denied))
    };
    if let Some(text) = texts().find(|text| words(text).len() > 1 && !is_denied(text)) {
        return in_json(questions, &Json::Text(text.to_owned()));
    }
    if fields.len() > 1
        && fields.iter().any(is_denied_field)
        && !fields.iter().any(|(_, value)| value.text().is_some_and(instructs))
    {
        return vec![of_one_thing("none")];
    }
    let told: Vec<&(String, Json)> = fields.iter().filter(|(name, _)| !is_beside(name)).collect();
    let name = |name: &str| name.replace('_', " ");
    let is_thing = |key: &str| {
        let is_field = is_one_of(key, TEXT_FIELDS) || is_one_of(key, LIST_FIELDS);
        key.contains(char::is_alphabetic) && !is_step(key) && !instructs(key) && !is_field
    };
    // {"object": "car", "change": "Make the car red"}
    let instructs_whole =
        |value: &Json| value.text().is_some_and(|text| words(text).len() > 1 && instructs(text));
    let is_other = |(key, value): &(String, Json)| {
        let is_text = value.text().is_some_and(|text| !instructs(text) && !is_denied(text));
        is_thing(&name(key)) && is_text
    };
    if told.iter().any(|(_, value)| instructs_whole(value)) && told.iter().copied().any(is_other) {
        let whole = told.iter().filter(|(_, value)| instructs_whole(value));
        return whole.flat_map(|(_, value)| in_json(questions, value)).collect();
    }
    // {"step_1": "Add …", "step_2": …}, {"add": ["a hat", …], "Make the car red": "It is blue."}
    let are_edits = told.iter().all(|(key, value)| {
        let key = name(key);
        is_step(&key)
            || instructs(&key)
            || words(&key).concat().parse::<u32>().is_ok()
            || is_list(value)
            || value.text().is_some_and(|text| instructs(text) || is_denied(text))
    });
    if are_edits && !told.iter().any(|(key, _)| is_one_of(&folded(key), TEXT_FIELDS))
        || told.len() == 1
    {
        let one = |(key, value): &&(String, Json)| match name(key) {
            key if instructs(&key) && words(&key).len() > 1 => vec![Told::item(key)],
            key => in_json(questions, value)
                .into_iter()
                .map(|told| match instructs(&key) && !instructs(&told.text) {
                    true if is_denied(&told.text) => of_one_thing(&told.text),
                    true => Told::item(format!("{key} {}", told.text)),
                    false if fields.len() > 1 && is_denied(&told.text) => of_one_thing(&told.text),
                    // {"car": "Make it red"}
                    false if refers_back(&told.text) && is_thing(&key) => {
                        Told::item(format!("{key}: {}", told.text))
                    }
                    false => told,
                })
                .collect(),
        };
        return told.iter().flat_map(one).collect();
    }
    // {"action": "add", "object": "a red hat", "location": "on the dog"}
    let parts: Vec<&str> = told.iter().filter_map(|(_, value)| value.text()).collect();
    let whole = parts.join(" ");
    if instructs(&whole) { vec![Told::item(whole)] } else { Vec::new() }
}

/// Whether a cell or field says that there is no edit.
fn is_denied(text: &str) -> bool {
    phrases::is_nothing(text) || denies_all(text)
}

/// That nothing is to be edited in one thing among others.
fn of_one_thing(denial: &str) -> Told {
    let denial = if phrases::is_nothing(denial) { "none" } else { denial };
    Told::item(format!("Item: {denial}"))
}

/// The edits in the rows of a table, from the column whose heading names them; `None` where there is
/// no such column. A column of verbs goes with the others of its row.
pub(super) fn in_table(header: &[String], rows: &[Vec<String>]) -> Option<Vec<Told>> {
    let count = |column: &usize| {
        let instructs = |row: &&Vec<String>| row.get(*column).is_some_and(|cell| instructs(cell));
        rows.iter().filter(instructs).count()
    };
    let has_words = |column: &usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(*column));
        rows.is_empty() || cells.any(|cell| cell.contains(char::is_alphabetic))
    };
    let named = (0..header.len()).filter(|&column| names_edits(&header[column]));
    let column = named.filter(has_words).rev().max_by_key(count)?;
    let one = |row: &Vec<String>| {
        let cell = row.get(column).map_or("", String::as_str);
        if is_denied(cell) {
            return of_one_thing(cell);
        }
        let is_beside = |at: usize| {
            header
                .get(at)
                .is_none_or(|name| is_reason(name) || is_one_of(&folded(name), ASIDE_FIELDS))
        };
        let thing = || (0..row.len()).find(|&at| at != column && !is_beside(at) && has_words(&at));
        if refers_back(cell)
            && let Some(thing) = thing()
        {
            return Told::item(format!("{}: {cell}", row[thing]));
        }
        if words(cell).len() > 1 || !instructs(&format!("{cell} it")) {
            return Told::item(cell);
        }
        let others = row.iter().enumerate().filter(|&(at, text)| {
            at != column && !is_beside(at) && text.contains(char::is_alphabetic)
        });
        let others: Vec<&str> = others.map(|(_, text)| text.as_str()).collect();
        Told::item(format!("{cell} {}", others.join(" ")))
    };
    Some(rows.iter().map(one).collect())
}

/// Whether JSON says that there are no edits: an empty list, or a field for a list that is null or blank.
pub(super) fn says_none(value: &Json) -> bool {
    match value {
        Json::List(list) => list.is_empty() || list.iter().any(says_none),
        Json::Fields(fields) => fields.iter().any(|(name, value)| {
            let is_blank = match value {
                Json::Null => true,
                Json::Text(text) => text.trim().is_empty(),
                Json::Fields(fields) => fields.is_empty(),
                _ => false,
            };
            (is_blank && is_one_of(&folded(name), LIST_FIELDS)) || says_none(value)
        }),
        _ => false,
    }
}

//! Edits that are planned in JSON to the texts that may be instructions.

use super::edits::{in_prose, instruction, instructs, is_step};
use super::items::Item;
use super::json::Json;
use super::{Answer, folded, is_one_of, words};

/// Fields of an object that hold a whole instruction.
const TEXT_FIELDS: &str = "edit|instruction|edit_instruction|edit_prompt|prompt|text|description|command|\
    feedback|action|step|content";

/// Fields around a list.
const LIST_FIELDS: &str = "edits|edit_plan|plan|steps|instructions|edit_instructions|actions|changes|\
    feedback|corrections|modifications|answer|result|output|response|items|list|final_answer";

/// Fields that explain an instruction, or sort it.
const ASIDE_FIELDS: &str = "id|index|number|order|reason|reasoning|why|explanation|rationale|issue|problem|\
    mistake|observation|observations|analysis|priority|type|category|confidence|thought|thoughts|current|\
    caption|summary|match|matches";

/// The texts in `value` that may be instructions.
pub(super) fn in_json(value: &Json) -> Vec<String> {
    match value {
        Json::Text(text) if text.trim().contains('\n') => {
            in_prose(&Answer { text: text.clone(), cut_off: false, tags: Vec::new() })
        }
        Json::Text(text) => instruction(&Item::read(text.trim())).into_iter().collect(),
        Json::List(list) => list.iter().flat_map(in_json).collect(),
        Json::Fields(fields) => in_fields(fields),
        Json::Bool(_) | Json::Number(_) | Json::Null => Vec::new(),
    }
}

fn in_fields(fields: &[(String, Json)]) -> Vec<String> {
    let is_list = |value: &Json| matches!(value, Json::List(_) | Json::Fields(_));
    let mut lists = fields.iter().filter(|(name, _)| is_one_of(&folded(name), LIST_FIELDS));
    if let Some((_, list)) = lists.find(|(_, value)| is_list(value)) {
        return in_json(list);
    }
    // One instruction in a field of its own.
    let whole = |(name, value): &(String, Json)| {
        let text = value.text().filter(|text| words(text).len() > 1)?;
        (is_one_of(&folded(name), TEXT_FIELDS) || is_one_of(&folded(name), LIST_FIELDS))
            .then(|| in_json(&Json::Text(text.to_owned())))
    };
    if let Some(texts) = fields.iter().find_map(whole) {
        return texts;
    }
    let told: Vec<&(String, Json)> =
        fields.iter().filter(|(name, _)| !is_one_of(&folded(name), ASIDE_FIELDS)).collect();
    let name = |name: &str| name.replace('_', " ");
    // {"step_1": "Add …", "step_2": …}, {"add": ["a hat", …], "Make the car red": "It is blue."}
    let are_edits = told.iter().all(|(key, value)| {
        let key = name(key);
        is_step(&key)
            || instructs(&key)
            || words(&key).concat().parse::<u32>().is_ok()
            || is_list(value)
    });
    if are_edits {
        let one = |(key, value): &&(String, Json)| match name(key) {
            key if instructs(&key) && words(&key).len() > 1 => vec![key],
            key => in_json(value)
                .into_iter()
                .map(|text| match instructs(&key) && !instructs(&text) {
                    true => format!("{key} {text}"),
                    false => text,
                })
                .collect(),
        };
        return told.iter().flat_map(one).collect();
    }
    // {"action": "add", "object": "a red hat", "location": "on the dog"}
    let parts: Vec<&str> = told.iter().filter_map(|(_, value)| value.text()).collect();
    if parts.is_empty() { Vec::new() } else { vec![parts.join(" ")] }
}

/// Whether `holds` is true of `value` or of one inside it.
pub(super) fn any(value: &Json, holds: &impl Fn(&Json) -> bool) -> bool {
    holds(value)
        || match value {
            Json::List(list) => list.iter().any(|one| any(one, holds)),
            Json::Fields(fields) => fields.iter().any(|(_, one)| any(one, holds)),
            _ => false,
        }
}

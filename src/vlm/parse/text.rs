//! The answer to a question for one text to that text, without the words around it.

use super::json::{self, Json};
use super::line::{labelled, unquoted};
use super::table::without_tags;
use super::{Answer, MAX_ITEM_CHARS, folded, is_one_of, phrases};
use crate::vlm::Questions;

/// Fields of an object that hold the text.
const FIELDS: &str = "prompt|rephrased_prompt|rephrased|caption|text|answer|description|output|result|\
    response|new_prompt|clear_prompt|final_answer|rewritten_prompt|image_caption|sentence";

/// The text; `None` where there is none, or it was cut off.
pub(super) fn only(questions: &Questions, answer: &Answer) -> Option<String> {
    if answer.cut_off {
        return None;
    }
    let text = match json::values(&answer.text).as_slice() {
        [] => in_prose(&without_tags(&answer.text))?,
        [value] => in_json(value).or_else(|| in_prose(&answer.text))?,
        _ => in_prose(&answer.text)?,
    };
    let text: String = text.chars().take(MAX_ITEM_CHARS * 4).collect();
    (!phrases::says_nothing(questions, &text)).then(|| text.trim().to_owned())
}

fn in_json(value: &Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text.trim().to_owned()),
        Json::List(list) => match list.as_slice() {
            [only] => in_json(only),
            _ => None,
        },
        Json::Fields(fields) => {
            let named = fields.iter().find(|(name, _)| is_one_of(&folded(name), FIELDS));
            let only = if fields.len() == 1 { fields.first() } else { None };
            named.or(only).and_then(|(_, value)| in_json(value))
        }
        Json::Bool(_) | Json::Number(_) | Json::Null => None,
    }
}

/// The lines between introduction and farewell.
fn in_prose(text: &str) -> Option<String> {
    if let Some(block) = fenced(text) {
        return Some(unquoted(block).to_owned());
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let numbered =
        |line: &&&str| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(". ");
    if lines.iter().filter(numbered).count() > 1 {
        return None; // Which of several?
    }
    let mut kept: Vec<&str> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_last = lines[number + 1..].iter().all(|line| line.is_empty());
        let has_text = kept.iter().any(|line| !line.is_empty());
        let plain = line.trim_end_matches(['*', '_', ' ']);
        let is_heading = plain.ends_with([':', '：'])
            || line.starts_with('#')
            || phrases::is_category(line)
            || phrases::is_numbered_label(line);
        let is_rule = line.len() > 2 && line.chars().all(|c| matches!(c, '-' | '*' | '_' | '='));
        if !has_text && !is_last && (is_heading || phrases::introduces(line)) || is_rule {
            continue;
        }
        if has_text && phrases::takes_leave(line) {
            break;
        }
        kept.push(line);
    }
    let text = kept.join("\n");
    let text = text.trim().trim_start_matches("> ");
    let text = match labelled(text).or_else(|| text.split_once([':', '：'])) {
        Some((label, rest)) if introduces_itself(label) && !rest.trim().is_empty() => rest.trim(),
        _ => text,
    };
    let text = phrases::without_greeting(text);
    let text = match first_of_quoted(text) {
        Some(quoted) => quoted,
        None => unquoted(text),
    };
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether what stands before a colon says that the text follows: "Rephrased prompt", "Here is a
/// clearer prompt".
fn introduces_itself(label: &str) -> bool {
    let label = label.trim_matches(['*', '_', ' ', '"']);
    let is_shown = folded(label).contains("here") && phrases::introduces(&format!("{label}:"));
    let is_kept = folded(label).ends_with("already clear");
    is_shown || is_kept || phrases::is_category(label) || phrases::is_numbered_label(label)
}

/// What is in quotation marks where `text` begins with them and goes on about it on new lines.
fn first_of_quoted(text: &str) -> Option<&str> {
    let (first, _) = text.split_once('\n')?;
    let inner = unquoted(first);
    (inner.len() < first.trim().len() && first.trim().starts_with(['"', '“', '«', '„', '「', '`']))
        .then_some(inner)
}

/// What the only code fence in `text` holds.
fn fenced(text: &str) -> Option<&str> {
    let mut parts = text.split("```");
    let (_, block, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    // The language stands on the line of the fence.
    let block =
        block.split_once('\n').map_or(block, |(language, rest)| match language.contains(' ') {
            true => block,
            false => rest,
        });
    (!block.trim().is_empty()).then(|| block.trim())
}

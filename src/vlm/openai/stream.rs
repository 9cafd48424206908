//! The chunks of a stream to the chat completion that they are the pieces of.

use serde_json::{Map, Value, json};

use super::logprobs;
use super::reply::{REASONING, answer, index, words};
use crate::lenient;

/// Whether `body` is no completion but one chunk: one alone, without a finish reason, is a stream that
/// broke off.
pub(super) fn is_chunk(body: &Value) -> bool {
    let reason = &body["choices"][0]["finish_reason"];
    body["done"] == false || (body["object"] == "chat.completion.chunk" && reason.is_null())
}

/// The completion of `chunks`; `None` where they break off before the last one: none has a finish
/// reason, and the stream did not say either that it is `done`.
///
/// Chunks are OpenAI's (`choices[0].delta`), those of the older completions (`choices[0].text`), and
/// Ollama's own (`message`). A chunk may also hold all of the message so far.
pub(super) fn joined(chunks: &[Value], mut done: bool) -> Option<Value> {
    let (mut whole, mut message) = (Map::new(), Map::new());
    let mut choice = None;
    let all_choices = chunks.iter().filter_map(|chunk| chunk["choices"].as_array()).flatten();
    let first = all_choices.map(index).min();
    for chunk in chunks {
        // The later ones know more: a stream's usage is in its last chunk.
        let known = ["model", "usage", "prompt_eval_count", "eval_count"];
        for name in known.into_iter().filter(|name| !chunk[*name].is_null()) {
            whole.insert(name.into(), chunk[name].clone());
        }
        done |= chunk["done"] == true;
        let is_first = |choice: &&Value| Some(index(choice)) == first;
        let choices = chunk["choices"].as_array();
        let Some(piece) = choices.map_or(Some(chunk), |all| all.iter().find(is_first)) else {
            continue;
        };
        let all: &mut Map<String, Value> = choice.get_or_insert_default();
        for name in ["finish_reason", "done_reason", "error"] {
            if !piece[name].is_null() {
                all.insert(name.into(), piece[name].clone());
            }
        }
        logprobs::append(all, &piece["logprobs"]);
        match (&piece["delta"], &piece["message"]) {
            (Value::Object(delta), _) => extend(&mut message, delta),
            (_, Value::Object(all)) if repeats(all, &message) => message = all.clone(),
            (_, Value::Object(delta)) => extend(&mut message, delta),
            _ => {
                let text =
                    if piece["text"].is_null() { &piece["response"] } else { &piece["text"] };
                append(&mut message, "content", text, "text");
            }
        }
    }
    if let Some(mut choice) = choice {
        done |=
            ["finish_reason", "done_reason", "error"].iter().any(|end| choice.contains_key(*end));
        for value in message.values_mut() {
            if let Value::String(text) = value {
                *text = lenient::joined(text);
            }
        }
        choice.insert("message".into(), message.into());
        whole.insert("choices".into(), json!([choice]));
    } else {
        whole.insert("choices".into(), json!([]));
    }
    done.then(|| whole.into())
}

/// Whether `all` says what `message` does, and then more.
fn repeats(all: &Map<String, Value>, message: &Map<String, Value>) -> bool {
    let text = |of| Map::get(of, "content").and_then(Value::as_str).unwrap_or_default();
    let (all, so_far) = (text(all), text(message));
    !so_far.is_empty() && all.starts_with(so_far)
}

/// Adds what `delta` says to `message`.
fn extend(message: &mut Map<String, Value>, delta: &Map<String, Value>) {
    for (name, value) in delta {
        match name.as_str() {
            "content" if value.is_array() => {
                append(message, name, value, "text");
                append(message, "thinking", value, "thinking");
            }
            name if name == "content" || name == "refusal" || REASONING.contains(&name) => {
                append(message, name, value, "text");
            }
            _ if value.is_null() => {}
            _ => {
                message.insert(name.clone(), value.clone());
            }
        }
    }
}

fn append(message: &mut Map<String, Value>, name: &str, piece: &Value, kind: &str) {
    let piece = if kind == "text" { answer(piece) } else { words(piece, kind) };
    match message.get_mut(name) {
        Some(Value::String(text)) => text.push_str(&piece),
        _ => {
            message.insert(name.into(), piece.into());
        }
    }
}

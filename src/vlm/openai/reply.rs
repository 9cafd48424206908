//! A chat completion to a reply, whatever dialect it speaks.

use serde_json::Value;

use super::{logprobs, stream};
use crate::Result;
use crate::net::reply::Service;
use crate::net::stream::Body;
use crate::net::tokens::tokens;
use crate::vlm::ChatReply;

/// What the service's reply should be, in errors.
pub(super) const EXPECTED: &str = "a chat completion with a message";
/// Where services put a model's thoughts: vLLM up to 0.11 and DeepSeek, OpenRouter and newer vLLM,
/// Ollama's own interface.
pub(super) const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];

/// Reads the body of a reply of `service`: a completion, or a stream of its pieces.
///
/// # Errors
/// One that is transient where the service gave nothing, or half: no choices, an empty message without
/// a finish reason, the finish reason `error`, a stream that broke off.
pub(super) fn read(body: &Body, service: &Service) -> Result<ChatReply> {
    let (chunks, done) = match body {
        Body::Whole(body) if !stream::is_chunk(body) => return completion(body, service),
        Body::Whole(chunk) => (std::slice::from_ref(chunk), false),
        Body::Stream(chunks, done) => (chunks.as_slice(), *done),
    };
    let mut joined = stream::joined(chunks, done).ok_or_else(|| {
        service.broke_off(format!("the stream ended after {} events", chunks.len()))
    })?;
    service.secrets.hide_in(&mut joined); // A key may come in pieces.
    completion(&joined, service)
}

fn completion(body: &Value, service: &Service) -> Result<ChatReply> {
    let invalid = |found: &str| service.invalid_reply(EXPECTED, found);
    let nothing = |found: &str| service.failed(200, found); // Transient, as the status is no error's.
    let choice = match (body.get("choices"), body.get("message").or(body.get("response"))) {
        (Some(Value::Array(choices)), _) => {
            let first = choices.iter().min_by_key(|choice| index(choice));
            first.ok_or_else(|| nothing(&format!("no choices in {body}")))?
        }
        (Some(Value::Null), _) => return Err(nothing(&format!("no choices in {body}"))),
        (None, None) if is_nothing(body) => return Err(nothing(&format!("no more than {body}"))),
        (None, Some(_)) => body, // Ollama's own interface.
        _ => return Err(invalid(&body.to_string())),
    };
    if let Some(error) = service.error_in(choice, 200) {
        return Err(error);
    }
    let reason = ["finish_reason", "done_reason"].iter().find_map(|name| choice[*name].as_str());
    let reason = reason.unwrap_or_default();
    if ["error", "abort", "failed"].contains(&reason.to_ascii_lowercase().as_str()) {
        return Err(nothing(&format!("the reply ended in an error (finish reason {reason})")));
    }
    let [message, text] = [["message", "delta"], ["text", "response"]].map(|names| {
        names
            .iter()
            .map(|name| &choice[*name])
            .find(|value| !value.is_null())
            .unwrap_or(&Value::Null)
    });
    let words = answer(match message {
        Value::Null => text,
        // Of a choice; in a body of its own it is the word of an error.
        Value::String(_) if body.get("choices").is_some() => message,
        _ => &message["content"],
    });
    let refusal = words_of_refusal(message)
        .or_else(|| is_filter(reason).then(|| format!("stopped by the service: {reason}")));
    // OpenAI's word, Anthropic's and Gemini's.
    let cut_off = matches!(reason, "length" | "max_tokens" | "MAX_TOKENS");
    if refusal.is_none() && words.trim().is_empty() {
        if let Some(reasoning) = reasoning(message) {
            let advice = if cut_off { "; raise max_tokens" } else { "" };
            let reason = if reason.is_empty() { "unknown" } else { reason };
            return Err(invalid(&format!(
                "only reasoning, no answer ({reasoning}, finish reason {reason}{advice})"
            )));
        }
        if cut_off {
            return Err(invalid("no words before the longest reply was reached (length)"));
        }
        if message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) {
            return Err(invalid("no words, but calls of tools, of which none was offered"));
        }
        if reason.is_empty() {
            return Err(nothing(&format!("an empty message without a finish reason in {body}")));
        }
        if message.is_null() && text.is_null() {
            return Err(invalid(&body.to_string()));
        }
    }
    let mut reply = ChatReply::new(if refusal.is_some() { String::new() } else { words });
    reply.refusal = refusal;
    reply.model = body["model"].as_str().filter(|model| !model.is_empty()).map(str::to_owned);
    reply.usage = tokens(&body["usage"]).or_else(|| tokens(body));
    reply.cut_off = cut_off;
    reply.logprobs = logprobs::read(&choice["logprobs"]);
    Ok(reply)
}

/// What there is of a model's thoughts, with its length: `31 characters of reasoning_content`.
fn reasoning(message: &Value) -> Option<String> {
    let field = |name| (name, words(&message[name], "text").chars().count());
    let parts = || ("thinking", words(&message["content"], "thinking").chars().count());
    let (name, characters) = REASONING
        .into_iter()
        .map(field)
        .chain(std::iter::once_with(parts))
        .find(|(_, characters)| *characters > 0)?;
    Some(format!("{characters} characters of {name}"))
}

/// Where a choice stands among several.
pub(super) fn index(choice: &Value) -> u64 {
    choice["index"].as_u64().unwrap_or(0)
}

/// The answer in a message's content: its words, or where it has none, the JSON of what else is
/// there, such as an object that the server has read from structured output.
pub(super) fn answer(content: &Value) -> String {
    let words = words(content, "text");
    match words.is_empty() && is_unread(content) {
        true => content.to_string(),
        false => words,
    }
}

/// Whether there is something in `content` that is neither words nor thoughts nor a refusal.
fn is_unread(content: &Value) -> bool {
    const READ: [&str; 5] = ["text", "refusal", "thinking", "redacted_thinking", "reasoning"];
    match content {
        Value::Null | Value::String(_) => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::Array(parts) => parts.iter().any(is_unread),
        Value::Object(fields) => match fields.get("type").and_then(Value::as_str) {
            Some("text" | "output_text") => fields.get("text").is_none_or(is_unread),
            Some(kind) => !READ.contains(&kind),
            None => fields.keys().any(|name| !READ.contains(&&**name)),
        },
    }
}

/// Whether a value says nothing at all.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(all) => all.iter().all(is_nothing),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A string, or the strings of a list of parts whose type is `kind`; empty where there is none.
pub(super) fn words(content: &Value, kind: &str) -> String {
    let is_of_kind = |part: &Value| match &part["type"] {
        Value::Null => part.get(kind).is_some(),
        // `text` is OpenAI's and Mistral's, `output_text` is what some gateways keep of another API.
        found => found.as_str().is_some_and(|found| found.trim_start_matches("output_") == kind),
    };
    let part = |part: &Value| match part {
        Value::String(text) => (kind == "text").then(|| text.clone()),
        part if is_of_kind(part) => match part.get(kind)? {
            parts @ Value::Array(_) => Some(words(parts, "text")), // Mistral's thoughts.
            text => Some(text.as_str()?.to_owned()),
        },
        // A value that calls itself no part is one of the answer.
        part => {
            (kind == "text" && part["type"].is_null() && is_unread(part)).then(|| part.to_string())
        }
    };
    match content {
        Value::Array(parts) => parts.iter().filter_map(part).collect(),
        one => part(one).unwrap_or_default(),
    }
}

/// Why the model declined, from the field or from a part of the content.
fn words_of_refusal(message: &Value) -> Option<String> {
    let field = message["refusal"].as_str().unwrap_or_default().to_owned();
    let refusal = if field.is_empty() && message["content"].is_array() {
        words(&message["content"], "refusal")
    } else {
        field
    };
    (!refusal.is_empty()).then_some(refusal)
}

/// Whether a finish reason says that a filter stopped the reply: OpenAI's, or one of Gemini's.
fn is_filter(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.starts_with("content_filter")
        || ["safety", "prohibited_content", "recitation", "blocklist", "spii", "refusal"]
            .contains(&reason.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::net::reply::{QUOTED, Reply};

    /// JSON that resembles a completion, with anything at all in its places.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let value = prop_oneof![
            prop::sample::select(vec![
                "null",
                "0",
                "-1",
                "1e400",
                "\"yes\"",
                "\"sk-secret\"",
                "[]",
                "{}",
                "[null]",
                r#"{"message": "sk-secret", "code": "429"}"#,
                r#"[{"type": "text", "text": "yes"}, {"type": 1}]"#,
            ])
            .prop_map(str::to_owned),
            any::<String>().prop_map(|text| Value::String(text).to_string()),
        ];
        let whole = (value.clone(), value.clone(), value.clone(), value).prop_map(|(a, b, c, d)| {
            format!(
                r#"{{"choices": [{{"message": {{"content": {a}, "refusal": {b}}}, "finish_reason": {c}}}], "usage": {d}}}"#
            )
            .into_bytes()
        });
        prop_oneof![
            whole.clone(),
            (whole.clone(), any::<prop::sample::Index>())
                .prop_map(|(body, at)| body[..at.index(body.len())].to_vec()),
            prop::collection::vec(whole, 1..4).prop_map(|chunks| {
                let chunk = |body: &Vec<u8>| [b"data: ", &**body, b"\n\n"].concat();
                let stream = chunks.iter().flat_map(chunk).collect::<Vec<u8>>();
                String::from_utf8_lossy(&stream).replace("message", "delta").into_bytes()
            }),
            prop::collection::vec(any::<u8>(), 0..64),
        ]
    }

    #[test]
    fn a_reply_that_reached_the_longest_is_cut_off() {
        let service = Service::new("vlm");
        let reasons =
            [("length", true), ("max_tokens", true), ("MAX_TOKENS", true), ("stop", false)];
        for (reason, cut_off) in reasons {
            let body = serde_json::json!({ "choices": [
                { "message": { "content": "<think>no wings, and" }, "finish_reason": reason }
            ] });
            let reply = Reply::new(200, body.to_string().into_bytes());
            let body = reply.json(&service, EXPECTED).unwrap();
            assert_eq!(read(&body, &service).unwrap().cut_off, cut_off, "{reason}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

        #[test]
        fn any_body_is_a_reply_or_an_error_without_the_key(body in bodies(), status in 100u16..600) {
            let mut service = Service::new("vlm");
            service.secrets.add("sk-secret");
            let reply = Reply::new(status, body);
            match reply.json(&service, EXPECTED).and_then(|body| read(&body, &service)) {
                Ok(reply) => {
                    prop_assert!((200..300).contains(&status));
                    prop_assert!(reply.refusal.is_none() || reply.text.is_empty());
                }
                Err(error) => {
                    prop_assert!(!error.to_string().contains("sk-secret"), "{}", error);
                    prop_assert!(error.to_string().chars().count() < 2 * QUOTED);
                }
            }
        }
    }
}

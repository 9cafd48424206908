//! A service's answer to a reply or an error, whatever dialect it speaks.

use std::time::Duration;

use serde_json::Value;

use crate::net::secrets::Secrets;
use crate::vlm::{ChatReply, Usage};
use crate::{Error, Result};

/// How much of a service's own words goes into an error, in characters.
const QUOTED: usize = 500;

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
    /// Set where reading stopped after so many bytes.
    pub(super) longer_than: Option<usize>,
}

/// Reads an answer; `secrets` are left out of whatever is quoted from it.
pub(super) fn read(answer: &Answer, service: &str, secrets: &Secrets) -> Result<ChatReply> {
    let failed = |status, message: &str, asked| Error::Service {
        service: service.into(),
        status,
        message: secrets.shorten(message, QUOTED),
        retry_after: answer.retry_after.or(asked),
    };
    let invalid = |found: &str| Error::InvalidReply {
        service: service.into(),
        expected: "a chat completion with a message".into(),
        found: secrets.shorten(found, QUOTED),
    };
    let text = String::from_utf8_lossy(&answer.body);
    let parsed = serde_json::from_slice::<Value>(&answer.body).ok();

    // 1. The service says that it failed: by its status, or in the body alone.
    if !(200..300).contains(&answer.status) {
        let message = match (&parsed, &answer.location) {
            (Some(body), _) => error_message(body),
            (None, Some(location)) => format!("redirected to {location}: set that as base_url"),
            (None, None) => plain_message(&text),
        };
        return Err(failed(answer.status, &message, parsed.as_ref().and_then(retry_delay)));
    }
    if let Some(longest) = answer.longer_than {
        return Err(invalid(&format!("a body of more than {longest} bytes")));
    }
    let Some(body) = parsed else {
        let kind = answer.content_type.as_deref().unwrap_or("no content type");
        return Err(invalid(&format!("{} ({kind})", plain_message(&text))));
    };
    if let Some(error) = error_object(&body) {
        let status = code(error).unwrap_or(answer.status);
        return Err(failed(status, &error_message(&body), retry_delay(&body)));
    }

    // 2. The first choice holds the reply.
    let Some(choice) = body["choices"].as_array().and_then(|choices| choices.first()) else {
        return Err(invalid(&body.to_string()));
    };
    let message = &choice["message"];
    let reason = choice["finish_reason"].as_str().unwrap_or_default();
    let words = words(&message["content"], "text");
    let refusal = words_of_refusal(message)
        .or_else(|| is_filter(reason).then(|| format!("stopped by the service: {reason}")));
    if refusal.is_none() && words.is_empty() {
        match reason {
            "length" | "max_tokens" | "MAX_TOKENS" => {
                return Err(invalid("no words before the longest reply was reached (length)"));
            }
            _ if message.is_null() => return Err(invalid(&body.to_string())),
            _ => {}
        }
    }
    let mut reply = ChatReply::new(if refusal.is_some() { String::new() } else { words });
    reply.refusal = refusal;
    reply.model = body["model"].as_str().filter(|model| !model.is_empty()).map(str::to_owned);
    reply.usage = usage(&body["usage"]);
    Ok(reply)
}

/// A string, or the strings of a list of parts whose type is `kind`; empty where there is none.
fn words(content: &Value, kind: &str) -> String {
    let part = |part: &Value| match part {
        Value::String(text) => Some(text.clone()),
        // `text` is OpenAI's and Mistral's, `output_text` is what some gateways keep of another API.
        Value::Object(fields)
            if fields.get("type").is_none_or(|found| {
                found.as_str().is_some_and(|found| found.trim_start_matches("output_") == kind)
            }) =>
        {
            Some(fields.get(kind)?.as_str()?.to_owned())
        }
        _ => None,
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

fn usage(usage: &Value) -> Option<Usage> {
    let tokens = |names: [&str; 2]| names.iter().find_map(|name| usage[name].as_u64());
    let prompt_tokens = tokens(["prompt_tokens", "input_tokens"]);
    let completion_tokens = tokens(["completion_tokens", "output_tokens"]);
    (prompt_tokens.is_some() || completion_tokens.is_some()).then(|| Usage {
        prompt_tokens: prompt_tokens.unwrap_or_default(),
        completion_tokens: completion_tokens.unwrap_or_default(),
    })
}

/// The error in a body: `{"error": …}`, the same in a list (Gemini), or the body itself where it
/// calls itself one (vLLM).
fn error_object(body: &Value) -> Option<&Value> {
    let body = body.get(0).unwrap_or(body);
    match &body["error"] {
        Value::Null | Value::Bool(false) => (body["object"] == "error").then_some(body),
        error => Some(error),
    }
}

/// The HTTP status that an error in a body carries as its code.
fn code(error: &Value) -> Option<u16> {
    let code = &error["code"];
    let code = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(code).ok().filter(|code| (400..600).contains(code))
}

/// What a JSON body says went wrong.
fn error_message(body: &Value) -> String {
    let error = error_object(body).unwrap_or(body);
    let said = [error, &error["message"], &error["detail"], &error["error"]];
    let Some(message) = said.iter().find_map(|value| value.as_str()) else {
        return error.to_string();
    };
    match error["param"].as_str() {
        Some(param) if !message.contains(param) => format!("{message} (parameter: {param})"),
        _ => message.to_owned(),
    }
}

/// What a body that is no JSON says: itself, or the title of a page.
fn plain_message(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "an empty body".into();
    }
    if !text.starts_with('<') {
        return text.to_owned();
    }
    let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    match title {
        Some((title, _)) => format!("an HTML page titled {:?}", title.trim()),
        None => "an HTML page".into(),
    }
}

/// Gemini's wait, which is in the body: `{"@type": "…RetryInfo", "retryDelay": "34s"}`.
fn retry_delay(body: &Value) -> Option<Duration> {
    let details = error_object(body)?["details"].as_array()?;
    let delay = details.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            (whole, any::<prop::sample::Index>())
                .prop_map(|(body, at)| body[..at.index(body.len())].to_vec()),
            prop::collection::vec(any::<u8>(), 0..64),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

        #[test]
        fn any_body_is_a_reply_or_an_error_without_the_key(body in bodies(), status in 100u16..600) {
            let mut secrets = Secrets::default();
            secrets.add("sk-secret");
            let answer = Answer {
                status, body, content_type: None, location: None, retry_after: None, longer_than: None,
            };
            match read(&answer, "vlm", &secrets) {
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

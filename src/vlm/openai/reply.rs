//! A chat completion to a reply, whatever dialect it speaks.

use serde_json::Value;

use crate::net::reply::Service;
use crate::vlm::ChatReply;
use crate::{Result, Usage};

/// What the service's reply should be, in errors.
pub(super) const EXPECTED: &str = "a chat completion with a message";

/// Reads the body of a reply of `service`.
pub(super) fn read(body: &Value, service: &Service) -> Result<ChatReply> {
    let invalid = |found: &str| service.invalid_reply(EXPECTED, found);
    let Some(choice) = body["choices"].as_array().and_then(|choices| choices.first()) else {
        return Err(invalid(&body.to_string()));
    };
    let message = &choice["message"];
    let reason = choice["finish_reason"].as_str().unwrap_or_default();
    let words = words(&message["content"], "text");
    let refusal = words_of_refusal(message)
        .or_else(|| is_filter(reason).then(|| format!("stopped by the service: {reason}")));
    // OpenAI's word, Anthropic's and Gemini's.
    let cut_off = matches!(reason, "length" | "max_tokens" | "MAX_TOKENS");
    if refusal.is_none() && words.is_empty() {
        match reason {
            _ if cut_off => {
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
    reply.cut_off = cut_off;
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
    (prompt_tokens.is_some() || completion_tokens.is_some()).then(|| {
        Usage::tokens(prompt_tokens.unwrap_or_default(), completion_tokens.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::net::reply::{QUOTED, Reply};
    use crate::net::secrets::Secrets;

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

    #[test]
    fn a_reply_that_reached_the_longest_is_cut_off() {
        let service = Service { name: "vlm".into(), secrets: Secrets::default() };
        let reasons =
            [("length", true), ("max_tokens", true), ("MAX_TOKENS", true), ("stop", false)];
        for (reason, cut_off) in reasons {
            let body = serde_json::json!({ "choices": [
                { "message": { "content": "<think>no wings, and" }, "finish_reason": reason }
            ] });
            assert_eq!(read(&body, &service).unwrap().cut_off, cut_off, "{reason}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

        #[test]
        fn any_body_is_a_reply_or_an_error_without_the_key(body in bodies(), status in 100u16..600) {
            let mut secrets = Secrets::default();
            secrets.add("sk-secret");
            let service = Service { name: "vlm".into(), secrets };
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

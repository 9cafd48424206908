//! The reply of `generateContent` to an image, a refusal, or nothing.

use serde_json::Value;

use crate::net::reply::{QUOTED, Service};
use crate::net::stream::Body;
use crate::{Error, Result, Usage};

/// What the service's reply should be, in errors.
pub(super) const EXPECTED: &str = "an image";

/// What came of a request that was not refused.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// The image in base64, and the words beside it.
    Image { image: String, text: Option<String>, used: Usage },
    /// No image, for a reason that may not hold the next time.
    Nothing { reason: String, used: Usage },
}

/// Why a candidate ended that a policy has stopped (`FinishReason` of the Gemini API).
const REFUSALS: [&str; 9] = [
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
];
/// Why one ended that may give an image the next time.
const CHANCES: [&str; 3] = ["NO_IMAGE", "IMAGE_OTHER", "OTHER"];

/// # Errors
/// [`Error::Refused`] on grounds of policy, [`Error::InvalidReply`] of one without an image,
/// [`Error::Service`] of one that holds nothing at all.
pub(super) fn read(body: &Body, service: &Service) -> Result<Outcome> {
    // A stream, in either form, is its chunks one after the other.
    let chunks = match body {
        Body::Whole(Value::Array(chunks)) | Body::Stream(chunks, _) => chunks.as_slice(),
        Body::Whole(value) => std::slice::from_ref(value),
    };
    let list =
        |value: &'_ Value, name: &str| get(value, name).as_array().cloned().unwrap_or_default();
    let candidates: Vec<Value> =
        chunks.iter().flat_map(|chunk| list(chunk, "candidates")).collect();
    let parts = candidates.iter().flat_map(|candidate| list(get(candidate, "content"), "parts"));
    let parts: Vec<Value> =
        parts.filter(|part| get(part, "thought") != &Value::Bool(true)).collect();

    // 1. The image, and what the model says beside it.
    let text: String = parts.iter().filter_map(|part| get(part, "text").as_str()).collect();
    let text = service.secrets.shorten(&text, QUOTED);
    let used = chunks
        .iter()
        .rev()
        .map(|chunk| get(chunk, "usageMetadata"))
        .find(|usage| usage.is_object());
    let used = used.map_or(Usage::default(), usage);
    if let Some(image) = parts.iter().find_map(image) {
        let text = (!text.is_empty()).then_some(text);
        return Ok(Outcome::Image { image, text, used: used + Usage::images(1) });
    }

    // 2. Why there is none.
    let blocked = chunks.iter().map(|chunk| get(chunk, "promptFeedback"));
    if let Some(refusal) = blocked.filter_map(|feedback| reason(feedback, "blockReason")).next() {
        return Err(Error::refused(&service.name, service.secrets.shorten(&refusal, QUOTED)));
    }
    let finish = candidates.iter().rev().find_map(|candidate| reason(candidate, "finishReason"));
    let Some(finish) = finish else {
        return Err(match candidates.is_empty() || parts.is_empty() {
            true => service.failed(200, "no candidate with content"), // Asked for again.
            false => service.invalid_reply(EXPECTED, &words(&text)),
        });
    };
    let code = finish.split([' ', ':']).next().unwrap_or_default();
    match code {
        _ if REFUSALS.contains(&code) => {
            let words = [finish.as_str(), &text].join(" ");
            Err(Error::refused(&service.name, service.secrets.shorten(&words, QUOTED)))
        }
        _ if CHANCES.contains(&code) || code == "STOP" && text.is_empty() => {
            Ok(Outcome::Nothing { reason: format!("{finish} {text}").trim().to_owned(), used })
        }
        _ => {
            Err(service
                .invalid_reply(EXPECTED, &format!("{}; it ended with {finish}", words(&text))))
        }
    }
}

fn words(text: &str) -> String {
    if text.is_empty() { "nothing".into() } else { format!("words alone: {text}") }
}

/// The data of a part that is a picture.
fn image(part: &Value) -> Option<String> {
    let inline = get(part, "inlineData");
    let kind = get(inline, "mimeType").as_str().unwrap_or("image/");
    let is_image = kind.trim().to_ascii_lowercase().starts_with("image/");
    let data = get(inline, "data").as_str().filter(|data| is_image && !data.is_empty())?;
    Some(data.to_owned())
}

/// The code in the field `name` with what is said of it, and the categories that were the reason;
/// `None` where there is none, or it says nothing.
fn reason(value: &Value, name: &str) -> Option<String> {
    let code = get(value, name).as_str().filter(|code| !code.is_empty())?.to_ascii_uppercase();
    if code.ends_with("_UNSPECIFIED") {
        return None;
    }
    let said = ["finishMessage", "blockReasonMessage"];
    let said =
        said.iter().find_map(|name| get(value, name).as_str()).filter(|said| !said.is_empty());
    let ratings = get(value, "safetyRatings").as_array().into_iter().flatten();
    let blocked = ratings.filter(|rating| get(rating, "blocked") == &Value::Bool(true));
    let categories: Vec<&str> =
        blocked.filter_map(|rating| get(rating, "category").as_str()).collect();
    let mut words = code;
    if !categories.is_empty() {
        words += &format!(" ({})", categories.join(", "));
    }
    if let Some(said) = said {
        words += &format!(": {said}");
    }
    Some(words)
}

fn usage(usage: &Value) -> Usage {
    let tokens = |name| get(usage, name).as_u64().unwrap_or_default();
    let written = tokens("candidatesTokenCount").saturating_add(tokens("thoughtsTokenCount"));
    Usage::tokens(
        tokens("promptTokenCount").saturating_add(tokens("toolUsePromptTokenCount")),
        written,
    )
}

/// The field `name`, in camel case as Google writes it, or else in snake case as some gateways do.
fn get<'a>(value: &'a Value, name: &str) -> &'a Value {
    match &value[name] {
        Value::Null => {
            let snake = name.chars().fold(String::new(), |mut snake, c| {
                if c.is_ascii_uppercase() {
                    snake.push('_');
                }
                snake.push(c.to_ascii_lowercase());
                snake
            });
            &value[snake.as_str()]
        }
        found => found,
    }
}

//! A conversation to the JSON body of a chat-completions request.

use serde_json::{Map, Value, json};

use crate::Result;
use crate::error::require;
use crate::net::pictures::Pictures;
use crate::vlm::{ChatRequest, Message, Role};

/// How a service wants its requests.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) model: String,
    /// `max_completion_tokens` in the place of `max_tokens`.
    pub(super) max_completion_tokens: bool,
    pub(super) send_temperature: bool,
    /// Further fields of the body, as they are.
    pub(super) fields: Map<String, Value>,
}

/// Refuses a conversation that no service could answer, before anything is sent.
pub(super) fn check(request: &ChatRequest) -> Result<()> {
    require(!request.messages.is_empty(), "messages of a conversation", "at least 1", 0)?;
    let fits = (0.0..f64::INFINITY).contains(&request.temperature);
    require(fits, "temperature", "a number of at least 0", request.temperature)?;
    require(request.max_tokens != Some(0), "longest reply in tokens", "at least 1", 0)
}

/// The body of the request. Encodes pictures, so it may take a while.
pub(super) fn body(dialect: &Dialect, pictures: &Pictures, request: &ChatRequest) -> Result<Value> {
    let messages = request.messages.iter().map(|message| {
        Ok(json!({ "role": role(message.role), "content": content(pictures, message)? }))
    });
    let mut body = Map::new();
    body.insert("model".into(), dialect.model.as_str().into());
    body.insert("messages".into(), messages.collect::<Result<_>>()?);
    if dialect.send_temperature {
        body.insert("temperature".into(), request.temperature.into());
    }
    if let Some(tokens) = request.max_tokens {
        let name =
            if dialect.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        body.insert(name.into(), tokens.into());
    }
    body.extend(dialect.fields.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(body.into())
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// Words alone are a plain string, which every service takes; with pictures they are a list of
/// parts, words first, as the paper's own release sends them.
fn content(pictures: &Pictures, message: &Message) -> Result<Value> {
    if message.images.is_empty() {
        return Ok(message.text.as_str().into());
    }
    let mut parts = vec![json!({ "type": "text", "text": message.text })];
    for image in &message.images {
        let url = pictures.data_url(image)?;
        parts.push(json!({ "type": "image_url", "image_url": { "url": &*url } }));
    }
    Ok(parts.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_service_could_answer_is_refused() {
        let found = |request: &ChatRequest| check(request).unwrap_err().to_string();
        let mut request = ChatRequest::new(Vec::new());
        assert_eq!(found(&request), "messages of a conversation: expected at least 1, found 0");
        request.messages.push(Message::user("hello"));
        request.temperature = f64::NAN;
        assert_eq!(found(&request), "temperature: expected a number of at least 0, found NaN");
        request.temperature = 0.5;
        request.max_tokens = Some(0);
        assert_eq!(found(&request), "longest reply in tokens: expected at least 1, found 0");
    }
}

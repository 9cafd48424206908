//! A conversation to the JSON body of a chat-completions request.

use serde_json::{Map, Value, json};

use super::parameters::{self, Parameters};
use crate::error::require;
use crate::net::pictures::Pictures;
use crate::vlm::{ChatRequest, Message, Role};
use crate::{Error, Result, lenient};

/// What every request to a model has.
#[derive(Debug)]
pub(super) struct Defaults {
    pub(super) model: String,
    /// The longest reply of a request that does not say, in tokens.
    pub(super) max_tokens: Option<u32>,
    /// Further fields of the body, as they are.
    pub(super) fields: Map<String, Value>,
}

/// Refuses a conversation that no service could answer, before anything is sent.
pub(super) fn check(request: &ChatRequest) -> Result<()> {
    require(!request.messages.is_empty(), "messages of a conversation", "at least 1", 0)?;
    let fits = (0.0..f64::INFINITY).contains(&request.temperature);
    require(fits, "temperature", "a number of at least 0", request.temperature)?;
    require(request.max_tokens != Some(0), "longest reply in tokens", "at least 1", 0)?;
    let alternatives = request.logprobs.unwrap_or(0);
    let most = parameters::MAX_TOP_LOGPROBS;
    let expected = format!("0 to {most}");
    require(alternatives <= most, "alternatives with log-probabilities", expected, alternatives)
}

/// The body of the request, of what the service takes. Encodes pictures, so it may take a while.
pub(super) fn body(
    defaults: &Defaults,
    parameters: &Parameters,
    pictures: &Pictures,
    request: &ChatRequest,
) -> Result<Value> {
    let messages = request.messages.iter().map(|message| {
        Ok(json!({ "role": role(message.role), "content": content(pictures, message)? }))
    });
    let mut body = Map::new();
    body.insert("model".into(), defaults.model.as_str().into());
    body.insert("messages".into(), messages.collect::<Result<_>>()?);
    if parameters.takes(request.temperature) {
        body.insert("temperature".into(), request.temperature.into());
    }
    let max_tokens = request.max_tokens.or(defaults.max_tokens);
    if let (Some(tokens), Some(name)) = (max_tokens, parameters.limit()) {
        body.insert(name.into(), tokens.into());
    }
    if let Some(schema) = request.json_schema.as_ref().filter(|_| parameters.json_schema()) {
        body.insert("response_format".into(), response_format(schema)?);
    }
    if let Some(alternatives) = request.logprobs.and_then(|asked| parameters.logprobs(asked)) {
        body.insert("logprobs".into(), true.into());
        if alternatives > 0 {
            body.insert("top_logprobs".into(), alternatives.into());
        }
    }
    body.extend(defaults.fields.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(body.into())
}

/// OpenAI's structured output, which vLLM, Ollama, llama.cpp, Gemini and others take as well.
fn response_format(schema: &str) -> Result<Value> {
    let schema: Value = lenient::json(schema.as_bytes())
        .map_err(|error| Error::invalid_input("JSON schema", "JSON", error))?;
    let named = json!({ "name": "reply", "strict": true, "schema": schema });
    Ok(json!({ "type": "json_schema", "json_schema": named }))
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
        (request.max_tokens, request.logprobs) = (None, Some(21));
        let words = "alternatives with log-probabilities: expected 0 to 20, found 21";
        assert_eq!(found(&request), words);
        request.logprobs = Some(20);
        assert!(check(&request).is_ok());
    }
}

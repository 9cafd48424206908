//! `POST /v1/embeddings`: texts and pictures to vectors, in the forms of OpenAI, Jina, infinity and vLLM.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use imagerag::embedder::{Embedded, Embedding};
use imagerag::{Embedder, Usage};
use serde_json::{Value, json};

use super::app::{App, EMBED, unknown};
use super::error::{ApiError, ApiResult};
use super::fields::{Fields, kind, quoted};
use super::picture::{self, base64};
use super::request::file;

/// The most inputs of one request, as in OpenAI's API.
const MAX_INPUTS: usize = 2048;

/// One thing to embed.
enum Input {
    Text(String),
    /// A picture's file.
    Picture(Vec<u8>),
}

pub(crate) async fn embeddings(State(app): State<Arc<App>>, request: Request) -> ApiResult {
    let (mut fields, _held) = Fields::read(request, &app.bodies).await?;
    let Some(embedder) = &app.served.embedder else {
        return Err(ApiError::not_found("this server has no embedder"));
    };
    if let Some(model) = fields.text("model")?.filter(|model| model != EMBED) {
        return Err(unknown(&model, &[EMBED]));
    }
    let inputs = inputs(&mut fields)?;
    let as_base64 = as_base64(&mut fields)?;
    let dim = embedder.dim();
    if let Some(asked) = fields.count("dimensions", 1..=1_000_000)?.filter(|asked| *asked != dim) {
        return Err(ApiError::value("dimensions", &dim.to_string(), asked));
    }
    let place = app.embeddings.enter()?;
    let (embeddings, usage) = place.work(embed(embedder, inputs)).await?;
    let data = |(index, embedding): (usize, &Embedding)| {
        let values = embedding.values();
        let embedding: Value = match as_base64 {
            true => base64(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()).into(),
            false => values.into(),
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    };
    let data: Vec<Value> = embeddings.iter().enumerate().map(data).collect();
    let tokens = usage.prompt_tokens;
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    let reply = json!({ "object": "list", "data": data, "model": EMBED, "usage": usage });
    Ok(Json(reply).into_response())
}

/// Whether vectors are sent as base64 of little-endian f32. Clients of OpenAI add an `encoding_format` of
/// their own beside what a caller says in Jina's `embedding_type`.
fn as_base64(fields: &mut Fields) -> ApiResult<bool> {
    for name in ["encoding_format", "embedding_type"] {
        match fields.text(name)?.as_deref() {
            None => {}
            Some("float") => return Ok(false),
            Some("base64") => return Ok(true),
            Some(other) => return Err(ApiError::value(name, "float or base64", quoted(other))),
        }
    }
    Ok(false)
}

fn inputs(fields: &mut Fields) -> ApiResult<Vec<Input>> {
    if let Some(messages) = fields.take("messages") {
        if fields.take("input").is_some() {
            return Err(ApiError::value("input", "either input or messages", "both"));
        }
        return Ok(vec![conversation(&messages)?]);
    }
    // Clients of OpenAI's own form have no other way to send a picture than its data URL.
    let are_pictures = match fields.text("modality")?.as_deref() {
        None => picture::is_data_url,
        Some("text") => |_: &str| false,
        Some("image") => |_: &str| true,
        Some(other) => return Err(ApiError::value("modality", "text or image", quoted(other))),
    };
    // An empty text can be embedded.
    let input = fields.take_as_is("input").unwrap_or_default();
    let inputs = match input {
        Value::Null => return Err(ApiError::missing("input", "texts or pictures")),
        Value::Array(list) => list,
        one => vec![one],
    };
    if inputs.is_empty() || inputs.len() > MAX_INPUTS {
        let expected = format!("1 to {MAX_INPUTS} inputs");
        return Err(ApiError::value("input", &expected, inputs.len()));
    }
    let input = |input: Value| match input {
        Value::String(address) if are_pictures(&address) => {
            picture::from_url("input", &address).map(Input::Picture)
        }
        Value::String(text) => Ok(Input::Text(text)),
        Value::Object(mut object) => match (object.remove("text"), object.remove("image")) {
            (Some(Value::String(text)), None) => Ok(Input::Text(text)),
            (None, Some(image)) => file("input", &image).map(Input::Picture),
            _ => Err(ApiError::value(
                "input",
                "{\"text\"} or {\"image\"}",
                "an object without either, or with both",
            )),
        },
        other => Err(ApiError::value("input", "a text, {\"text\"} or {\"image\"}", kind(&other))),
    };
    inputs.into_iter().map(input).collect()
}

/// vLLM's form: a conversation that holds one text or one picture.
fn conversation(messages: &Value) -> ApiResult<Input> {
    let wrong =
        |found: &str| ApiError::value("messages", "messages of one text or one picture", found);
    let messages = messages.as_array().ok_or_else(|| wrong(kind(messages)))?;
    let (mut texts, mut pictures) = (Vec::new(), Vec::new());
    for message in messages {
        match &message["content"] {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(parts) => {
                for part in parts {
                    match (part["text"].as_str(), part.get("image_url")) {
                        (Some(text), None) => texts.push(text),
                        (None, Some(_)) => pictures.push(file("messages", part)?),
                        _ => return Err(wrong("another part")),
                    }
                }
            }
            other => return Err(wrong(kind(other))),
        }
    }
    let text = texts.concat();
    match (text.trim().is_empty() || is_placeholder(&text), pictures.pop()) {
        (true, Some(picture)) if pictures.is_empty() => Ok(Input::Picture(picture)),
        (_, Some(_)) => Err(wrong("more")),
        (_, None) if texts.is_empty() => Err(wrong("neither")),
        (_, None) => Ok(Input::Text(text)),
    }
}

/// Whether a text is only what some models want beside a picture, such as
/// `<|vision_start|><|image_pad|><|vision_end|>`.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("<|") && text.ends_with("|>") && !text.contains(char::is_whitespace)
}

async fn embed(
    embedder: &Arc<dyn Embedder>,
    inputs: Vec<Input>,
) -> ApiResult<(Vec<Embedding>, Usage)> {
    let (mut texts, mut files, mut are_texts) = (Vec::new(), Vec::new(), Vec::new());
    for input in inputs {
        are_texts.push(matches!(input, Input::Text(_)));
        match input {
            Input::Text(text) => texts.push(text),
            Input::Picture(file) => files.push(file),
        }
    }
    let images = picture::decode("input", files).await?;
    let failed = |error| ApiError::of(&error, None);
    let (mut of_texts, mut of_images) = (Embedded::default(), Embedded::default());
    if !texts.is_empty() {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        of_texts = embedder.embed_texts(&texts).await.map_err(failed)?;
    }
    if !images.is_empty() {
        of_images = embedder.embed_images(&images).await.map_err(failed)?;
    }
    let usage = [&of_texts, &of_images].into_iter().filter_map(|some| some.usage).sum();
    let (mut of_texts, mut of_images) = (of_texts.into_iter(), of_images.into_iter());
    let next = |is_text| if is_text { of_texts.next() } else { of_images.next() };
    let embeddings: Option<Vec<_>> = are_texts.into_iter().map(next).collect();
    match embeddings {
        Some(embeddings) => Ok((embeddings, usage)),
        None => Err(ApiError::internal(format!(
            "{embedder}: expected one embedding an input, found fewer"
        ))),
    }
}

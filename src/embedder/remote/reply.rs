//! What a service answered to one vector for each input, in whatever form it comes.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use crate::embedder::Embedding;
use crate::net::reply::Service;
use crate::net::stream::Body;
use crate::{Result, Usage};

/// What a reply should be.
pub(super) const EXPECTED: &str = "a list of embeddings";

/// The vectors in `body`, for `count` inputs in their order, and what they took. Each has `dim` values
/// where that is known, and otherwise as many as the first. In place of what is no vector, while others
/// are, there is the error.
///
/// The vectors are in `data[].embedding` (OpenAI, vLLM, Jina, infinity, Voyage), in `embeddings.float`
/// (Cohere) or `embeddings[].values` (Gemini); a list alone, or one vector alone, is read as well. Each
/// is a list of numbers, which may be written as strings and lie in a further list, or the base64 of
/// little-endian `f32`. Where the service numbers them (`index`), that is their order.
pub(super) fn read(
    body: &Body,
    service: &Service,
    count: usize,
    dim: Option<usize>,
) -> Result<(Vec<Result<Embedding>>, Option<Usage>)> {
    let body = match body {
        Body::Whole(value) => value,
        Body::Stream(values, _) if values.len() == 1 => &values[0],
        Body::Stream(..) => return Err(service.invalid_reply(EXPECTED, "a stream")),
    };
    let invalid = |expected: &str, found: String| service.invalid_reply(expected, &found);
    let Some(entries) = entries(body) else {
        return Err(invalid(EXPECTED, body.to_string()));
    };
    if entries.len() != count {
        let expected = format!("{count} embeddings, one for each input");
        return Err(invalid(&expected, entries.len().to_string()));
    }
    let mut dim = dim;
    let mut vectors = Vec::with_capacity(count);
    for (number, entry) in in_order(&entries).map_err(|problem| invalid(EXPECTED, problem))? {
        let which = |found: String| format!("{found} for input {} of {count}", number + 1);
        let read = || {
            let values =
                vector(entry).map_err(|found| invalid("a list of numbers", which(found)))?;
            let dim = dim.unwrap_or(values.len());
            if values.len() != dim {
                let expected = format!("{dim} values an embedding");
                return Err(invalid(&expected, which(values.len().to_string())));
            }
            let expected = "finite values that are not all 0";
            let embedding = Embedding::new(values);
            embedding.map_err(|error| invalid(expected, which(error.to_string())))
        };
        let read = read();
        dim = dim.or_else(|| read.as_ref().ok().map(Embedding::dim));
        vectors.push(read);
    }
    if vectors.iter().all(Result::is_err) {
        vectors.drain(..).collect::<Result<Vec<_>>>()?; // The first error.
    }
    Ok((vectors, usage(body)))
}

/// The list of vectors in a body.
fn entries(body: &Value) -> Option<Vec<&Value>> {
    let names = ["data", "embeddings", "embedding"];
    let place = names.iter().map(|name| &body[*name]).find(|place| !place.is_null());
    let place = place.unwrap_or(body);
    // Cohere's are by their type.
    let by_type = TYPES.iter().map(|name| &place[*name]).find(|list| list.is_array());
    match by_type.unwrap_or(place) {
        Value::Array(values) if values.first().is_some_and(Value::is_number) => Some(vec![place]),
        Value::Array(all) => Some(all.iter().collect()),
        one if vector(one).is_ok() => Some(vec![one]),
        _ => None,
    }
}

/// The entries in the order of the inputs, each with its number. The index 0 may be left out, as
/// Google's encoders of JSON do.
fn in_order<'a>(entries: &[&'a Value]) -> Result<Vec<(usize, &'a Value)>, String> {
    let count = entries.len();
    let index = |entry: &Value| number(&entry["index"]).filter(|index| *index >= 0.0);
    if entries.iter().all(|entry| index(entry).is_none()) {
        return Ok(entries.iter().copied().enumerate().collect());
    }
    let mut places = vec![None; count];
    for entry in entries {
        let index = index(entry).unwrap_or(0.0) as usize;
        match places.get_mut(index) {
            Some(place @ None) => *place = Some(*entry),
            Some(_) => return Err(format!("two with the index {index}")),
            None => return Err(format!("the index {index} of {count}, counted from 0")),
        }
    }
    Ok(places.into_iter().flatten().enumerate().collect())
}

/// The names under which a vector may stand.
const FIELDS: [&str; 3] = ["embedding", "values", "vector"];
/// The same by the type of its values; lists of other types are no `f32`.
const TYPES: [&str; 2] = ["float", "base64"];

/// The values of one vector, or what is there in place of them.
fn vector(entry: &Value) -> Result<Vec<f32>, String> {
    match entry {
        Value::Object(fields) => {
            let names = FIELDS.iter().chain(&TYPES);
            let found = names.filter_map(|name| fields.get(*name)).find(|found| !found.is_null());
            found.map_or_else(|| Err(entry.to_string()), vector)
        }
        Value::Array(all) => match &all[..] {
            [one @ (Value::Array(_) | Value::Object(_))] => vector(one),
            [one @ Value::String(text)] if number(one).is_none() => little_endian(text),
            [Value::Array(_) | Value::Object(_), ..] => Err(format!("{} vectors", all.len())),
            values => {
                let value = |value| number(value).ok_or_else(|| format!("{value}"));
                values.iter().map(|one| Ok(value(one)? as f32)).collect()
            }
        },
        Value::String(text) => little_endian(text),
        other => Err(other.to_string()),
    }
}

/// A number, which may be written as a string.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The values of a vector in base64.
fn little_endian(text: &str) -> Result<Vec<f32>, String> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.trim();
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let bytes = GeneralPurpose::new(alphabet, config).decode(text);
    let bytes = bytes.map_err(|error| format!("a text that is no base64 ({error})"))?;
    match bytes.as_chunks() {
        (values, []) => Ok(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        _ => Err(format!("{} bytes in base64, no multiple of 4", bytes.len())),
    }
}

/// The tokens that a service tells of. All of them are of the request.
fn usage(body: &Value) -> Option<Usage> {
    let units = &body["meta"]["billed_units"];
    // Cohere's, which tells texts and pictures apart.
    let billed = ["input_tokens", "image_tokens"].map(|name| number(&units[name]));
    let billed = billed.iter().flatten().copied().reduce(|a, b| a + b);
    let names =
        ["total_tokens", "prompt_tokens", "input_tokens", "totalTokenCount", "promptTokenCount"];
    let places = [&body["usage"], &body["usageMetadata"]];
    let told = places.iter().find_map(|at| names.iter().find_map(|name| number(&at[*name])));
    Some(Usage::tokens(billed.or(told)? as u64, 0))
}

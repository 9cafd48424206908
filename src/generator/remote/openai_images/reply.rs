//! The reply of an images API to the picture in it, what it charged, and what became of the prompt, in
//! whatever form it comes.

use serde_json::Value;

use crate::net::reply::Service;
use crate::net::stream::Body;
use crate::net::tokens::tokens;
use crate::{Error, Result, Usage};

/// What the service's reply should be, in errors.
pub(super) const EXPECTED: &str = "a list of images";
/// How much of a prompt that a service rewrote is told, in characters.
const REVISED: usize = 2_000;

/// What a reply holds.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) picture: Picture,
    pub(super) usage: Usage,
    /// The prompt as the service rewrote it.
    pub(super) revised_prompt: Option<String>,
}

/// A picture, or where it is.
#[derive(Debug, PartialEq)]
pub(super) enum Picture {
    /// Base64, or a data URL.
    Base64(String),
    Url(String),
}

/// Reads the body of a reply of `service`: a list of images, or a stream of events of which the last is
/// the image.
///
/// # Errors
/// [`Error::Refused`] where the service has filtered every image; one that is transient where it gave
/// nothing, or a stream that broke off.
pub(super) fn read(body: Body, service: &Service) -> Result<Found> {
    match body {
        Body::Whole(body) => found(body, service),
        Body::Stream(mut events, _) => {
            let count = events.len();
            let last = events.iter().rposition(is_final).map(|last| events.swap_remove(last));
            found(
                last.ok_or_else(|| {
                    service
                        .broke_off(format!("the stream ended after {count} events, none an image"))
                })?,
                service,
            )
        }
    }
}

/// The number of a partial image, from 0, and its base64, if `event` of a stream is one.
pub(super) fn partial(event: &mut Value) -> Option<(Option<u64>, String)> {
    let number = event["partial_image_index"].as_u64();
    is_partial(event).then_some(())?;
    match picture(event)? {
        Picture::Base64(base64) => Some((number, base64)),
        Picture::Url(_) => None,
    }
}

fn is_partial(event: &Value) -> bool {
    !event["partial_image_index"].is_null()
        || event["type"].as_str().is_some_and(|kind| kind.ends_with("partial_image"))
}

/// Whether an event of a stream is the image in the end.
pub(super) fn is_final(event: &Value) -> bool {
    !is_partial(event) && entries(event).iter().any(|entry| text_of(entry).is_some())
}

fn found(mut body: Value, service: &Service) -> Result<Found> {
    let count = entries(&body).iter().filter(|entry| text_of(entry).is_some()).count();
    if count == 0 || is_partial(&body) {
        return Err(without_image(&body, service));
    }
    let mut usage = tokens(&body["usage"]).unwrap_or_default();
    usage.images = count as u64;
    let first = entries_mut(&mut body).into_iter().find(|entry| text_of(entry).is_some());
    let mut entry = first.map(Value::take).unwrap_or_default();
    let revised = [&entry["revised_prompt"], &body["revised_prompt"]];
    let revised = revised.iter().find_map(|prompt| prompt.as_str());
    let revised_prompt = revised
        .map(|prompt| service.secrets.shorten(prompt, REVISED))
        .filter(|prompt| !prompt.is_empty());
    match picture(&mut entry) {
        Some(picture) => Ok(Found { picture, usage, revised_prompt }),
        None => Err(without_image(&body, service)),
    }
}

/// Where services put their images: OpenAI's list, and that of others.
const LISTS: [&str; 2] = ["data", "images"];
/// The fields of an image: OpenAI's two, and those of gateways.
const FIELDS: [&str; 5] = ["b64_json", "url", "base64", "image", "image_url"];

/// The images of a body: in a list, alone in its place, or the body itself.
fn entries(body: &Value) -> Vec<&Value> {
    match LISTS.iter().map(|name| &body[*name]).find(|list| !list.is_null()) {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one) => vec![one],
        None => vec![body],
    }
}

fn entries_mut(body: &mut Value) -> Vec<&mut Value> {
    match LISTS.iter().find(|name| !body[**name].is_null()) {
        Some(name) => match &mut body[*name] {
            Value::Array(all) => all.iter_mut().collect(),
            one => vec![one],
        },
        None => vec![body],
    }
}

/// The text of an image, and the field that it stands in.
fn text_of(entry: &Value) -> Option<(&'static str, &str)> {
    let text = |value: &'_ Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    if text(entry) {
        return Some(("", entry.as_str()?));
    }
    FIELDS.iter().find_map(|name| match &entry[*name] {
        value if text(value) => Some((*name, value.as_str()?)),
        // As in the messages of a chat.
        value if text(&value["url"]) => Some(("url", value["url"].as_str()?)),
        _ => None,
    })
}

fn picture(entry: &mut Value) -> Option<Picture> {
    let (field, text) = text_of(entry)?;
    let start = text.trim_start();
    let has_scheme = |scheme: &str| {
        start.get(..scheme.len()).is_some_and(|found| found.eq_ignore_ascii_case(scheme))
    };
    // A JPEG in base64 begins with a slash, as a path does.
    let is_link = matches!(field, "url" | "image_url") && !has_scheme("data:");
    Some(match is_link || has_scheme("http://") || has_scheme("https://") {
        true => Picture::Url(text.to_owned()),
        false => Picture::Base64(text.to_owned()),
    })
}

/// The error of a body without an image: that the service filtered it, or failed.
fn without_image(body: &Value, service: &Service) -> Error {
    let told = entries(body).into_iter().find_map(|entry| service.error_in(entry, 200));
    if let Some(error) = told {
        return error;
    }
    if let Some(reason) = filtered(body) {
        return Error::refused(&service.name, reason);
    }
    service.failed(200, &format!("no image in {body}")) // Transient, as the status is no error's.
}

/// What a content filter of Azure found: `{"violence": {"filtered": true, "severity": "high"}}` somewhere
/// in the results of a prompt or of an image; or that a reason to end is one.
fn filtered(body: &Value) -> Option<String> {
    match body {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match name.as_str() {
            _ if value["filtered"] == true => Some(format!("content filter: {name}")),
            "finish_reason" | "finishReason" | "status" => {
                let reason = value.as_str()?;
                let lower = reason.to_ascii_lowercase();
                let is_filter = ["content_filter", "contentfilter", "moderat", "safety", "nsfw"];
                is_filter
                    .iter()
                    .any(|word| lower.contains(word))
                    .then(|| format!("{name}: {reason}"))
            }
            _ => filtered(value),
        }),
        Value::Array(all) => all.iter().find_map(filtered),
        _ => None,
    }
}

//! `POST /v1/images/generations` and `/v1/images/edits`: a request to a job, and its images to a reply.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::IntoResponse;
use imagerag::Usage;
use serde_json::{Value, json};

use super::app::{App, Links};
use super::draw::{Picture, draw};
use super::error::{ApiError, ApiResult};
use super::fields::Fields;
use super::picture::{base64, blocking};
use super::request::Job;
use super::store::File;
use super::stream::stream;

/// The header with the address of a trace.
pub(crate) const TRACE: HeaderName = HeaderName::from_static("x-imagerag-trace");

pub(crate) async fn generations(State(app): State<Arc<App>>, request: Request) -> ApiResult {
    answer(app, request, false).await
}

pub(crate) async fn edits(State(app): State<Arc<App>>, request: Request) -> ApiResult {
    answer(app, request, true).await
}

async fn answer(app: Arc<App>, request: Request, is_edit: bool) -> ApiResult {
    let links = app.links(request.headers());
    let (fields, _held) = Fields::read(request, &app.bodies).await?;
    let (job, pictures) = Job::new(fields, is_edit, &app.served, |name| app.model(name))?;
    let most = app.store.most();
    if job.by_url && job.n > most {
        let expected = format!("at most {most} images by url, as this server keeps (--keep)");
        return Err(ApiError::value("n", &expected, job.n));
    }
    let place = app.queue.enter()?;
    if job.stream.is_some() {
        let job = job.with_pictures(pictures).await?;
        return Ok(stream(app, job, place, links));
    }
    let work = async {
        let job = job.with_pictures(pictures).await?;
        let drawn = draw(&app.served, &app.store, &job, Arc::new(|_| {})).await;
        let pictures = drawn.map_err(|error| links.in_error(error))?;
        reply(&app, &links, &job, pictures).await
    };
    place.work(work).await
}

async fn reply(app: &App, links: &Links, job: &Job, mut pictures: Vec<Picture>) -> ApiResult {
    // The traces of more images than are kept are gone already.
    for picture in &mut pictures {
        picture.trace = picture.trace.take().filter(|trace| app.store.trace(trace).is_some());
    }
    let format = job.format;
    let images: Vec<_> = pictures.iter().map(|picture| picture.image.clone()).collect();
    let encode = move || images.iter().map(|image| format.encode(image)).collect();
    let files: imagerag::Result<Vec<Vec<u8>>> = blocking(encode).await?;
    let files = files.map_err(|error| ApiError::of(&error, None))?;
    let mut data = Vec::new();
    for (picture, bytes) in pictures.iter().zip(files) {
        let mut one = json!({ "seed": picture.seed });
        if job.by_url {
            let file = File { format: format.name(), bytes: bytes.into() };
            one["url"] = links.file(&app.store.keep_file(file)?, format.name()).into();
        } else {
            one["b64_json"] = base64(&bytes).into();
        }
        if let Some(prompt) = &picture.revised_prompt {
            one["revised_prompt"] = prompt.as_str().into();
        }
        if let Some(note) = &picture.note {
            one["note"] = note.as_str().into();
        }
        if let Some(trace) = &picture.trace {
            one["trace"] = links.trace(trace).into();
        }
        data.push(one);
    }
    let mut body = json!({ "created": now(), "data": data, "usage": usage(&pictures) });
    about(&mut body, links, job, &pictures);
    let trace = body["trace"].as_str().map(HeaderValue::from_str);
    let mut headers = HeaderMap::new();
    headers.extend(trace.and_then(Result::ok).map(|trace| (TRACE, trace)));
    Ok((headers, Json(body)).into_response())
}

/// What replies and streams say of their images beside the images.
pub(crate) fn about(body: &mut Value, links: &Links, job: &Job, pictures: &[Picture]) {
    body["output_format"] = job.format.name().into();
    body["background"] = "opaque".into();
    if let Some(first) = pictures.first() {
        body["size"] = format!("{}x{}", first.image.width(), first.image.height()).into();
    }
    if let Some(trace) = pictures.iter().find_map(|picture| picture.trace.as_ref()) {
        body["trace"] = links.trace(trace).into();
    }
    if !job.ignored.is_empty() {
        body["ignored"] = job.ignored.as_slice().into();
    }
}

/// What services behind the parts charge for, in OpenAI's terms; without such, nothing.
pub(crate) fn usage(pictures: &[Picture]) -> Value {
    let usage: Usage = pictures.iter().map(|picture| picture.usage).sum();
    let (input, output) = (usage.prompt_tokens, usage.completion_tokens);
    json!({
        "input_tokens": input,
        "input_tokens_details": { "image_tokens": 0, "text_tokens": input },
        "output_tokens": output,
        "total_tokens": input.saturating_add(output),
        "images": usage.images,
    })
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Links {
    /// The error with the address of its trace in place of its id.
    pub(crate) fn in_error(&self, mut error: ApiError) -> ApiError {
        error.trace = error.trace.map(|id| self.trace(&id).into());
        error
    }
}

//! A job to server-sent events: what there is so far, then the image.

use std::convert::Infallible;
use std::sync::Arc;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::channel::mpsc::unbounded;
use futures::{StreamExt, future, stream};
use imagerag::Image;
use serde_json::{Value, json};

use super::app::{App, Links};
use super::draw::{Picture, Update, draw};
use super::error::{ApiError, ApiResult};
use super::images::{about, now, usage};
use super::picture::{base64, blocking};
use super::queue::Place;
use super::request::Job;

/// Something that becomes an event.
enum Message {
    Update(Update),
    Ended(ApiResult<Vec<Picture>>),
}

/// What events are made with.
struct Told {
    links: Links,
    job: Job,
}

/// The events of `job`. Comments tell of its progress; clients skip them. The work is part of the body, so
/// that it ends with the connection.
pub(crate) fn stream(app: Arc<App>, job: Job, place: Place, links: Links) -> Response {
    let (sender, messages) = unbounded();
    let told = Arc::new(Told { links, job: job.clone() });
    let work = async move {
        let updates = sender.clone();
        let tell = Arc::new(move |update| {
            // Whoever has left needs no news.
            let _ = updates.unbounded_send(Message::Update(update));
        });
        let result = place.work(draw(&app.served, &app.store, &job, tell)).await;
        let _ = sender.unbounded_send(Message::Ended(result));
        // Whoever still holds the listener to the steps has nothing more to say.
        sender.close_channel();
    };
    let mut sent = 0usize;
    let events = messages.then(move |message| {
        let told = Arc::clone(&told);
        let index = sent;
        sent += usize::from(matches!(message, Message::Update(Update::Partial(_))));
        async move { Ok::<_, Infallible>(event(&told, index, message).await) }
    });
    let work = stream::once(work).filter_map(|()| future::ready(None));
    let events = stream::select(events, work);
    Sse::new(events).keep_alive(KeepAlive::default().text("at work")).into_response()
}

async fn event(told: &Told, index: usize, message: Message) -> Event {
    let made = match message {
        Message::Update(Update::Note(note)) => return Event::default().comment(line(&note)),
        Message::Update(Update::Partial(image)) => partial(told, index, image).await,
        Message::Ended(Ok(pictures)) => completed(told, pictures).await,
        Message::Ended(Err(error)) => Err(error),
    };
    let (name, data) =
        made.unwrap_or_else(|error| ("error".to_owned(), told.links.in_error(error).json()));
    let failed = |error| Event::default().comment(line(&format!("an event was lost: {error}")));
    Event::default().event(name).json_data(data).unwrap_or_else(failed)
}

/// A comment, which has one line.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

type Named = (String, Value);

async fn partial(told: &Told, index: usize, image: Image) -> ApiResult<Named> {
    let size = format!("{}x{}", image.width(), image.height());
    let mut data = body(told, "partial_image", image).await?;
    about(&mut data.1, &told.links, &told.job, &[]);
    data.1["size"] = size.into();
    data.1["partial_image_index"] = index.into();
    Ok(data)
}

async fn completed(told: &Told, pictures: Vec<Picture>) -> ApiResult<Named> {
    let Some(first) = pictures.first() else {
        return Err(ApiError::internal("expected an image, found none"));
    };
    let mut data = body(told, "completed", first.image.clone()).await?;
    about(&mut data.1, &told.links, &told.job, &pictures);
    data.1["usage"] = usage(&pictures);
    if let Some(note) = &first.note {
        data.1["note"] = note.as_str().into();
    }
    data.1["seed"] = first.seed.into();
    if let Some(prompt) = &first.revised_prompt {
        data.1["revised_prompt"] = prompt.as_str().into();
    }
    Ok(data)
}

/// The name of an event, and what all events of images hold.
async fn body(told: &Told, event: &str, image: Image) -> ApiResult<Named> {
    let format = told.job.format;
    let bytes = blocking(move || format.encode(&image)).await?;
    let bytes = bytes.map_err(|error| ApiError::of(&error, None))?;
    let of = if told.job.is_edit { "image_edit" } else { "image_generation" };
    let name = format!("{of}.{event}");
    let data = json!({
        "type": name,
        "b64_json": base64(&bytes),
        "created_at": now(),
        "quality": "auto",
    });
    Ok((name, data))
}

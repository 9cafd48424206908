//! [`Job`]: the work of a server, from its submission to its image; cancelled where nobody waits
//! any more.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use serde_json::Value;

use super::{ROOT, Shared};
use crate::net::reply::Service;
use crate::net::stream::Body;
use crate::{Error, Result, net};

const EXPECTED: &str = "a job of an sd-server";
/// The first wait between two questions; each further one is half as long again.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// How often a state that nobody knows is asked about. It may be one on the way, or an end.
const MAX_UNKNOWN: u32 = 10;
/// States of a job that is on its way: the server's own, and those that its forks may have.
const WAITING: [&str; 12] = [
    "created",
    "generating",
    "in_progress",
    "loading",
    "pending",
    "preparing",
    "processing",
    "queued",
    "running",
    "starting",
    "submitted",
    "waiting",
];

/// What is in the states of a job that has ended without an image.
const ENDS: [&str; 7] = ["abort", "error", "expired", "fail", "moderated", "reject", "timed"];

/// A job that the server has taken.
pub(super) struct Job {
    shared: Arc<Shared>,
    id: String,
    /// Whether the server is known to be done with it.
    is_over: bool,
}

impl Job {
    /// Has the server draw `body`. It goes on to the end if the caller leaves meanwhile, so that
    /// the job is known, and cancelled.
    pub(super) async fn submit(shared: &Arc<Shared>, body: String) -> Result<Self> {
        let (sender, submitted) = oneshot::channel();
        let shared = Arc::clone(shared);
        net::spawn(async move {
            let client = &shared.client;
            let read = |body| id(&body, client.service());
            let submitted =
                client.submit_json(&format!("{ROOT}/img_gen"), &body, EXPECTED, read).await;
            let job = submitted.map(|id| Self { shared: Arc::clone(&shared), id, is_over: false });
            drop(sender.send(job)); // Where nobody takes it, the job is dropped here.
        });
        submitted.await.unwrap_or_else(|_| Err(Error::backend(super::NAME, "its task ended")))
    }

    /// The image in base64, and how many jobs were before it when it was first asked about; within
    /// `limit`.
    pub(super) async fn finish(
        mut self,
        interval: Duration,
        limit: Duration,
    ) -> Result<(String, u64)> {
        let finished = tokio::time::timeout(limit, self.poll(interval)).await;
        finished.unwrap_or_else(|_| {
            let what = format!("an image of {}", self.shared.client.service().name);
            Err(Error::timeout(what, limit))
        })
    }

    async fn poll(&mut self, interval: Duration) -> Result<(String, u64)> {
        let client = &self.shared.client;
        let endpoint = format!("{ROOT}/jobs/{}", self.id);
        let (mut wait, mut jobs_before) = (FIRST_WAIT.min(interval), None);
        let mut unknown = 0;
        loop {
            tokio::time::sleep(wait).await;
            wait = wait.mul_f64(1.5).min(interval);
            let read = |body| state(&body, client.service());
            match client.get_state(&endpoint, EXPECTED, read).await {
                Ok(State::Waiting { position }) => {
                    jobs_before.get_or_insert(position.saturating_sub(1));
                }
                Ok(State::Unknown(error)) => {
                    unknown += 1;
                    if unknown == MAX_UNKNOWN {
                        return Err(error);
                    }
                }
                Ok(State::Completed(image)) => {
                    self.is_over = true;
                    return Ok((image?, jobs_before.unwrap_or_default()));
                }
                Ok(State::Failed(error)) => {
                    self.is_over = true;
                    return Err(error);
                }
                Err(error) => {
                    let gone = gone(error);
                    self.is_over = matches!(gone, Error::Service { status: 404 | 410, .. });
                    if self.is_over {
                        *self.shared.capabilities.lock().await = None; // It may have another model now.
                    }
                    return Err(gone);
                }
            }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.is_over {
            let (shared, id) = (Arc::clone(&self.shared), std::mem::take(&mut self.id));
            net::spawn(
                async move { shared.client.notify(&format!("{ROOT}/jobs/{id}/cancel")).await },
            );
        }
    }
}

/// What a server says of a job.
enum State {
    /// Queued or generating, and its place in the queue from 1; 0 where it is in none.
    Waiting {
        position: u64,
    },
    /// With the image in base64, if there is one.
    Completed(Result<String>),
    Failed(Error),
    /// In a state that nobody knows, without a word of an error.
    Unknown(Error),
}

/// Of a job that the server does not know, `error` with what that means.
fn gone(mut error: Error) -> Error {
    if let Error::Service { status: 404 | 410, message, .. } = &mut error {
        *message += ": it was restarted, or has forgotten the job";
    }
    error
}

fn id(body: &Body, service: &Service) -> Result<String> {
    let Body::Whole(job) = body else { return Err(no_job(body, service)) };
    match &job["id"] {
        Value::String(id) if !id.trim().is_empty() => Ok(id.trim().to_owned()),
        Value::Number(id) => Ok(id.to_string()),
        _ => Err(no_job(body, service)),
    }
}

fn state(body: &Body, service: &Service) -> Result<State> {
    let Body::Whole(job) = body else { return Err(no_job(body, service)) };
    let Some(status) = job["status"].as_str() else {
        // An error of this call and not of a job.
        return Err(service.error_in(job, 200).unwrap_or_else(|| no_job(body, service)));
    };
    let error = &job["error"];
    let said = [&error["message"], error, &error["code"], &job["message"]];
    let said =
        said.iter().filter_map(|words| words.as_str()).find(|words| !words.trim().is_empty());
    let shorten = |words: &str| service.secrets.shorten(words, crate::net::reply::QUOTED);
    let words = || shorten(said.unwrap_or("it does not say why"));
    let position = job["queue_position"].as_u64().unwrap_or_default();
    let lower = status.to_ascii_lowercase();
    let refused = service.error_in(job, 200).filter(|error| matches!(error, Error::Refused { .. }));
    Ok(match lower.as_str() {
        "completed" => State::Completed(image(&job["result"], service)),
        "failed" => {
            State::Failed(refused.unwrap_or_else(|| Error::backend(&service.name, words())))
        }
        "cancelled" | "canceled" => {
            let words = format!("somebody else cancelled the job: {}", words());
            State::Failed(Error::backend(&service.name, words))
        }
        _ if WAITING.contains(&&*lower.replace(['-', ' '], "_")) => State::Waiting { position },
        _ => {
            let words = format!("the job's status is {:?}: {}", shorten(status), words());
            let error = match lower.contains("moderated") {
                true => Error::refused(&service.name, words),
                false => Error::backend(&service.name, words),
            };
            match (refused, said.is_some() || ENDS.iter().any(|end| lower.contains(end))) {
                (Some(refused), _) => State::Failed(refused),
                (None, true) => State::Failed(error),
                (None, false) => State::Unknown(error),
            }
        }
    })
}

/// The first image of a result.
fn image(result: &Value, service: &Service) -> Result<String> {
    let images = result["images"].as_array().into_iter().flatten();
    let index = |image: &&Value| image["index"].as_u64().unwrap_or_default();
    let with_data =
        images.filter(|image| image["b64_json"].as_str().is_some_and(|data| !data.is_empty()));
    let first = with_data.min_by_key(index).and_then(|image| image["b64_json"].as_str());
    first
        .map(str::to_owned)
        .ok_or_else(|| service.invalid_reply("a completed job with an image", "none"))
}

fn no_job(body: &Body, service: &Service) -> Error {
    let found = match body {
        Body::Whole(value) => value.to_string(),
        Body::Stream(..) => "a stream".to_owned(),
    };
    service.invalid_reply(EXPECTED, &found)
}

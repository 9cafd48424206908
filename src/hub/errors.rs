//! What the hub's client reports to errors by what the caller can do about them.

use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;

use hf_hub::HFError;

use super::place::Place;
use crate::Error;

/// Sorts an error of a call about `place`. `hub` is where the hub is; the token is not quoted.
pub(super) fn sort(
    error: HFError,
    hub: &str,
    token: Option<&str>,
    place: &Place,
    cache: &Path,
) -> Error {
    let (repo, revision) = (place.repo(), place.revision());
    let context = match &error {
        HFError::AuthRequired { context }
        | HFError::Forbidden { context }
        | HFError::Conflict { context }
        | HFError::RateLimited { context, .. }
        | HFError::Http { context } => Some(context),
        HFError::RepoNotFound { context, .. }
        | HFError::RevisionNotFound { context, .. }
        | HFError::EntryNotFound { context, .. } => context.as_ref(),
        _ => None,
    };
    let known = context.map(|context| context.status.as_u16());
    let code = context.and_then(|context| context.error_code.clone()).unwrap_or_default();
    let said = context.and_then(|context| context.server_message.clone()).unwrap_or_default();
    let said = token.map_or_else(|| said.clone(), |token| said.replace(token, "[redacted]"));
    let failed = |status: u16, message: String, retry_after: Option<Duration>| Error::Service {
        service: service(hub),
        status: known.unwrap_or(status),
        message,
        retry_after,
    };
    let not_there = || {
        format!(
            "{repo} is not there, or it is private: check the name; a private one needs HF_TOKEN"
        )
    };
    let gated = || format!("{repo} is gated: accept its terms at {hub}/{repo} and set HF_TOKEN");
    match error {
        _ if code == "GatedRepo" => failed(403, gated(), None),
        _ if code == "RepoNotFound" => failed(404, not_there(), None),
        HFError::RepoNotFound { .. } => failed(404, not_there(), None),
        _ if code == "RevisionNotFound" => {
            failed(404, format!("{repo} has no revision {revision}"), None)
        }
        HFError::RevisionNotFound { .. } => {
            failed(404, format!("{repo}, or its revision {revision}, is not there"), None)
        }
        HFError::EntryNotFound { path, .. } => {
            failed(404, format!("{repo} has no file {path} at {revision}"), None)
        }
        HFError::AuthRequired { .. } => {
            failed(401, format!("{repo} needs a token that it accepts in HF_TOKEN: {said}"), None)
        }
        HFError::Forbidden { .. } => {
            failed(403, format!("{repo} is not for this token: {said}"), None)
        }
        HFError::RateLimited { retry_after, .. } => failed(429, said, retry_after),
        HFError::Http { .. } | HFError::Conflict { .. } => {
            let message = if said.is_empty() { format!("no reason, about {place}") } else { said };
            failed(500, message, None)
        }
        HFError::CacheLockTimeout { path } => Error::Timeout {
            what: format!("another download's lock {}", path.display()),
            // The client's own limit.
            limit: Duration::from_secs(10),
        },
        HFError::Io(source) => Error::io(cache, source),
        HFError::Request { source, .. } if !is_nonsense(&source) => {
            Error::Connection { service: service(hub), source: causes(&source).into() }
        }
        HFError::Xet { source, .. } => {
            Error::Connection { service: service(hub), source: causes(&*source).into() }
        }
        other => Error::InvalidReply {
            service: service(hub),
            expected: format!("what the hub says about {place}"),
            found: causes(&other),
        },
    }
}

/// The hub, as errors name it.
pub(super) fn service(hub: &str) -> String {
    format!("the hub at {hub}")
}

/// A place that is needed and neither in the cache nor allowed to be fetched.
pub(super) fn not_cached(place: &Place, missing: &str) -> Error {
    Error::Unavailable {
        what: place.to_string(),
        reason: format!("the cache lacks {missing}, and HF_HUB_OFFLINE forbids to fetch it"),
    }
}

/// Whether a reply arrived and was no JSON.
fn is_nonsense(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<serde_json::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error with its causes, as words.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        cause = error.source();
    }
    words
}

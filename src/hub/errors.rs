//! What the hub's client reports to errors by what the caller can do about them.

use std::error::Error as StdError;
use std::time::Duration;

use hf_hub::HFError;

use super::fetch::Fetch;
use super::place::Place;
use crate::Error;
use crate::error::chain::with_causes;

/// Sorts an error of a call of `fetch` about `place`; the token is not quoted.
pub(super) fn sort(error: HFError, fetch: &Fetch, place: &Place) -> Error {
    let (hub, service) = (fetch.client.endpoint(), fetch.service());
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
    let said = fetch.secrets.hide(&said);
    let failed = |status: u16, message: String, retry_after: Option<Duration>| Error::Service {
        service: service.clone(),
        status: known.unwrap_or(status),
        message,
        retry_after,
    };
    let not_there = || {
        let advice = "check the name; a private one needs HF_TOKEN";
        format!("{repo} is not there, or it is private: {advice}")
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
        HFError::Io(source) => Error::io(fetch.client.cache_dir(), source),
        HFError::Request { source, .. } if !is_nonsense(&source) => {
            Error::Connection { service, source: with_causes(&source, source.source()).into() }
        }
        HFError::Xet { source, .. } => {
            Error::Connection { service, source: with_causes(&source, source.source()).into() }
        }
        other => Error::InvalidReply {
            service,
            expected: format!("what the hub says about {place}"),
            found: with_causes(&other, other.source()),
        },
    }
}

/// Whether a reply arrived and was no JSON.
fn is_nonsense(error: &(dyn StdError + 'static)) -> bool {
    error.is::<serde_json::Error>() || error.source().is_some_and(is_nonsense)
}

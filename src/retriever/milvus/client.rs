//! A call of Milvus to its answer: in bounded time, tried again while the server is away, with
//! errors that name the address.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use milvus::v2::error::Error as SdkError;
use milvus::v2::prelude::ClientV2;

use crate::error::chain::with_causes;
use crate::net::retry::RetryPolicy;
use crate::{BoxError, Error, Result, net};

/// What a call of Milvus' own client gives.
pub(super) type SdkResult<T> = milvus::v2::error::Result<T>;

/// The wait before the second attempt; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// A connection that is made anew by whoever needs it after it broke.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) sdk: ClientV2,
    pub(super) about: About,
}

/// What errors and time-outs need to know of a connection.
#[derive(Clone)]
pub(super) struct About {
    /// Where the server is; holds no login.
    pub(super) address: String,
    /// How long one attempt may take.
    pub(super) timeout: Duration,
    /// For how long an attempt that cannot reach the server is followed by another.
    pub(super) patience: Duration,
}

impl Client {
    /// What `operation` gives for `request`. It must do no harm when it is done twice: where the
    /// connection broke, nobody knows whether it was done.
    ///
    /// # Errors
    /// [`Error::Connection`] when the server cannot be reached all the while, [`Error::Timeout`] when
    /// it does not answer, [`Error::Service`] when it refuses.
    pub(super) async fn call<R, T, F>(
        &self,
        request: SdkResult<R>,
        operation: impl Fn(ClientV2, R) -> F,
    ) -> Result<T>
    where
        R: Clone,
        F: Future<Output = SdkResult<T>>,
    {
        let request = request.map_err(|error| self.about.error(error))?;
        let retry = RetryPolicy {
            first_wait: FIRST_WAIT,
            max_wait: MAX_WAIT,
            time_limit: self.about.patience,
            ..RetryPolicy::new(u32::MAX)
        };
        let attempt = move || {
            let call = operation(self.sdk.clone(), request.clone());
            async move {
                let answer = tokio::time::timeout(self.about.timeout, call).await;
                answer.map_err(|_| self.about.timed_out())?.map_err(|error| self.about.error(error))
            }
        };
        retry.run(|error| matches!(error, Error::Connection { .. }), attempt).await
    }

    /// The same on the network's thread, so that any executor may poll it.
    pub(super) async fn ask<R, T, F>(
        &self,
        request: SdkResult<R>,
        operation: impl Fn(ClientV2, R) -> F + Send + 'static,
    ) -> Result<T>
    where
        R: Clone + Send + 'static,
        T: Send + 'static,
        F: Future<Output = SdkResult<T>> + Send + 'static,
    {
        let client = self.clone();
        net::run("Milvus", async move { client.call(request, operation).await }).await
    }
}

impl About {
    pub(super) fn timed_out(&self) -> Error {
        Error::Timeout { what: format!("a call of {self}"), limit: self.timeout }
    }

    pub(super) fn unreachable(&self, source: impl Into<BoxError>) -> Error {
        Error::Connection { service: self.to_string(), source: source.into() }
    }

    fn refused(&self, status: u16, message: &str) -> Error {
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Error::Service { service: self.to_string(), status, message, retry_after: None }
    }

    pub(super) fn senseless(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        let (service, expected, found) = (self.to_string(), expected.into(), found.into());
        Error::InvalidReply { service, expected, found }
    }

    pub(super) fn error(&self, error: SdkError) -> Error {
        match error {
            SdkError::Grpc(s) => self.grpc(s.code() as i32, s.message(), s.source()),
            SdkError::Server(error) => {
                let message = format!("{} (code {})", error.reason(), error.code());
                self.refused(http_status(error.code()), &message)
            }
            SdkError::RetryExhausted { source, .. } => self.error(*source),
            SdkError::Timeout(_) => self.timed_out(),
            SdkError::Validation(error) => {
                let what = format!("{} for {self}", error.parameter());
                Error::invalid_input(what, "what Milvus takes", error.reason())
            }
            SdkError::Conversion(_) | SdkError::MalformedResponse(_) => {
                self.senseless("an answer of Milvus", error.to_string())
            }
            other => Error::backend(self.to_string(), other),
        }
    }

    fn grpc(&self, code: i32, message: &str, source: Option<&(dyn StdError + 'static)>) -> Error {
        match code {
            grpc::UNAVAILABLE => self.unreachable(with_causes(message, source)),
            grpc::DEADLINE_EXCEEDED => self.timed_out(),
            // tonic's own words where its time limit is over.
            grpc::CANCELLED if message.contains("Timeout expired") => self.timed_out(),
            // Nobody here cancels calls: the connection went away below this one.
            grpc::CANCELLED => self.unreachable(with_causes(message, source)),
            // What came over the wire has no source; a connection that broke has one.
            _ if source.is_some() => self.unreachable(with_causes(message, source)),
            grpc::UNAUTHENTICATED => self.refused(401, message),
            grpc::PERMISSION_DENIED => self.refused(403, message),
            grpc::RESOURCE_EXHAUSTED => self.refused(429, message),
            grpc::INVALID_ARGUMENT | grpc::OUT_OF_RANGE => self.refused(400, message),
            grpc::UNIMPLEMENTED => self.refused(501, message),
            _ => self.refused(500, message),
        }
    }
}

/// gRPC's status codes, by their specification.
mod grpc {
    pub(super) const CANCELLED: i32 = 1;
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// What a collection is that the server has but does not search yet.
const NOT_LOADED: u16 = 409;

/// Whether the server has released the collection, as it may when it starts again.
pub(super) const fn is_not_loaded(error: &Error) -> bool {
    matches!(error, Error::Service { status: NOT_LOADED, .. })
}

/// Milvus' own codes (`pkg/util/merr` of its source) as the HTTP codes that callers know.
const fn http_status(code: i32) -> u16 {
    match code {
        1 | 2 => 503,
        4 | 8 | 9 => 429,
        100 | 200 => 404,
        101 => NOT_LOADED,
        6 | 1100..=1199 => 400,
        1400 => 401,
        1401 => 403,
        _ => 500,
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Milvus at {}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        let (timeout, patience) = (Duration::from_secs(1), Duration::ZERO);
        About { address: "http://localhost:19530".into(), timeout, patience }
    }

    #[test]
    fn a_broken_connection_is_told_from_a_refusal() {
        let broken = std::io::Error::other("reset by peer");
        let error = about().grpc(13, "h2 protocol error", Some(&broken));
        assert!(matches!(&error, Error::Connection { source, .. }
            if source.to_string() == "h2 protocol error: reset by peer"));
        assert_eq!(error.to_string(), "Milvus at http://localhost:19530 could not be reached");
        assert!(matches!(about().grpc(13, "panic", None), Error::Service { status: 500, .. }));
        assert!(matches!(about().grpc(16, "who?", None), Error::Service { status: 401, .. }));
        assert!(matches!(about().grpc(1, "Timeout expired", None), Error::Timeout { .. }));
        let gone = about().grpc(1, "operation was canceled", None);
        assert!(matches!(gone, Error::Connection { .. }), "{gone:?}");
    }

    #[test]
    fn codes_of_milvus_keep_their_meaning() {
        let codes = [(100, 404), (8, 429), (2, 503), (1100, 400), (1400, 401), (65_535, 500)];
        for (code, status) in codes {
            assert_eq!(http_status(code), status, "{code}");
        }
    }
}

//! [`Retry`]: repeats the calls of a part after transient errors.

use std::fmt;
use std::time::Duration;

use crate::generator::GenerateRequest;
use crate::net::retry::RetryPolicy;
use crate::{Error, Result};

/// A part that is asked again after a [transient](Error::is_transient) error: a time-out, a broken
/// connection, too many requests, an error of the server. Other errors are returned at once.
///
/// Between two attempts it waits as long as the service asked ([`Error::Service::retry_after`]). If
/// the service did not say, it waits `first_wait`, doubled with each attempt up to `max_wait`, with
/// jitter: a random share, at most half, is left out. If the service asks for more than `max_wait`,
/// its error is returned at once, with the time in it.
///
/// The whole call is repeated: ask a service that charges for each image for one image at a time. A
/// step that was reported is not reported again.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use std::time::Duration;
/// use imagerag::testing::FakeVlm;
/// use imagerag::middleware::Retry;
/// let vlm = Retry::new(FakeVlm::default(), 2).with_first_wait(Duration::from_millis(100));
/// assert_eq!(vlm.to_string(), "Retry(FakeVlm, 2)");
/// ```
#[derive(Clone, Debug)]
pub struct Retry<P> {
    pub(super) inner: P,
    policy: RetryPolicy,
}

impl<P> Retry<P> {
    /// Asks `inner` up to `1 + retries` times.
    pub const fn new(inner: P, retries: u32) -> Self {
        Self { inner, policy: RetryPolicy::new(retries) }
    }

    /// The wait before the first retry, doubled with each further one; 500 ms by default.
    #[must_use]
    pub const fn with_first_wait(mut self, wait: Duration) -> Self {
        self.policy.first_wait = wait;
        self
    }

    /// The longest wait between two attempts; one minute by default.
    #[must_use]
    pub const fn with_max_wait(mut self, wait: Duration) -> Self {
        self.policy.max_wait = wait;
        self
    }
}

impl<P> Retry<P> {
    /// `requests` whose listeners are not told again of a step that is taken again.
    pub(super) fn requests(requests: &[GenerateRequest]) -> Vec<GenerateRequest> {
        requests.iter().cloned().map(GenerateRequest::told_once).collect()
    }

    /// The outcome of `attempt`, made as often as it takes and the policy allows.
    pub(super) async fn call<T: Send, F: Future<Output = Result<T>> + Send>(
        &self,
        attempt: impl FnMut() -> F + Send,
    ) -> Result<T>
    where
        P: Sync,
    {
        self.policy.run(Error::is_transient, attempt).await
    }
}

impl<P: fmt::Display> fmt::Display for Retry<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.inner.fmt(f); // What changes results: nothing of this.
        }
        f.write_str("Retry(")?;
        self.inner.fmt(f)?;
        write!(f, ", {})", self.policy.max_retries)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures::executor::block_on;

    use super::*;
    use crate::Vlm;
    use crate::testing::FakeVlm;
    use crate::vlm::{ChatReply, ChatRequest};

    /// Gives one error after the other, then replies.
    fn faulty(errors: impl IntoIterator<Item = Error>) -> FakeVlm {
        let fake = errors.into_iter().fold(FakeVlm::default(), |fake, error| fake.then(Err(error)));
        fake.then(Ok(ChatReply::new("at last")))
    }

    fn status(status: u16, retry_after: Option<Duration>) -> Error {
        let (service, message) = ("Faulty".into(), String::new());
        Error::Service { service, status, message, retry_after }
    }

    fn timeout() -> Error {
        Error::Timeout { what: "Faulty".into(), limit: Duration::from_secs(1) }
    }

    const SHORT: Duration = Duration::from_millis(2);

    #[test]
    fn asks_again_after_passing_faults_until_its_retries_are_spent() {
        let request = ChatRequest::new(Vec::new());
        let retry = |errors| Retry::new(faulty(errors), 2).with_first_wait(SHORT);
        let enough = retry(vec![status(500, None), timeout()]);
        assert_eq!(block_on(enough.chat(&request)).unwrap().text, "at last");
        let too_many = retry(vec![status(500, None), timeout(), status(503, None)]);
        let error = block_on(too_many.chat(&request)).unwrap_err();
        assert!(matches!(error, Error::Service { status: 503, .. }), "{error}");
    }

    #[test]
    fn other_errors_are_returned_at_once() {
        let vlm = Retry::new(faulty([status(401, None)]), 5);
        let error = block_on(vlm.chat(&ChatRequest::new(Vec::new()))).unwrap_err();
        assert!(matches!(error, Error::Service { status: 401, .. }), "{error}");
    }

    #[test]
    fn waits_as_long_as_it_was_asked_to() {
        let asked = Duration::from_millis(80);
        let vlm = Retry::new(faulty([status(429, Some(asked))]), 1).with_first_wait(SHORT);
        let begin = Instant::now();
        block_on(vlm.chat(&ChatRequest::new(Vec::new()))).unwrap();
        assert!(begin.elapsed() >= asked);
    }

    #[test]
    fn gives_up_where_it_was_asked_to_wait_too_long() {
        let asked = Some(Duration::from_secs(3600));
        let vlm = Retry::new(faulty([status(429, asked)]), 5);
        let error = block_on(vlm.chat(&ChatRequest::new(Vec::new()))).unwrap_err();
        assert!(matches!(error, Error::Service { retry_after, .. } if retry_after == asked));
    }
}

//! [`Retry`]: any [`Vlm`] to one that asks again after a passing fault.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_trait::async_trait;
use futures_timer::Delay;

use super::{ChatReply, ChatRequest, Vlm};
use crate::{Error, Result};

/// A model that is asked again after a [transient](Error::is_transient) error: a time-out, a broken
/// connection, too many requests, a server in trouble. Other errors are returned at once.
///
/// Between two attempts it waits as long as the service asked ([`Error::Service::retry_after`]), or
/// else `first_wait`, doubled with each attempt, of which a random half is left out so that many
/// callers do not come back together. A service that asks for more than `max_wait` is not asked
/// again: its error is returned at once, with the time in it.
///
/// ```
/// use std::time::Duration;
/// use imagerag::vlm::Retry;
/// # use imagerag::vlm::{ChatReply, ChatRequest, Vlm};
/// # #[derive(Debug)]
/// # struct Echo;
/// # impl std::fmt::Display for Echo {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("Echo") }
/// # }
/// # #[async_trait::async_trait]
/// # impl Vlm for Echo {
/// #     async fn chat(&self, _: &ChatRequest) -> imagerag::Result<ChatReply> {
/// #         Ok(ChatReply::new("yes"))
/// #     }
/// # }
/// let vlm = Retry::new(Echo, 2).with_first_wait(Duration::from_millis(100));
/// assert_eq!(vlm.to_string(), "Retry(Echo, 2)");
/// ```
#[derive(Clone, Debug)]
pub struct Retry<V> {
    inner: V,
    retries: u32,
    first_wait: Duration,
    max_wait: Duration,
}

impl<V> Retry<V> {
    /// The wait before the first retry unless told otherwise.
    pub const FIRST_WAIT: Duration = Duration::from_millis(500);
    /// The longest wait unless told otherwise.
    pub const MAX_WAIT: Duration = Duration::from_secs(60);

    /// Asks `inner` up to `1 + retries` times.
    pub const fn new(inner: V, retries: u32) -> Self {
        Self { inner, retries, first_wait: Self::FIRST_WAIT, max_wait: Self::MAX_WAIT }
    }

    /// The wait before the first retry, doubled with each further one; 500 ms by default.
    #[must_use]
    pub const fn with_first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    /// The longest wait between two attempts; one minute by default.
    #[must_use]
    pub const fn with_max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    #[cfg(feature = "openai")]
    pub(crate) const fn inner(&self) -> &V {
        &self.inner
    }

    /// How long to wait after attempt number `attempt`, counted from 0, failed; `None` gives up.
    fn wait(&self, attempt: u32, error: &Error) -> Option<Duration> {
        if attempt >= self.retries || !error.is_transient() {
            return None;
        }
        if let Error::Service { retry_after: Some(asked), .. } = error {
            return (*asked <= self.max_wait).then_some(*asked);
        }
        let doubled = self.first_wait.saturating_mul(1 << attempt.min(20));
        Some(doubled.min(self.max_wait).mul_f64(1.0 - 0.5 * random_fraction()))
    }
}

impl<V: fmt::Display> fmt::Display for Retry<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retry({}, {})", self.inner, self.retries)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<V: Vlm> Vlm for Retry<V> {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        let mut attempt = 0;
        loop {
            let error = match self.inner.chat(request).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let Some(wait) = self.wait(attempt, &error) else { return Err(error) };
            Delay::new(wait).await;
            attempt += 1;
        }
    }
}

/// A number in [0, 1), fresh with each call: the standard library seeds its hash maps at random.
fn random_fraction() -> f64 {
    (RandomState::new().hash_one(0u8) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::time::Instant;

    use futures::executor::block_on;

    use super::*;

    /// Gives one error after the other, then replies.
    #[derive(Debug)]
    struct Faulty(Mutex<VecDeque<Error>>);

    impl fmt::Display for Faulty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Faulty")
        }
    }

    #[async_trait]
    impl Vlm for Faulty {
        async fn chat(&self, _: &ChatRequest) -> Result<ChatReply> {
            match self.0.lock().unwrap().pop_front() {
                Some(error) => Err(error),
                None => Ok(ChatReply::new("at last")),
            }
        }
    }

    fn faulty(errors: impl IntoIterator<Item = Error>) -> Faulty {
        Faulty(Mutex::new(errors.into_iter().collect()))
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

    #[test]
    fn waits_double_within_their_bounds() {
        let vlm = Retry::new(faulty([]), 40)
            .with_first_wait(Duration::from_secs(1))
            .with_max_wait(Duration::from_secs(6));
        for (attempt, most) in [(0, 1.0), (1, 2.0), (2, 4.0), (3, 6.0), (39, 6.0)] {
            let wait = vlm.wait(attempt, &timeout()).unwrap().as_secs_f64();
            assert!((most / 2.0..=most).contains(&wait), "attempt {attempt}: {wait} s");
        }
        assert_eq!(vlm.wait(40, &timeout()), None);
    }
}

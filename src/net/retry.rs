//! [`RetryPolicy`]: a call that may fail in passing to the outcome of as many attempts as it takes.

use std::time::{Duration, Instant};

use futures_timer::Delay;

use crate::{Error, Result};

/// How often, after which waits and for how long in all a call is tried again.
///
/// The wait is what the service asked for ([`Error::Service::retry_after`]), or else `first_wait`,
/// doubled with each attempt up to `max_wait`, of which a random half is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    pub(crate) max_retries: u32,
    pub(crate) first_wait: Duration,
    /// Who asks for more than this is not asked again.
    pub(crate) max_wait: Duration,
    /// No further attempt begins later than this after the first.
    pub(crate) time_limit: Duration,
}

impl RetryPolicy {
    /// Up to `1 + max_retries` attempts, after waits from half a second to a minute.
    pub(crate) const fn new(max_retries: u32) -> Self {
        Self {
            max_retries,
            first_wait: Duration::from_millis(500),
            max_wait: Duration::from_secs(60),
            time_limit: Duration::MAX,
        }
    }

    /// The outcome of `attempt`, made anew after each error that `passes`, while the policy allows.
    pub(crate) async fn run<T, F: Future<Output = Result<T>>>(
        &self,
        passes: impl Fn(&Error) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T> {
        let start = Instant::now();
        let mut failed = 0;
        loop {
            let error = match attempt().await {
                Err(error) if passes(&error) => error,
                outcome => return outcome,
            };
            match self.wait(failed, &error) {
                Some(wait) if start.elapsed().saturating_add(wait) <= self.time_limit => {
                    Delay::new(wait).await;
                }
                _ => return Err(error),
            }
            failed += 1;
        }
    }

    /// The wait after attempt number `attempt`, counted from 0, failed; `None` gives up.
    fn wait(&self, attempt: u32, error: &Error) -> Option<Duration> {
        if attempt >= self.max_retries {
            return None;
        }
        if let Some(asked) = error.asked_wait() {
            return (asked <= self.max_wait).then_some(asked);
        }
        let doubled = self.first_wait.saturating_mul(1 << attempt.min(20));
        Some(doubled.min(self.max_wait).mul_f64(1.0 - 0.5 * fastrand::f64()))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    fn timeout() -> Error {
        Error::Timeout { what: "Faulty".into(), limit: Duration::from_secs(1) }
    }

    #[test]
    fn waits_double_within_their_bounds() {
        let (first_wait, max_wait) = (Duration::from_secs(1), Duration::from_secs(6));
        let policy = RetryPolicy { first_wait, max_wait, ..RetryPolicy::new(40) };
        for (attempt, most) in [(0, 1.0), (1, 2.0), (2, 4.0), (3, 6.0), (39, 6.0)] {
            let wait = policy.wait(attempt, &timeout()).unwrap().as_secs_f64();
            assert!((most / 2.0..=most).contains(&wait), "attempt {attempt}: {wait} s");
        }
        assert_eq!(policy.wait(40, &timeout()), None);
    }

    #[test]
    fn time_ends_what_retries_do_not() {
        let (first_wait, time_limit) = (Duration::from_millis(2), Duration::from_millis(300));
        let policy = RetryPolicy { first_wait, time_limit, ..RetryPolicy::new(u32::MAX) };
        let (mut attempts, start) = (0, Instant::now());
        let outcome = block_on(policy.run(Error::is_transient, || {
            attempts += 1;
            async { Err::<(), _>(timeout()) }
        }));
        assert!(matches!(outcome, Err(Error::Timeout { .. })));
        assert!((2..=16).contains(&attempts), "{attempts} attempts");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

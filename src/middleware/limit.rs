//! [`Limit`]: bounds the number of concurrent calls of a part.

use std::fmt;
use std::sync::Arc;

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::lock::Mutex;

use crate::Result;
use crate::error::at_least_one;

/// A part that gets at most a given number of calls at the same time; further calls wait. Use it
/// with [`run_many`](crate::RagPipeline::run_many) for a service with a limit of its own. Clones
/// share the limit.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::middleware::Limit;
/// use imagerag::testing::FakeVlm;
/// let vlm = Limit::new(FakeVlm::default(), 4)?;
/// assert_eq!(vlm.to_string(), "Limit(FakeVlm, 4)");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Limit<P> {
    pub(super) inner: P,
    calls: usize,
    slots: Arc<Slots>,
}

#[derive(Debug)]
struct Slots {
    /// One token a call that may start now.
    idle: Mutex<UnboundedReceiver<()>>,
    back: UnboundedSender<()>,
}

impl<P> Limit<P> {
    /// At most `calls` calls of `inner` at the same time, at least 1.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when `calls` is 0.
    pub fn new(inner: P, calls: usize) -> Result<Self> {
        at_least_one("calls at once", calls)?;
        let (back, idle) = unbounded();
        for _ in 0..calls {
            let _ = back.unbounded_send(());
        }
        Ok(Self { inner, calls, slots: Arc::new(Slots { idle: Mutex::new(idle), back }) })
    }

    /// The outcome of `call`, made when there is a slot for it.
    pub(super) async fn call<T: Send, F: Future<Output = Result<T>> + Send>(
        &self,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T>
    where
        P: Sync,
    {
        // `slots` holds a sender, so the channel never ends.
        let _token = self.slots.idle.lock().await.next().await.map(|()| Token(&self.slots.back));
        call().await
    }
}

impl<P: fmt::Display> fmt::Display for Limit<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Limit(")?;
        self.inner.fmt(f)?; // `{:#}` is for the part inside.
        write!(f, ", {})", self.calls)
    }
}

/// Gives the token back when the call ends, fails or is dropped.
struct Token<'a>(&'a UnboundedSender<()>);

impl Drop for Token<'_> {
    fn drop(&mut self) {
        let _ = self.0.unbounded_send(());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use futures::executor::block_on;
    use futures::future::{join_all, poll_fn};
    use futures::{FutureExt, pin_mut};

    use async_trait::async_trait;

    use super::*;
    use crate::Vlm;
    use crate::vlm::{ChatReply, ChatRequest};

    /// Answers after it was polled a few times, and counts how many calls are inside.
    #[derive(Debug, Default)]
    struct Slow {
        inside: AtomicUsize,
        most: AtomicUsize,
    }

    impl fmt::Display for Slow {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Slow")
        }
    }

    #[async_trait]
    impl Vlm for Slow {
        async fn chat(&self, _: &ChatRequest) -> Result<ChatReply> {
            struct Leave<'a>(&'a AtomicUsize);
            impl Drop for Leave<'_> {
                fn drop(&mut self) {
                    self.0.fetch_sub(1, Ordering::SeqCst);
                }
            }
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            let _leave = Leave(&self.inside);
            self.most.fetch_max(inside, Ordering::SeqCst);
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                context.waker().wake_by_ref();
                if polls < 5 { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            Ok(ChatReply::new("done"))
        }
    }

    #[test]
    fn never_more_than_allowed_and_all_are_answered() {
        let vlm = Limit::new(Slow::default(), 3).unwrap();
        let request = ChatRequest::new(Vec::new());
        let replies = block_on(join_all((0..20).map(|_| vlm.chat(&request))));
        assert!(replies.iter().all(|reply| reply.as_ref().unwrap().text == "done"));
        assert_eq!(vlm.inner.most.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_call_that_is_dropped_gives_its_turn_back() {
        let vlm = Limit::new(Slow::default(), 1).unwrap();
        let request = ChatRequest::new(Vec::new());
        {
            let (running, waiting) = (vlm.chat(&request), vlm.chat(&request));
            pin_mut!(running, waiting);
            assert!(running.as_mut().now_or_never().is_none());
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        assert_eq!(block_on(vlm.chat(&request)).unwrap().text, "done");
    }

    #[test]
    fn zero_calls_are_refused() {
        let error = Limit::new(Slow::default(), 0).unwrap_err();
        assert_eq!(error.to_string(), "calls at once: expected at least 1, found 0");
    }
}

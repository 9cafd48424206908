//! [`Limit`]: bounds the number of concurrent calls of a part.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::channel::oneshot;

use crate::Result;
use crate::error::at_least_one;
use crate::generator::GenerateRequest;

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
    slots: Arc<Mutex<Slots>>,
}

#[derive(Debug)]
struct Slots {
    /// How many calls may start now.
    free: usize,
    /// Who waits for a slot, first come, first served.
    waiting: VecDeque<oneshot::Sender<Slot>>,
}

impl<P> Limit<P> {
    /// At most `calls` calls of `inner` at the same time, at least 1.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when `calls` is 0.
    pub fn new(inner: P, calls: usize) -> Result<Self> {
        at_least_one("calls at once", calls)?;
        let slots = Slots { free: calls, waiting: VecDeque::new() };
        Ok(Self { inner, calls, slots: Arc::new(Mutex::new(slots)) })
    }

    /// `requests` as they are: each is drawn once.
    pub(super) const fn requests(requests: &[GenerateRequest]) -> &[GenerateRequest] {
        requests
    }

    /// The outcome of `call`, made when there is a slot for it.
    pub(super) async fn call<T: Send, F: Future<Output = Result<T>> + Send>(
        &self,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T>
    where
        P: Sync,
    {
        let _slot = self.slot().await;
        call().await
    }

    /// Waits until a call may start.
    fn slot(&self) -> impl Future<Output = Option<Slot>> + Send + use<P> {
        let (sender, turn) = oneshot::channel();
        let mut slots = lock(&self.slots);
        match slots.free.checked_sub(1) {
            Some(free) => {
                slots.free = free;
                drop(sender.send(Slot(Some(Arc::clone(&self.slots)))));
            }
            None => slots.waiting.push_back(sender),
        }
        turn.map(Result::ok) // The sender is not dropped before it has sent.
    }
}

impl<P: fmt::Display> fmt::Display for Limit<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.inner.fmt(f); // What changes results: nothing of this.
        }
        f.write_str("Limit(")?;
        self.inner.fmt(f)?;
        write!(f, ", {})", self.calls)
    }
}

/// The right to call. When the call ends, fails or is dropped, it goes to the next who waits.
#[derive(Debug)]
struct Slot(Option<Arc<Mutex<Slots>>>);

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(slots) = self.0.take() else { return };
        loop {
            let next = {
                let mut slots = lock(&slots);
                let next = slots.waiting.pop_front();
                slots.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            match next.send(Self(Some(Arc::clone(&slots)))) {
                Ok(()) => return,
                Err(mut slot) => slot.0 = None, // Who waited has left.
            }
        }
    }
}

fn lock(slots: &Mutex<Slots>) -> MutexGuard<'_, Slots> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use futures::executor::block_on;
    use futures::future::{join_all, poll_fn};
    use futures::pin_mut;

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
    fn those_who_leave_while_they_wait_hold_nobody_up() {
        let vlm = Limit::new(Slow::default(), 1).unwrap();
        let request = ChatRequest::new(Vec::new());
        let mut calls: Vec<_> = (0..2_000).map(|_| vlm.chat(&request)).collect();
        assert!(calls.iter_mut().all(|call| call.now_or_never().is_none()));
        let last = calls.pop().unwrap();
        drop(calls);
        assert_eq!(block_on(last).unwrap().text, "done");
        assert_eq!(lock(&vlm.slots).free, 1);
    }

    #[test]
    fn a_huge_number_is_no_limit() {
        let vlm = Limit::new(Slow::default(), usize::MAX).unwrap();
        let request = ChatRequest::new(Vec::new());
        block_on(join_all((0..50).map(|_| vlm.chat(&request))));
        assert_eq!(vlm.inner.most.load(Ordering::SeqCst), 50);
    }

    #[test]
    fn zero_calls_are_refused() {
        let error = Limit::new(Slow::default(), 0).unwrap_err();
        assert_eq!(error.to_string(), "calls at once: expected at least 1, found 0");
    }
}

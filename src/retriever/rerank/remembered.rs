//! [`Remembered`]: questions that cost something to answers that are asked for once.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use lru::LruCache;

use crate::Result;
use crate::vlm::ExchangeLog;

/// The most answers that are kept; the one unused for longest goes first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Answers by question. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Remembered<Q: Eq + Hash, A> {
    answers: Arc<Mutex<LruCache<Q, Answer<A>>>>,
}

#[derive(Debug)]
enum Answer<A> {
    Known(A),
    /// The question is being asked, while one of those who wait for it is there; with the log of
    /// its exchanges.
    Asked(WeakShared<Asking<A>>, ExchangeLog),
}

/// Every waiter polls it, so that none waits for another one to be polled.
type Asking<A> = BoxFuture<'static, Outcome<A>>;
/// What came of asking, until a waiter takes it.
type Outcome<A> = Arc<Mutex<Option<Result<A>>>>;

/// One of those who wait.
struct Waiter<'a, A> {
    /// There until it is dropped.
    asking: Option<Shared<Asking<A>>>,
    exchanges: ExchangeLog,
    log: &'a ExchangeLog,
}

/// The last one to leave writes down what was asked in vain.
impl<A> Drop for Waiter<'_, A> {
    fn drop(&mut self) {
        self.asking = None;
        self.exchanges.take().into_iter().for_each(|exchange| self.log.record(exchange));
    }
}

impl<Q, A> Remembered<Q, A>
where
    Q: Clone + Eq + Hash,
    A: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self { answers: Arc::new(Mutex::new(LruCache::sparse(CAPACITY))) }
    }

    /// The answer to `question`, and whether it is new. Where several ask the same at the same time,
    /// `ask` runs once, and one of them gets the answer as new, with its exchanges in `log`. The one
    /// that gets an error is alone with it: the others ask again.
    pub(super) async fn get<F>(
        &self,
        question: Q,
        log: &ExchangeLog,
        ask: impl Fn(ExchangeLog) -> F + Send,
    ) -> Result<(A, bool)>
    where
        F: Future<Output = Result<A>> + Send + 'static,
    {
        loop {
            let mut waiter = match self.known_or_asked(&question, log, &ask) {
                Ok(answer) => return Ok((answer, false)),
                Err(waiter) => waiter,
            };
            let Some(asking) = &mut waiter.asking else { continue };
            let outcome = asking.await;
            // Whoever finds the outcome taken must find the answer among the others.
            let mut answers = lock(&self.answers);
            let Some(answer) = lock(&outcome).take() else { continue };
            match &answer {
                Ok(answer) => answers.put(question, Answer::Known(answer.clone())),
                Err(_) => answers.pop(&question),
            };
            return answer.map(|answer| (answer, true));
        }
    }

    /// The answer, or what to wait for.
    fn known_or_asked<'a, F>(
        &self,
        question: &Q,
        log: &'a ExchangeLog,
        ask: impl Fn(ExchangeLog) -> F,
    ) -> std::result::Result<A, Waiter<'a, A>>
    where
        F: Future<Output = Result<A>> + Send + 'static,
    {
        let mut answers = lock(&self.answers);
        let asked = match answers.get(question) {
            Some(Answer::Known(answer)) => return Ok(answer.clone()),
            Some(Answer::Asked(asking, exchanges)) => asking.upgrade().zip(Some(exchanges.clone())),
            None => None,
        };
        let (asking, exchanges) = asked.unwrap_or_else(|| {
            let exchanges = ExchangeLog::default();
            let answer = ask(exchanges.clone());
            let asking = async move { Arc::new(Mutex::new(Some(answer.await))) };
            let asking = asking.boxed().shared();
            if let Some(weak) = asking.downgrade() {
                answers.put(question.clone(), Answer::Asked(weak, exchanges.clone()));
            }
            (asking, exchanges)
        });
        Err(Waiter { asking: Some(asking), exchanges, log })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::channel::oneshot;
    use futures::executor::block_on;
    use futures::future::join_all;
    use futures::pin_mut;

    use super::*;
    use crate::Error;

    type Remembers = Remembered<u8, usize>;

    /// Answers with how often it was asked, when it is polled for the third time; the first `failures` times
    /// with an error.
    fn counting(
        asked: &Arc<AtomicUsize>,
        failures: usize,
    ) -> impl Fn(ExchangeLog) -> BoxFuture<'static, Result<usize>> + Send {
        let asked = Arc::clone(asked);
        move |_| {
            let asked = Arc::clone(&asked);
            let answer = async move {
                let times = asked.fetch_add(1, Ordering::SeqCst) + 1;
                futures::pending!();
                futures::pending!();
                if times <= failures { Err(Error::Cancelled) } else { Ok(times) }
            };
            WakeAtOnce(answer.boxed()).boxed()
        }
    }

    /// Is polled again until it is ready.
    struct WakeAtOnce(BoxFuture<'static, Result<usize>>);

    impl Future for WakeAtOnce {
        type Output = Result<usize>;

        fn poll(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Self::Output> {
            context.waker().wake_by_ref();
            self.0.poll_unpin(context)
        }
    }

    #[test]
    fn many_ask_once_and_one_of_them_has_it_as_new() {
        let (remembered, asked) = (Remembers::new(), Arc::default());
        let (log, ask) = (ExchangeLog::default(), counting(&asked, 0));
        let all = block_on(join_all((0..5).map(|_| remembered.get(7, &log, &ask))));
        let answers: Vec<(usize, bool)> = all.into_iter().map(Result::unwrap).collect();
        assert!(answers.iter().all(|(answer, _)| *answer == 1));
        assert_eq!(answers.iter().filter(|(_, new)| *new).count(), 1);
        assert_eq!(block_on(remembered.get(7, &log, &ask)).unwrap(), (1, false));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_error_is_one_askers_own() {
        let (remembered, asked) = (Remembers::new(), Arc::default());
        let (log, ask) = (ExchangeLog::default(), counting(&asked, 1));
        let all = block_on(join_all((0..3).map(|_| remembered.get(7, &log, &ask))));
        assert_eq!(all.iter().filter(|answer| answer.is_err()).count(), 1);
        assert!(all.iter().flatten().all(|(answer, _)| *answer == 2));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn an_asker_that_nobody_polls_holds_up_no_other() {
        let (remembered, log) = (Remembers::new(), ExchangeLog::default());
        let (sender, answer) = oneshot::channel();
        let answer = answer.shared();
        let ask = |_| {
            let answer = answer.clone();
            async move { answer.await.map_err(|_| Error::Cancelled) }
        };
        let parked = remembered.get(7, &log, ask);
        pin_mut!(parked);
        assert!(parked.as_mut().now_or_never().is_none());
        sender.send(3).unwrap();
        assert_eq!(block_on(remembered.get(7, &log, ask)).unwrap(), (3, true));
        assert_eq!(block_on(parked).unwrap(), (3, false));
    }

    #[test]
    fn where_the_first_leaves_the_next_one_goes_on_and_where_all_leave_nothing_does() {
        let (remembered, asked) = (Remembers::new(), Arc::default());
        let (log, ask) = (ExchangeLog::default(), counting(&asked, 0));
        {
            let second = remembered.get(7, &log, &ask);
            pin_mut!(second);
            {
                let first = remembered.get(7, &log, &ask);
                pin_mut!(first);
                assert!(first.now_or_never().is_none());
                assert!(second.as_mut().now_or_never().is_none());
            }
            assert_eq!(block_on(second).unwrap(), (1, true));
        }
        {
            let alone = remembered.get(8, &log, &ask);
            pin_mut!(alone);
            assert!(alone.now_or_never().is_none());
        }
        assert_eq!(block_on(remembered.get(8, &log, &ask)).unwrap(), (3, true));
    }
}

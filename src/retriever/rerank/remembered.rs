//! [`Remembered`]: questions that cost something to answers that are asked for once.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use futures::lock::Mutex as AsyncMutex;
use lru::LruCache;

use crate::Result;

/// The most answers that are kept; the one unused for longest goes first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Answers by question. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Remembered<Q: Eq + Hash, A> {
    answers: Arc<Mutex<LruCache<Q, Answer<A>>>>,
}

/// Locked while somebody asks; `None` until there is an answer.
type Answer<A> = Arc<AsyncMutex<Option<A>>>;

impl<Q: Eq + Hash, A: Clone> Remembered<Q, A> {
    pub(super) fn new() -> Self {
        Self { answers: Arc::new(Mutex::new(LruCache::sparse(CAPACITY))) }
    }

    /// The answer to `question`, and whether `ask` was needed for it. Where several ask the same at
    /// the same time one does and the others wait; an error is not remembered.
    pub(super) async fn get(
        &self,
        question: Q,
        ask: impl Future<Output = Result<A>>,
    ) -> Result<(A, bool)> {
        let answer = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(answers.get_or_insert(question, Arc::default))
        };
        let mut answer = answer.lock().await;
        if let Some(answer) = &*answer {
            return Ok((answer.clone(), false));
        }
        Ok((answer.insert(ask.await?).clone(), true))
    }
}

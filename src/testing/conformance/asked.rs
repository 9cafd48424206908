//! [`Asked`]: a VLM that remembers what it was asked, to compare with a log.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::Suite;
use crate::testing::lock;
use crate::vlm::{ChatReply, ChatRequest, ExchangeLog, ExchangeMessage, Vlm};
use crate::{Error, Result};

/// A VLM that keeps the words of its questions, and fails where it is told to. Clones share both.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    vlm: Arc<dyn Vlm>,
    questions: Arc<Mutex<Vec<Vec<ExchangeMessage>>>>,
    fails: Arc<AtomicBool>,
}

impl Asked {
    pub(super) fn new(vlm: impl Vlm) -> Self {
        Self { vlm: Arc::new(vlm), questions: Arc::default(), fails: Arc::default() }
    }

    /// From now on, every question fails.
    pub(super) fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }

    /// Fails, with `rule`, unless `log` has every question since the last time. Says how many there
    /// were.
    pub(super) fn check(&self, suite: &Suite, rule: &str, log: &ExchangeLog) -> usize {
        let asked = std::mem::take(&mut *lock(&self.questions));
        let mut logged: Vec<_> = log.take().into_iter().map(|one| one.messages).collect();
        let (questions, entries) = (asked.len(), logged.len());
        let has = |question| match logged.iter().position(|entry| *entry == question) {
            Some(at) => {
                logged.swap_remove(at);
                true
            }
            None => false,
        };
        let all = asked.into_iter().all(has);
        suite.rule(rule, all, format_args!("{entries} in the log of {questions} questions"));
        questions
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Vlm for Asked {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        lock(&self.questions).push(request.messages.iter().map(Into::into).collect());
        match self.fails.load(Ordering::Relaxed) {
            true => Err(Error::backend(self.to_string(), "the suite lets this question fail")),
            false => self.vlm.chat(request).await,
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.vlm.fmt(f)
    }
}

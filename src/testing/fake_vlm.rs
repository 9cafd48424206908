//! [`FakeVlm`]: replies that were written before.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{lock, pause};
use crate::vlm::{ChatReply, ChatRequest, Vlm};
use crate::{Error, Result};

/// Gives its replies in order and keeps every request; has nothing to say after the last.
#[derive(Clone, Debug, Default)]
pub struct FakeVlm {
    replies: Arc<Mutex<VecDeque<Result<ChatReply>>>>,
    requests: Arc<Mutex<Vec<ChatRequest>>>,
}

impl FakeVlm {
    /// A model that gives `replies`.
    pub fn new<S: Into<String>>(replies: impl IntoIterator<Item = S>) -> Self {
        let fake = Self::default();
        lock(&fake.replies).extend(replies.into_iter().map(|text| Ok(ChatReply::new(text))));
        fake
    }

    /// Adds a reply, or an error, after the others.
    #[must_use]
    pub fn then(self, reply: Result<ChatReply>) -> Self {
        lock(&self.replies).push_back(reply);
        self
    }

    /// Every request so far; clones share them.
    pub fn requests(&self) -> Vec<ChatRequest> {
        lock(&self.requests).clone()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Vlm for FakeVlm {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        lock(&self.requests).push(request.clone());
        pause().await;
        let reply = lock(&self.replies).pop_front();
        reply.unwrap_or_else(|| Err(Error::backend(self.to_string(), "no reply is left")))
    }
}

//! [`FakeVlm`]: replies that were written before, or that are computed from the request.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{lock, pause};
use crate::vlm::{ChatReply, ChatRequest, Vlm};
use crate::{Error, Result};

/// Gives its replies in order and keeps every request; after the last it fails, unless it has a
/// function that [answers](Self::answering).
#[derive(Clone, Default)]
pub struct FakeVlm {
    replies: Arc<Mutex<VecDeque<Result<ChatReply>>>>,
    answer: Option<Arc<Answer>>,
    requests: Arc<Mutex<Vec<ChatRequest>>>,
}

type Answer = dyn Fn(&ChatRequest) -> Result<ChatReply> + Send + Sync;

impl FakeVlm {
    /// A model that gives `replies`.
    pub fn new<S: Into<String>>(replies: impl IntoIterator<Item = S>) -> Self {
        let fake = Self::default();
        lock(&fake.replies).extend(replies.into_iter().map(|text| Ok(ChatReply::new(text))));
        fake
    }

    /// A model whose replies `answer` computes from the requests: texts, whole [`ChatReply`]s, or
    /// errors. Replies that are [added](Self::then) come first.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use imagerag::Vlm;
    /// use imagerag::testing::FakeVlm;
    /// use imagerag::vlm::{ChatRequest, Message};
    ///
    /// let vlm = FakeVlm::answering(|request: &ChatRequest| {
    ///     let question = &request.messages[request.messages.len() - 1].text;
    ///     Ok(if question.contains("quetzal") { "no" } else { "yes" })
    /// });
    /// for (question, answer) in [("Is this a sheep?", "yes"), ("Is this a quetzal?", "no")] {
    ///     let reply = block_on(vlm.chat(&Message::user(question).into()))?;
    ///     assert_eq!(reply.text, answer);
    /// }
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    pub fn answering<R: Into<ChatReply>>(
        answer: impl Fn(&ChatRequest) -> Result<R> + Send + Sync + 'static,
    ) -> Self {
        let answer: Arc<Answer> = Arc::new(move |request| answer(request).map(Into::into));
        Self { answer: Some(answer), ..Self::default() }
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
        reply.unwrap_or_else(|| match &self.answer {
            Some(answer) => answer(request),
            None => Err(Error::backend(self.to_string(), "no reply is left")),
        })
    }
}

impl fmt::Debug for FakeVlm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeVlm").field("replies", &self.replies).finish_non_exhaustive()
    }
}

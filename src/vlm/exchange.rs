//! [`Exchange`]: the record of one question to a model and its answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::vlm::{ChatReply, ChatRequest, Message, Role, Vlm};
use crate::{Result, Usage};

/// One question to a model and its answer.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Exchange {
    /// What the question was for, such as `decision` or `missing concepts`.
    pub purpose: String,
    /// The model that was asked, by its `Display`.
    pub model: String,
    /// The conversation that was sent.
    pub messages: Vec<ExchangeMessage>,
    /// The sampling temperature it was sent with, at least 0.
    pub temperature: f64,
    /// The answer; `None` where there was none.
    pub reply: Option<String>,
    /// Why there was no answer: the model's refusal, or the error.
    pub problem: Option<String>,
    /// Tokens spent, where the service counts them.
    pub usage: Option<Usage>,
    /// How long the answer took.
    pub elapsed: Duration,
}

/// A message of an exchange, without its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ExchangeMessage {
    /// Who spoke.
    pub role: Role,
    /// The words.
    pub text: String,
    /// How many pictures went with them.
    pub images: usize,
}

impl From<&Message> for ExchangeMessage {
    fn from(message: &Message) -> Self {
        Self { role: message.role, text: message.text.clone(), images: message.images.len() }
    }
}

/// Records exchanges. Requests to parts carry a log, and a part asks its model through
/// [`ask`](Self::ask), on any thread. Clones write to the same log.
#[derive(Clone, Debug, Default)]
pub struct ExchangeLog(Arc<Mutex<Vec<Exchange>>>);

impl ExchangeLog {
    /// Asks `vlm`, and records the question and the answer, or why there was none. `purpose` says
    /// what the question is for, such as `re-ranking`.
    ///
    /// # Errors
    /// Those of the model.
    pub async fn ask(
        &self,
        vlm: &dyn Vlm,
        purpose: &str,
        request: &ChatRequest,
    ) -> Result<ChatReply> {
        let asked = Instant::now();
        let reply = vlm.chat(request).await;
        let exchange = Exchange {
            purpose: purpose.to_owned(),
            model: vlm.to_string(),
            messages: request.messages.iter().map(Into::into).collect(),
            temperature: request.temperature,
            reply: reply.as_ref().ok().map(|reply| reply.text.clone()),
            problem: match &reply {
                Ok(reply) => reply.refusal.clone(),
                Err(error) => Some(error.chain().to_string()),
            },
            usage: reply.as_ref().ok().and_then(|reply| reply.usage),
            elapsed: asked.elapsed(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        reply
    }

    /// Returns the exchanges that were recorded so far, and empties the log.
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

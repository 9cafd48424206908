//! [`Exchange`]: one question to a model and its answer, taken down as it happens.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::vlm::{Message, Role, Usage};

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
    pub messages: Vec<Said>,
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

/// A message as it was said, its pictures counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Said {
    /// Who spoke.
    pub role: Role,
    /// The words.
    pub text: String,
    /// How many pictures went with them.
    pub images: usize,
}

impl From<&Message> for Said {
    fn from(message: &Message) -> Self {
        Self { role: message.role, text: message.text.clone(), images: message.images.len() }
    }
}

/// Takes down exchanges. Clones write to the same log.
#[derive(Clone, Debug, Default)]
pub struct ExchangeLog(Arc<Mutex<Vec<Exchange>>>);

impl ExchangeLog {
    /// Takes down one exchange.
    pub fn push(&self, exchange: Exchange) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    }

    /// Hands out what was taken down so far, and starts anew.
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

//! [`Exchange`]: the record of one question to a model and its answer.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::text::write_plain;
use crate::vlm::{ChatReply, ChatRequest, Message, Role, Vlm};
use crate::{Error, Result, Usage};

/// One question to a model and its answer.
///
/// [`ExchangeLog::ask`] makes one of every question to a [`Vlm`]. For a model that is no `Vlm`, make
/// and record it yourself:
///
/// ```
/// use imagerag::vlm::{Exchange, ExchangeLog};
///
/// let log = ExchangeLog::default(); // In a part: that of the request.
/// let mut exchange = Exchange::new("decision", "aesthetic-predictor-v2");
/// exchange.reply = Some("6.1 of 10".into());
/// log.record(exchange);
/// assert_eq!(log.take()[0].model, "aesthetic-predictor-v2");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Why there was no answer: the model's refusal, or the error with all its causes.
    pub problem: Option<String>,
    /// Tokens spent, where the service counts them.
    pub usage: Option<Usage>,
    /// How long the answer took; seconds in JSON.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub elapsed: Duration,
}

impl Exchange {
    /// An exchange for `purpose`, such as `decision`, with the model called `model`: without
    /// messages, answer, problem or usage, at temperature 0, in no time.
    pub fn new(purpose: impl Into<String>, model: impl Into<String>) -> Self {
        Self { purpose: purpose.into(), model: model.into(), ..Self::default() }
    }
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
/// [`ask`](Self::ask), on any thread. A part whose model is no [`Vlm`] calls
/// [`record`](Self::record). Clones write to the same log.
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
        let mut exchange = Exchange::new(purpose, vlm.to_string());
        exchange.messages = request.messages.iter().map(Into::into).collect();
        exchange.temperature = request.temperature;
        exchange.problem = Some(Error::Cancelled.to_string()); // Unless there is a reply.
        let mut asked = Asked { exchange, at: Instant::now(), log: self };
        let reply = vlm.chat(request).await;
        let exchange = &mut asked.exchange;
        match &reply {
            Ok(reply) => {
                exchange.reply = Some(reply.text.clone());
                exchange.problem.clone_from(&reply.refusal);
                exchange.usage = reply.usage;
            }
            Err(error) => exchange.problem = Some(error.chain().to_string()),
        }
        drop(asked);
        reply
    }

    /// Records an exchange that was not made through [`ask`](Self::ask).
    pub fn record(&self, exchange: Exchange) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    }

    /// Records what a call of `part` used, if that is known. It is for parts whose calls are no
    /// conversation, such as embedders; `purpose` says what the call was for.
    ///
    /// ```
    /// use imagerag::Usage;
    /// use imagerag::vlm::ExchangeLog;
    ///
    /// let log = ExchangeLog::default(); // In a part: that of the request.
    /// log.record_usage("embedding captions", "my-embedder", Some(Usage::tokens(12, 0)));
    /// assert_eq!(log.take()[0].usage, Some(Usage::tokens(12, 0)));
    /// ```
    pub fn record_usage(&self, purpose: &str, part: impl fmt::Display, usage: Option<Usage>) {
        if usage.is_some() {
            self.record(Exchange { usage, ..Exchange::new(purpose, part.to_string()) });
        }
    }

    /// Returns the exchanges that were recorded so far, and empties the log.
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A question that is written down when it ends, also where the caller leaves before.
struct Asked<'a> {
    exchange: Exchange,
    at: Instant,
    log: &'a ExchangeLog,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.exchange.elapsed = self.at.elapsed();
        self.log.record(std::mem::take(&mut self.exchange));
    }
}

/// A head line, then the conversation, one message a line, and the answer.
impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { purpose, model, temperature, elapsed, .. } = self;
        if self.messages.is_empty() {
            write!(f, "{purpose}, by {model}")?;
        } else {
            write!(
                f,
                "{purpose}, asked of {model} at temperature {temperature:.2}, {elapsed:.1?}"
            )?;
        }
        self.usage.map_or(Ok(()), |usage| write!(f, ", {usage}"))?;
        for message in &self.messages {
            write!(f, "\n{}: ", message.role)?;
            (0..message.images).try_for_each(|_| write!(f, "[image] "))?;
            write_plain(f, &message.text, "  ")?;
        }
        let answers = [("answer", &self.reply), ("problem", &self.problem)];
        answers.iter().filter_map(|(what, words)| Some((what, words.as_ref()?))).try_for_each(
            |(what, words)| {
                write!(f, "\n{what}: ")?;
                write_plain(f, words, "  ")
            },
        )
    }
}

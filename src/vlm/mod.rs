//! [`Vlm`]: replies to a conversation with pictures.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use futures::executor::block_on;
//! use imagerag::testing::{FakeVlm, solid};
//! use imagerag::vlm::{ChatRequest, ExchangeLog, ExchangeMessage, Message, Role};
//!
//! let vlm = FakeVlm::new(["Yes, it is."]); // An `OpenAiVlm`, for instance.
//! let conversation = vec![
//!     Message::system("Answer in one sentence."),
//!     Message::user("Is this a quetzal?").with_images([solid(8, 8, [0, 140, 70])]),
//! ];
//! // A question goes through a log, so that the trace has it; `vlm.chat` asks without one.
//! let log = ExchangeLog::default();
//! let request = ChatRequest::new(conversation).with_max_tokens(40);
//! let reply = block_on(log.ask(&vlm, "decision", &request))?;
//! assert_eq!(reply.text, "Yes, it is.");
//!
//! let exchange = &log.take()[0];
//! assert_eq!(exchange.purpose, "decision");
//! let ExchangeMessage { role, images, .. } = &exchange.messages[1];
//! assert_eq!((*role, *images), (Role::User, 1));
//! # Ok::<(), imagerag::Error>(())
//! ```

mod chat;
mod exchange;
#[cfg(feature = "openai")]
mod openai;
pub(crate) mod parse;
mod questions;

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::Result;
use crate::forward::forward_part;

pub use chat::{ChatReply, ChatRequest, Message, Role};
pub use exchange::{Exchange, ExchangeLog, ExchangeMessage};
#[cfg(feature = "openai")]
pub use openai::{OpenAiVlm, OpenAiVlmBuilder};
pub use questions::Questions;

/// A vision-language model (VLM).
///
/// # Contract
/// - The reply answers the last message of the request. The request holds the whole conversation;
///   the model has no memory of earlier requests.
/// - A model that refuses to answer gives an `Ok` reply with [`ChatReply::refusal`] set. `Err`
///   means that there was no reply.
#[async_trait]
pub trait Vlm: Display + Debug + Send + Sync + 'static {
    /// Replies to a conversation.
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply>;
}

forward_part!(Vlm {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        (**self).chat(request).await
    }
});

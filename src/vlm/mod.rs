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
mod logprobs;
#[cfg(feature = "openai")]
mod openai;
pub(crate) mod parse;
mod questions;
pub(crate) mod schema;

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::Result;
use crate::forward::forward_part;

pub use chat::{ChatReply, ChatRequest, Message, Role};
pub use exchange::{Exchange, ExchangeLog, ExchangeMessage};
pub use logprobs::{Logprob, TokenLogprobs};
#[cfg(fuzzing)]
pub(crate) use openai::read_completion;
#[cfg(feature = "openai")]
pub use openai::{OpenAiVlm, OpenAiVlmBuilder};
pub use questions::Questions;

/// A vision-language model (VLM).
///
/// One of your own, with the suite that checks it:
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::testing::conformance;
/// use imagerag::vlm::{ChatReply, ChatRequest, Vlm};
/// use imagerag::{Result, Usage, async_trait};
///
/// /// Says yes to every picture. A real one asks a network or a service.
/// #[derive(Debug)]
/// struct YesMan; // It has a `Display` too, by which traces and errors call it.
/// # impl std::fmt::Display for YesMan {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("YesMan")
/// #     }
/// # }
///
/// #[async_trait]
/// impl Vlm for YesMan {
///     async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
///         let read: usize = request.messages.iter().map(|message| message.text.len() / 4).sum();
///         Ok(ChatReply::new("yes").with_usage(Usage::tokens(read as u64, 1)))
///     }
/// }
///
/// futures::executor::block_on(conformance::vlm(&YesMan));
/// ```
///
/// # Contract
/// - The reply answers the last message of the request. The request holds the whole conversation;
///   the model has no memory of earlier requests.
/// - A model that refuses to answer gives an `Ok` reply with [`ChatReply::refusal`] set. `Err`
///   means that there was no reply. A reply has words or a refusal, unless the model ended its turn
///   without a word.
/// - Where [`ChatRequest::logprobs`] asks for log-probabilities, a model that cannot give them replies
///   without.
/// - The reply keeps to [`ChatRequest::json_schema`] where the model can do that, and is in words
///   otherwise.
///
/// The suite `testing::conformance::vlm` asks about a picture of 16 x 8 pixels at temperature 0. Then
/// it sends the same question between a system message and an answer, with a second question that
/// holds an emoji, at temperature 0.5 and with `max_tokens` of 1,000.
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

//! [`Vlm`]: replies to a conversation with pictures.

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

//! A vision-language model: conversations to yes, no, or a refusal.

use imagerag::vlm::{ChatReply, ChatRequest};
use imagerag::{Error, Result, Usage, Vlm, async_trait};

use crate::{mean, pause};

/// Says whether the last picture is rather red.
#[derive(Clone, Copy, Debug)]
pub struct Oracle;

#[async_trait]
impl Vlm for Oracle {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        let Some(last) = request.messages.last() else {
            return Err(Error::invalid_input("messages", "at least 1", 0));
        };
        pause().await;
        let reply =
            match request.messages.iter().rev().flat_map(|message| message.images.last()).next() {
                Some(picture) => {
                    let [r, g, b] = mean(picture);
                    ChatReply::new(if r > g && r > b { "yes" } else { "no" })
                }
                None => ChatReply::default().with_refusal("there is nothing to see"),
            };
        let usage = Usage::tokens(last.text.split(' ').count() as u64, 1);
        Ok(reply.with_model("oracle-1").with_usage(usage))
    }
}

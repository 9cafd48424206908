//! A question to a model, and local services that answer it.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use futures::executor::block_on;
use imagerag::Result;
use imagerag::vlm::{ChatReply, ChatRequest, Message, OpenAiVlm, OpenAiVlmBuilder, Vlm};
use serde_json::Value;

use crate::support::{answer, raw_server};

pub(crate) const YES: &str =
    r#"{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}"#;

pub(crate) fn model(base_url: &str) -> OpenAiVlmBuilder {
    OpenAiVlm::builder("m")
        .base_url(base_url)
        .api_key("")
        .timeout(Duration::from_secs(20))
        .first_wait(Duration::from_millis(2))
}

pub(crate) fn question() -> ChatRequest {
    Message::user("Is this a cradle?").into()
}

pub(crate) fn ask(builder: OpenAiVlmBuilder) -> Result<ChatReply> {
    block_on(builder.build()?.chat(&question()))
}

/// A service that gives `replies`, each a status with a body, one after the other and the last one for
/// ever. Gives its base URL and the bodies that it was sent.
pub(crate) fn service<S: Into<String>>(
    replies: impl IntoIterator<Item = (u16, S)>,
) -> (String, Receiver<Value>) {
    let replies: Vec<(u16, String)> =
        replies.into_iter().map(|(status, body)| (status, body.into())).collect();
    let (sender, sent) = channel();
    let (origin, _heads) = raw_server(move |number, request, stream| {
        let _ = sender.send(serde_json::from_slice(&request.body).unwrap());
        let (status, body) = &replies[number.min(replies.len() - 1)];
        answer(stream, &format!("{status} Status"), "", body);
    });
    (format!("{origin}/v1"), sent)
}

pub(crate) fn replied(body: &str) -> Result<ChatReply> {
    ask(model(&service([(200, body)]).0).max_retries(0))
}

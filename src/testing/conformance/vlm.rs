//! The suite of [`Vlm`].

use super::Suite;
use crate::testing::solid;
use crate::vlm::{ChatReply, ChatRequest, Message, Role, Vlm};

rules! {
    WORDS: "a reply has words or a refusal",
    CONVERSATION: "a conversation of several messages is answered with words or a refusal",
}

/// Checks a [`Vlm`] that is ready to answer two questions: one about a picture, and one that
/// follows it in the same conversation.
///
/// ```
/// use imagerag::testing::{FakeVlm, conformance};
///
/// futures::executor::block_on(conformance::vlm(&FakeVlm::new(["yes", "I am"])));
/// ```
///
/// # Panics
/// When the model breaks a rule, or cannot be reached.
pub async fn vlm(part: &dyn Vlm) {
    let suite = Suite::new("Vlm", part);
    let question = Message::user("Is this red? Only answer yes or no.");
    let question = question.with_images([solid(16, 8, [255, 0, 0])]);
    let mut conversation = ChatRequest::new(vec![
        Message { role: Role::System, ..Message::user("You look at pictures.") },
        question.clone(),
        Message::assistant("yes"),
        Message::user("Are you sure? \u{1f914}"),
    ]);
    (conversation.temperature, conversation.max_tokens) = (0.5, Some(1_000));
    let asked = [(WORDS, ChatRequest::new(vec![question])), (CONVERSATION, conversation)];
    for (rule, request) in asked {
        let reply = suite.answer(part.chat(&request).await);
        let ChatReply { text, refusal, .. } = &reply;
        let holds = !text.trim().is_empty() || refusal.is_some();
        suite.rule(rule, holds, format_args!("{text:?} and no refusal"));
    }
}

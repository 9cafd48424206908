//! The request to a VLM, a conversation with pictures, and the reply.

use crate::Usage;
use crate::image::Image;

/// A conversation, to which the model replies with the next message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChatRequest {
    /// The messages so far, oldest first. The last one is the user's.
    pub messages: Vec<Message>,
    /// Sampling temperature, at least 0; 0 asks for the likeliest reply.
    pub temperature: f64,
    /// The longest reply, in tokens; `None` leaves it to the model.
    pub max_tokens: Option<u32>,
}

impl ChatRequest {
    /// `messages` at temperature 0, without `max_tokens`.
    pub const fn new(messages: Vec<Message>) -> Self {
        Self { messages, temperature: 0.0, max_tokens: None }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Role {
    /// Instructions that come before the conversation.
    System,
    /// The caller.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The pictures, in the order in which the text speaks of them.
    pub images: Vec<Image>,
    /// The words.
    pub text: String,
}

impl Message {
    /// The caller's words.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, images: Vec::new(), text: text.into() }
    }

    /// The model's words.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, images: Vec::new(), text: text.into() }
    }

    /// The same message with pictures.
    #[must_use]
    pub fn with_images(mut self, images: impl IntoIterator<Item = Image>) -> Self {
        self.images.extend(images);
        self
    }
}

/// What the model replied.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatReply {
    /// The words; empty if the model refused.
    pub text: String,
    /// Why the model refused, if the service has a field for that. A refusal in plain words is in
    /// `text`.
    pub refusal: Option<String>,
    /// The model that replied, where the service says.
    pub model: Option<String>,
    /// Tokens spent, where the service counts them.
    pub usage: Option<Usage>,
}

impl ChatReply {
    /// A reply of `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

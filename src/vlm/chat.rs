//! The request to a VLM, a conversation with pictures, and the reply.

use super::TokenLogprobs;
use crate::Usage;
use crate::image::Image;

/// A conversation, to which the model replies with the next message.
///
/// ```
/// use imagerag::vlm::{ChatRequest, Message};
///
/// let conversation = vec![
///     Message::system("You describe pictures for people who do not see them."),
///     Message::user("What is a quetzal?"),
/// ];
/// let request = ChatRequest::new(conversation).with_temperature(0.2).with_max_tokens(200);
/// assert_eq!((request.temperature, request.max_tokens), (0.2, Some(200)));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChatRequest {
    /// The messages so far, oldest first. The last one is the user's.
    pub messages: Vec<Message>,
    /// Sampling temperature, at least 0; 0 asks for the likeliest reply.
    pub temperature: f64,
    /// The longest reply, in tokens; `None` leaves it to the model.
    pub max_tokens: Option<u32>,
    /// The form that the reply should have, as a JSON schema: structured output. A model that cannot
    /// keep to a schema ignores it and replies in words, so whoever asks must be able to read both.
    /// The messages ask for the same thing by themselves.
    ///
    /// The questions of the loop have schemas of one field: `answer` (a word for yes or no),
    /// `concepts`, `captions` (strings) or `indices` (integers).
    pub json_schema: Option<String>,
    /// Asks for the log-probabilities of the reply's tokens ([`ChatReply::logprobs`]), with those of so
    /// many alternatives at each place: 0 to 20, which is the most that OpenAI takes. `None` asks for
    /// none. A model that cannot give them replies without.
    pub logprobs: Option<u32>,
}

impl ChatRequest {
    /// `messages` at temperature 0, without `max_tokens`, a schema and log-probabilities.
    pub const fn new(messages: Vec<Message>) -> Self {
        let (max_tokens, json_schema, logprobs) = (None, None, None);
        Self { messages, temperature: 0.0, max_tokens, json_schema, logprobs }
    }

    /// The same request at another temperature, at least 0.
    #[must_use]
    pub const fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// The same request for a reply of at most `tokens`, at least 1.
    #[must_use]
    pub const fn with_max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// The same request for a reply in the form of a JSON schema.
    ///
    /// To suit most services, let the schema be an object that requires all of its fields and has
    /// `"additionalProperties": false`, as OpenAI's strict mode demands.
    ///
    /// ```
    /// use imagerag::vlm::{ChatRequest, Message};
    ///
    /// let schema = r#"{
    ///     "type": "object",
    ///     "properties": { "stars": { "type": "integer" } },
    ///     "required": ["stars"],
    ///     "additionalProperties": false
    /// }"#;
    /// let question = Message::user("How many stars of 5 is this image worth?");
    /// let request = ChatRequest::from(question).with_json_schema(schema);
    /// assert_eq!(request.json_schema.as_deref(), Some(schema));
    /// ```
    #[must_use]
    pub fn with_json_schema(mut self, schema: impl Into<String>) -> Self {
        self.json_schema = Some(schema.into());
        self
    }

    /// The same request for the log-probabilities of the reply's tokens too, and of the `alternatives`
    /// likeliest tokens at each place, 0 to 20.
    ///
    /// ```
    /// use imagerag::vlm::{ChatRequest, Message};
    ///
    /// let question = Message::user("Does this image show a quetzal? Please answer yes or no.");
    /// let request = ChatRequest::from(question).with_logprobs(20);
    /// assert_eq!(request.logprobs, Some(20));
    /// ```
    #[must_use]
    pub const fn with_logprobs(mut self, alternatives: u32) -> Self {
        self.logprobs = Some(alternatives);
        self
    }
}

/// A conversation of one message.
impl From<Message> for ChatRequest {
    fn from(message: Message) -> Self {
        Self::new(vec![message])
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

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        })
    }
}

/// One message of a conversation.
///
/// ```
/// use imagerag::Image;
/// use imagerag::vlm::Message;
///
/// // A question that refers to what was said before.
/// # let draft = Image::new(1, 1, [90, 60, 20])?;
/// let conversation = [
///     Message::user("Does this image show a quetzal?").with_images([draft]),
///     Message::assistant("no"),
///     Message::user("What is missing?"),
/// ];
/// assert_eq!(conversation[0].images.len(), 1);
/// # Ok::<(), imagerag::Error>(())
/// ```
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
    /// Instructions that come before the conversation.
    pub fn system(text: impl Into<String>) -> Self {
        Self { role: Role::System, images: Vec::new(), text: text.into() }
    }

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
///
/// ```
/// use imagerag::Usage;
/// use imagerag::vlm::ChatReply;
///
/// let usage = Usage::tokens(812, 2);
/// let reply = ChatReply::new("yes").with_model("qwen2.5-vl-7b").with_usage(usage);
/// assert_eq!((reply.text.as_str(), reply.usage), ("yes", Some(usage)));
/// ```
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
    /// Whether the reply ends because it reached the longest that was allowed, and not because the
    /// model was done: finish reason `length`. Of such a reply the critic and the other parts read
    /// only what is certainly whole; a thought that was cut off decides nothing.
    pub cut_off: bool,
    /// The tokens of the reply in their order, each with how likely it was; empty where
    /// [none were asked for](ChatRequest::logprobs) or the service gives none. Where a model thinks
    /// first, its thoughts are among them with some services.
    pub logprobs: Vec<TokenLogprobs>,
}

impl ChatReply {
    /// A reply of `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The same reply as a refusal, with the reason that the service gives.
    #[must_use]
    pub fn with_refusal(mut self, reason: impl Into<String>) -> Self {
        self.refusal = Some(reason.into());
        self
    }

    /// The same reply with the name of the model that gave it.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// The same reply with the tokens that were spent.
    #[must_use]
    pub const fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// The same reply with the log-probabilities of its tokens.
    ///
    /// ```
    /// use imagerag::vlm::{ChatReply, Logprob, TokenLogprobs};
    ///
    /// let yes = Logprob::new("Yes", -0.1);
    /// let first = TokenLogprobs::new(yes.clone()).with_top([yes, Logprob::new("No", -2.4)]);
    /// let reply = ChatReply::new("Yes").with_logprobs([first]);
    /// assert!((reply.logprobs[0].top[1].probability() - 0.0907).abs() < 1e-4);
    /// ```
    #[must_use]
    pub fn with_logprobs(mut self, tokens: impl IntoIterator<Item = TokenLogprobs>) -> Self {
        self.logprobs = tokens.into_iter().collect();
        self
    }

    /// The same reply as one that was cut off because it reached the longest that was allowed.
    ///
    /// ```
    /// use imagerag::vlm::ChatReply;
    ///
    /// let reply = ChatReply::new("<think>I see no wings, and").cut_off();
    /// assert!(reply.cut_off);
    /// ```
    #[must_use]
    pub const fn cut_off(mut self) -> Self {
        self.cut_off = true;
        self
    }
}

impl From<&str> for ChatReply {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for ChatReply {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

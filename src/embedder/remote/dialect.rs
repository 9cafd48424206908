//! [`Dialect`]: how one service is asked for embeddings.

use serde_json::{Value, json};

use super::templates::Templates;
use crate::net::config::Api;

/// One kind of service: where it is, how much it takes at a time, and how inputs are written for it.
/// Replies are read in the same way for all, in `reply.rs`.
pub(super) trait Dialect: Sync {
    fn api(&self) -> &'static Api;

    fn limits(&self) -> Limits;

    /// Where embeddings are, under the base URL.
    fn endpoint(&self, _model: &str) -> String {
        self.api().endpoint.into()
    }

    /// The body that asks for one embedding for each input.
    fn body(&self, request: &Request<'_>) -> Value;
}

/// How much a service is asked for unless the caller says otherwise.
pub(super) struct Limits {
    /// Inputs of one request.
    pub(super) batch: usize,
    /// Length of the inputs of one request as they are sent, pictures in base64, in bytes.
    pub(super) bytes: usize,
    /// Requests at a time.
    pub(super) concurrency: usize,
    /// The longest side of a picture, in pixels.
    pub(super) image_side: u32,
}

/// What is asked.
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    /// How many values each embedding is to have, where the service is to cut them.
    pub(super) dimensions: Option<usize>,
    pub(super) kind: Kind,
    /// Texts, or data URLs of pictures.
    pub(super) inputs: &'a [&'a str],
    pub(super) templates: &'a Templates,
}

/// What the inputs of a request are: all of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Texts that are searched with: the query side.
    Text,
    /// Pictures that are searched for: the document side.
    Image,
}

impl Kind {
    pub(super) const fn singular(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
        }
    }

    /// One of two words of a service, for texts and for images.
    pub(super) const fn of(self, text: &'static str, image: &'static str) -> &'static str {
        match self {
            Self::Text => text,
            Self::Image => image,
        }
    }
}

impl Request<'_> {
    /// A list with what `text` or `image` makes of each input.
    pub(super) fn each(
        &self,
        text: impl Fn(&str) -> Value,
        image: impl Fn(&str) -> Value,
    ) -> Vec<Value> {
        let one = |input: &&str| match self.kind {
            Kind::Text => text(input),
            Kind::Image => image(input),
        };
        self.inputs.iter().map(one).collect()
    }

    /// The inputs as they are.
    pub(super) fn plain(&self) -> Value {
        self.inputs.into()
    }
}

/// A part of a chat message: a text.
pub(super) fn text_part(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// A part of a chat message: a picture.
pub(super) fn image_part(url: &str) -> Value {
    json!({ "type": "image_url", "image_url": { "url": url } })
}

/// The type and the base64 of a data URL.
pub(super) fn data_of(url: &str) -> (&str, &str) {
    let parts = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    parts.unwrap_or(("", url))
}

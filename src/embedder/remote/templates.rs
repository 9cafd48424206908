//! [`Templates`]: a text or a picture to the messages of a conversation, or to the text that is sent.

use serde_json::{Value, json};

use super::dialect::{Kind, image_part, text_part};
use crate::{Error, Result, lenient};

/// Where the text stands in a template.
const TEXT: &str = "{text}";
/// Where the data URL of the picture stands in a template.
const IMAGE: &str = "{image}";

/// What stands around each input.
#[derive(Clone, Debug)]
pub(super) struct Templates {
    /// Around every text.
    pub(super) text: Option<String>,
    /// Conversations of vLLM.
    text_messages: Value,
    image_messages: Value,
}

impl Templates {
    /// The templates that a caller gives, or those of models that need none.
    pub(super) fn new(
        text: Option<String>,
        text_messages: Option<&str>,
        image_messages: Option<&str>,
    ) -> Result<Self> {
        if let Some(template) = text.as_deref().filter(|template| !template.contains(TEXT)) {
            return Err(Error::invalid_input("template of texts", TEXT.to_owned(), template));
        }
        let user = |part: Value| json!([{ "role": "user", "content": [part] }]);
        let given = |what: &str, template: Option<&str>, mark: &str, part: Value| match template {
            Some(template) => messages(what, template, mark),
            None => Ok(user(part)),
        };
        Ok(Self {
            text,
            text_messages: given("messages of texts", text_messages, TEXT, text_part(TEXT))?,
            image_messages: given("messages of images", image_messages, IMAGE, image_part(IMAGE))?,
        })
    }

    /// `text` as it is sent. A text of blanks alone, which services refuse, is a full stop.
    pub(super) fn apply(&self, text: &str) -> String {
        let text = match &self.text {
            Some(template) => template.replace(TEXT, text),
            None => text.to_owned(),
        };
        if text.trim().is_empty() { ".".into() } else { text }
    }

    /// The conversation with `input`, a text or the data URL of a picture.
    pub(super) fn messages(&self, kind: Kind, input: &str) -> Value {
        let (template, mark) = match kind {
            Kind::Text => (&self.text_messages, TEXT),
            Kind::Image => (&self.image_messages, IMAGE),
        };
        let mut messages = template.clone();
        fill(&mut messages, mark, input);
        messages
    }

    /// The conversations, where they are not those of models that need none.
    pub(super) fn told(&self) -> Vec<String> {
        let Ok(plain) = Self::new(None, None, None) else { return Vec::new() };
        let text = self.text.as_ref().map(|text| format!("texts as {text:?}"));
        let messages = [
            (&self.text_messages, &plain.text_messages),
            (&self.image_messages, &plain.image_messages),
        ];
        let messages = messages.into_iter().filter(|(one, plain)| one != plain);
        text.into_iter().chain(messages.map(|(one, _)| one.to_string())).collect()
    }
}

/// A template of a conversation: a list of messages in JSON, with `mark` in one of its strings.
fn messages(what: &str, template: &str, mark: &str) -> Result<Value> {
    let expected = format!("a list of messages in JSON, with {mark} in one of its strings");
    let mut parsed: Value = lenient::json(template.as_bytes())
        .map_err(|error| Error::invalid_input(what, &expected, error))?;
    let is_list = parsed.as_array().is_some_and(|messages| !messages.is_empty());
    let filled = {
        let before = parsed.clone();
        fill(&mut parsed, mark, "");
        let changed = parsed != before;
        parsed = before;
        changed
    };
    if is_list && filled { Ok(parsed) } else { Err(Error::invalid_input(what, expected, template)) }
}

/// Puts `input` where `mark` stands in the strings of `value`.
fn fill(value: &mut Value, mark: &str, input: &str) {
    match value {
        Value::String(text) if text.contains(mark) => *text = text.replace(mark, input),
        Value::Array(all) => all.iter_mut().for_each(|one| fill(one, mark, input)),
        Value::Object(fields) => fields.values_mut().for_each(|one| fill(one, mark, input)),
        _ => {}
    }
}

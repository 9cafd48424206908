//! JSON in a reply to its values: bare, in a code fence, among words, and cut off.

use std::fmt;

use serde_core::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Lists in lists are read to this depth.
const MAX_DEPTH: usize = 32;

/// A value whose fields keep their order: the most important concept comes first.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Text(String),
    Bool(bool),
    Number(f64),
    Null,
    List(Vec<Self>),
    Fields(Vec<(String, Self)>),
}

impl Json {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is an object, or has one inside.
    pub(super) fn has_fields(&self) -> bool {
        match self {
            Self::Fields(_) => true,
            Self::List(list) => list.iter().any(Self::has_fields),
            _ => false,
        }
    }
}

/// The lists and objects in `text` that begin a line or stand behind a colon, in order. Of one that
/// was cut off there is what was whole. Single quotes, trailing commas and comments are read too.
pub(super) fn values(text: &str) -> Vec<Json> {
    let (mut values, mut from) = (Vec::new(), 0);
    while let Some(at) = text[from..].find(['[', '{']).map(|at| from + at) {
        let before = text[..at].trim_end_matches([' ', '\t']);
        let begins =
            before.is_empty() || before.ends_with(['\n', ':', '：', '`', ',', '=', '}', ']']);
        match begins.then(|| value(&text[at..])).flatten() {
            // Words on the same line: "[1] a sheep", "[ ] a sheep".
            Some((length, _)) if goes_on(&text[at + length..]) => from = at + length,
            Some((length, value)) => {
                values.push(value);
                from = at + length;
            }
            None => from = at + 1,
        }
    }
    values
}

fn goes_on(after: &str) -> bool {
    after.trim_start_matches([' ', '\t']).starts_with(char::is_alphanumeric)
}

/// The value at the start of `text`, which begins with a bracket, and its length.
fn value(text: &str) -> Option<(usize, Json)> {
    let (mut closers, mut quote, mut escaped) = (Vec::new(), None, false);
    let (mut whole, mut previous) = (None, ' ');
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"') => quote = Some('"'),
            // An apostrophe between letters is none.
            (None, '\'') if !previous.is_alphanumeric() => quote = Some('\''),
            (None, '[') => closers.push(']'),
            (None, '{') => closers.push('}'),
            (None, ']' | '}') => {
                if closers.pop() != Some(c) {
                    return None;
                }
                if closers.is_empty() {
                    let end = at + 1;
                    return Some((end, read(&text[..end])?));
                }
                whole = Some((at + 1, closers.clone()));
            }
            (None, ',') => whole = Some((at, closers.clone())),
            (None, _) => {}
        }
        if closers.len() > MAX_DEPTH {
            return None;
        }
        previous = c;
    }
    let (end, closers) = whole?;
    let closed: String = text[..end].chars().chain(closers.into_iter().rev()).collect();
    Some((text.len(), read(&closed)?))
}

fn read(text: &str) -> Option<Json> {
    crate::lenient::json(text.as_bytes()).ok().or_else(|| json5::from_str(text).ok())
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Fields(fields))
    }
}

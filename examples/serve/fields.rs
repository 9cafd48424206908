//! The body of a request, JSON or a form, to its fields by name and its pictures in order.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header;
use serde_json::Value;

use super::bodies::{Bodies, Held};
use super::error::{ApiError, ApiResult};

/// How many names of fields that mean nothing here a reply lists.
const MAX_NAMES: usize = 32;

/// The fields of a request. What is read is taken out; what is left over has no meaning here.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    values: BTreeMap<String, Value>,
    /// The files of a form in order, each with the name of its field: `image` also for `image[]`.
    pub(crate) files: Vec<(String, Bytes)>,
}

impl Fields {
    /// Reads a body within `bodies`, whose places are to be held as long as the fields are.
    pub(crate) async fn read(request: Request, bodies: &Bodies) -> ApiResult<(Self, Held)> {
        let (parts, body) = request.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = content_type.to_ascii_lowercase();
        let (body, held) = bodies.read(body).await?;
        if content_type.starts_with("multipart/form-data") {
            let request = Request::from_parts(parts, Body::from(body));
            let form = Multipart::from_request(request, &()).await;
            return Ok((Self::form(form).await?, held));
        }
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence != "application/json" && !essence.ends_with("+json") {
            let expected = "application/json or multipart/form-data";
            let found = if essence.is_empty() { "none".to_owned() } else { quoted(essence) };
            return Err(ApiError::value("Content-Type", expected, found));
        }
        Ok((Self::json(&body)?, held))
    }

    fn json(body: &[u8]) -> ApiResult<Self> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let found = |error| ApiError::invalid(format!("the body: expected JSON, found {error}"));
        match serde_json::from_slice(body).map_err(found)? {
            Value::Object(fields) => {
                Ok(Self { values: fields.into_iter().collect(), files: Vec::new() })
            }
            other => {
                let found = kind(&other);
                Err(ApiError::invalid(format!("the body: expected a JSON object, found {found}")))
            }
        }
    }

    async fn form(
        form: Result<Multipart, axum::extract::multipart::MultipartRejection>,
    ) -> ApiResult<Self> {
        let broken = |said: String| ApiError::invalid(format!("the form: {said}"));
        let mut form = form.map_err(|error| broken(error.body_text()))?;
        let mut fields = Self::default();
        while let Some(part) = form.next_field().await.map_err(|error| broken(error.body_text()))? {
            let Some(name) = part.name().map(str::to_owned) else {
                return Err(broken("a part has no name".to_owned()));
            };
            let is_binary =
                |kind: &str| kind.starts_with("image/") || kind.ends_with("octet-stream");
            let is_file = part.file_name().is_some() || part.content_type().is_some_and(is_binary);
            let bytes = part.bytes().await.map_err(|error| broken(error.body_text()))?;
            // Some clients name neither a file nor its type. No picture is text.
            if is_file || std::str::from_utf8(&bytes).is_err() {
                let name = name.split_once('[').map_or(&*name, |(name, _)| name).to_owned();
                fields.files.push((name, bytes));
                continue;
            }
            fields.add(name, Value::String(String::from_utf8_lossy(&bytes).into_owned()))?;
        }
        Ok(fields)
    }

    /// Adds a field of a form. `name[]` and `name[0]` may come several times, and are a list.
    fn add(&mut self, name: String, value: Value) -> ApiResult<()> {
        if let Some((name, _)) = name.split_once('[') {
            match self.values.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(list) => list.push(value),
                single => *single = Value::Array(vec![single.take(), value]),
            }
            return Ok(());
        }
        match self.values.insert(name.clone(), value) {
            None => Ok(()),
            Some(_) => Err(ApiError::value(&name, "one value", "several")),
        }
    }

    /// The value of `name`, if there is one: neither `null` nor nothing at all.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.trim().is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        })
    }

    /// The value of `name`, whatever it is.
    pub(crate) fn take_as_is(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name)
    }

    /// The value that has two names, as `read` reads it, and the name that it came by.
    pub(crate) fn one_of<T: PartialEq>(
        &mut self,
        names: [&'static str; 2],
        read: impl Fn(&mut Self, &str) -> ApiResult<Option<T>>,
    ) -> ApiResult<Option<(&'static str, T)>> {
        let [one, other] = names;
        match (read(self, one)?, read(self, other)?) {
            (Some(a), Some(b)) if a != b => {
                let expected = format!("the same as {one}");
                Err(ApiError::value(other, &expected, "another value"))
            }
            (Some(value), _) => Ok(Some((one, value))),
            (None, value) => Ok(value.map(|value| (other, value))),
        }
    }

    /// The value of `name` that a form has as text, and not as a file.
    fn take_value(&mut self, name: &str, expected: &str) -> ApiResult<Option<Value>> {
        let value = self.take(name);
        match value.is_none() && self.files.iter().any(|(file, _)| file == name) {
            true => Err(ApiError::value(name, expected, "a file")),
            false => Ok(value),
        }
    }

    /// The text of `name`.
    pub(crate) fn text(&mut self, name: &str) -> ApiResult<Option<String>> {
        match self.take_value(name, "a text")? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(ApiError::value(name, "a text", kind(&other))),
        }
    }

    /// The number of `name`, which a form writes as text.
    pub(crate) fn number(&mut self, name: &str, expected: &str) -> ApiResult<Option<f64>> {
        let Some(value) = self.take_value(name, expected)? else { return Ok(None) };
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(ApiError::value(name, expected, shown(&value))),
        }
    }

    /// The whole number of `name`.
    pub(crate) fn whole(&mut self, name: &str, expected: &str) -> ApiResult<Option<i128>> {
        let Some(value) = self.take_value(name, expected)? else { return Ok(None) };
        let whole = |number: f64| {
            let is_whole = number.fract() == 0.0 && number.abs() < 2f64.powi(53);
            is_whole.then_some(number as i128)
        };
        let number = match &value {
            Value::Number(number) => match (number.as_i128(), number.as_f64()) {
                (Some(exact), _) => Some(exact),
                (None, float) => float.and_then(whole),
            },
            Value::String(text) => {
                let text = text.trim();
                text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
            }
            _ => None,
        };
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(ApiError::value(name, expected, shown(&value))),
        }
    }

    /// The whole number of `name`, in `range`.
    pub(crate) fn count(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<i128>,
    ) -> ApiResult<Option<usize>> {
        let expected = format!("a whole number in {} to {}", range.start(), range.end());
        match self.whole(name, &expected)? {
            None => Ok(None),
            Some(number) if range.contains(&number) => Ok(Some(number as usize)),
            Some(number) => Err(ApiError::value(name, &expected, number)),
        }
    }

    /// The yes or no of `name`.
    pub(crate) fn flag(&mut self, name: &str) -> ApiResult<bool> {
        let Some(value) = self.take_value(name, "true or false")? else { return Ok(false) };
        let text = match &value {
            Value::Bool(flag) => return Ok(*flag),
            Value::String(text) => text.trim().to_ascii_lowercase(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        match text.as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(ApiError::value(name, "true or false", shown(&value))),
        }
    }

    /// The names of what was not read and says something, shortened, and no more than a reply has room for.
    pub(crate) fn left_over(&mut self) -> Vec<String> {
        let mut names: Vec<String> = self.values.keys().cloned().collect();
        names.retain(|name| self.take(name).is_some());
        names.extend(self.files.drain(..).map(|(name, _)| name));
        let more = names.len().saturating_sub(MAX_NAMES);
        names.truncate(MAX_NAMES);
        let mut names: Vec<String> = names.iter().map(|name| shortened(name)).collect();
        names.extend((more > 0).then(|| format!("and {more} more")));
        names
    }
}

/// What a value is, in words.
pub(crate) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value as an error shows it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        other => kind(other).to_owned(),
    }
}

/// A text as an error shows it, shortened.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text))
}

/// The beginning of a text.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

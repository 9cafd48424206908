//! Reads single values out of a `scheduler_config.json`, each with its allowed range.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::models::common::json::read_text;
use crate::{Error, Result};

/// The fields of the file. What is missing or `null` counts as not set.
#[derive(Debug)]
pub(super) struct Settings {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl Settings {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        Self::parse(path, &text)
    }

    /// The settings in `text`; `path` is for errors.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        match serde_json::from_str(&without_infinities(text)) {
            Ok(Value::Object(fields)) => Ok(Self { path: path.to_owned(), fields }),
            Ok(_) => Err(Error::invalid_file(path, "scheduler settings", "an object", "none")),
            Err(error) => Err(Error::invalid_file(path, "scheduler settings", "JSON", error)),
        }
    }

    /// The name of the class that wrote the file.
    pub(super) fn class(&self) -> Result<String> {
        match self.get("_class_name") {
            Some(Value::String(class)) => Ok(class.clone()),
            Some(other) => Err(self.invalid("_class_name", "a name", other)),
            None => Err(self.invalid("_class_name", "a name", "nothing")),
        }
    }

    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.optional_number(key)?.unwrap_or(default))
    }

    pub(super) fn optional_number(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.invalid(key, "a number", value))
    }

    pub(super) fn integer(
        &self,
        key: &str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_i64().filter(|value| range.contains(value)).ok_or_else(|| {
            self.invalid(key, &format!("{} to {}", range.start(), range.end()), value)
        })
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.invalid(key, "true or false", value))
    }

    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f32>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let numbers = value.as_array().and_then(|values| {
            values.iter().map(|value| value.as_f64().map(|value| value as f32)).collect()
        });
        numbers.map(Some).ok_or_else(|| self.invalid(key, "a list of numbers", value))
    }

    /// The value that `key` names among `choices`.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let found = choices.iter().find(|(name, _)| value.as_str() == Some(name));
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.invalid(key, &names.join(" or "), value)
        })
    }

    /// Fails where one of `keys` is switched on: features of diffusers that are not here.
    pub(super) fn refuse(&self, keys: &[&str]) -> Result<()> {
        keys.iter().try_for_each(|key| match self.flag(key, false)? {
            true => Err(self.invalid(key, "false", true)),
            false => Ok(()),
        })
    }

    /// An error about the field `key`.
    pub(super) fn invalid(&self, key: &str, expected: &str, found: impl ToString) -> Error {
        Error::invalid_file(&self.path, key, expected, found)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }
}

/// Python writes infinite numbers as `Infinity`, which JSON does not know: the largest finite ones
/// stand for them. (`DPMSolverMultistepScheduler` saves `"lambda_min_clipped": -Infinity`.)
fn without_infinities(text: &str) -> String {
    let mut inside = false;
    let mut escaped = false;
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let (false, Some(after)) = (inside, rest.strip_prefix("Infinity")) {
            plain.push_str("1.7976931348623157e308");
            rest = after;
            continue;
        }
        if next == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && next == '\\' && !escaped;
        plain.push(next);
        rest = &rest[next.len_utf8()..];
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_infinities_are_replaced() {
        let text = r#"{"a": -Infinity, "In\"Infinity": "Infinity", "b": [Infinity]}"#;
        let value: Value = serde_json::from_str(&without_infinities(text)).unwrap();
        assert_eq!(value["a"], -f64::MAX);
        assert_eq!(value["b"][0], f64::MAX);
        assert_eq!(value["In\"Infinity"], "Infinity");
    }
}

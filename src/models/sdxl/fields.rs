//! A JSON object to checked numbers, names and lists, with diffusers' defaults where a field is missing.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// The fields of a config file. Every error names file, field, what was expected and found.
pub(super) struct Fields<'a> {
    path: &'a Path,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(path: &'a Path, map: &'a Map<String, Value>) -> Self {
        Self { path, map }
    }

    pub(super) fn invalid(&self, field: &str, expected: &str, found: impl ToString) -> Error {
        Error::invalid_file(self.path, field, expected, found)
    }

    /// The field; `null` where it is missing or `null`.
    pub(super) fn value(&self, field: &str) -> &'a Value {
        self.map.get(field).unwrap_or(&Value::Null)
    }

    /// Whether the file has the field, be it `null`.
    pub(super) fn is_written(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    /// The field, or `default` where it is missing; a `null` that is written stays one.
    fn or(&self, field: &str, default: impl Into<Value>) -> Value {
        self.map.get(field).cloned().unwrap_or_else(|| default.into())
    }

    /// A field that a network of this shape has one value for; `null` counts as that value.
    pub(super) fn only(&self, field: &str, supported: impl Into<Value>) -> Result<()> {
        let (supported, found) = (supported.into(), self.value(field));
        if found.is_null() || *found == supported {
            return Ok(());
        }
        Err(self.invalid(field, &supported.to_string(), found))
    }

    /// `true` or `false`; `null` is false.
    pub(super) fn flag(&self, field: &str, default: bool) -> Result<bool> {
        match self.or(field, default) {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(flag),
            found => Err(self.invalid(field, "true or false", found)),
        }
    }

    /// A finite number.
    pub(super) fn number(&self, field: &str, default: f64) -> Result<f64> {
        let found = self.or(field, default);
        found.as_f64().ok_or_else(|| self.invalid(field, "a number", found))
    }

    /// A whole number in `1..=most`.
    pub(super) fn count(&self, field: &str, default: impl Into<Value>, most: i64) -> Result<i64> {
        let found = self.or(field, default);
        self.in_range(field, &found, 1, most)
    }

    /// A whole number in `1..=most`, or none for `null`.
    pub(super) fn optional_count(&self, field: &str, most: i64) -> Result<Option<i64>> {
        match self.value(field) {
            Value::Null => Ok(None),
            found => self.in_range(field, found, 1, most).map(Some),
        }
    }

    /// `found`, a part of `field`, as a whole number in `least..=most`.
    pub(super) fn in_range(
        &self,
        field: &str,
        found: &Value,
        least: i64,
        most: i64,
    ) -> Result<i64> {
        let expected = || format!("whole numbers from {least} to {most}");
        match found.as_i64() {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(self.invalid(field, &expected(), found)),
        }
    }

    /// A list of `length` values, or one value for all of them.
    pub(super) fn each(
        &self,
        field: &str,
        default: impl Into<Value>,
        length: usize,
    ) -> Result<Vec<Value>> {
        match self.or(field, default) {
            Value::Array(list) if list.len() == length => Ok(list),
            found @ Value::Array(_) => {
                Err(self.invalid(field, &format!("a value for each of {length} blocks"), found))
            }
            Value::Null => Err(self.invalid(field, "a number or a list of numbers", "null")),
            one => Ok(vec![one; length]),
        }
    }

    /// [`each`](Self::each) of them a whole number in `1..=most`.
    pub(super) fn counts(
        &self,
        field: &str,
        default: impl Into<Value>,
        length: usize,
        most: i64,
    ) -> Result<Vec<i64>> {
        let list = self.each(field, default, length)?;
        list.iter().map(|value| self.in_range(field, value, 1, most)).collect()
    }

    /// A list of names, at least one.
    pub(super) fn names(&self, field: &str, default: &[&str]) -> Result<Vec<String>> {
        let found = self.or(field, default.to_vec());
        let names = found.as_array().filter(|list| !list.is_empty()).and_then(|list| {
            list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        names.ok_or_else(|| self.invalid(field, "a list of names", found))
    }
}

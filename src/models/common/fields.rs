//! [`Fields`]: a JSON object to checked numbers, names and lists, with a default where one is missing.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::json::{parse_json, read_text, require};
use crate::{Error, Result};

/// The largest width, number of heads or kernel that is believed: far above any network's, and small
/// enough that no product of two overflows.
pub(crate) const MAX_WIDTH: i64 = 1 << 16;
/// The largest number of layers in one place that is believed.
pub(crate) const MAX_LAYERS: i64 = 1 << 10;
/// The largest number of tokens that is believed, of a vocabulary or of a text.
pub(crate) const MAX_TOKENS: i64 = 1 << 24;
/// The largest side of a picture that a network may ask for, in pixels.
pub(crate) const MAX_SIDE: i64 = 8192;

/// The fields of a file, or of an object in it. Every error names the file, the field, and what was
/// expected and found. A `null` that is written is no missing field.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    path: PathBuf,
    /// The object in the file, with a point after its name; empty for the whole.
    prefix: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Those of the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path)?)
    }

    /// Those in `text`, which came from `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        Ok(Self { path: path.to_owned(), prefix: String::new(), map: parse_json(path, text)? })
    }

    /// The same, where a `null` that is written is a missing field.
    pub(crate) fn without_nulls(mut self) -> Self {
        self.map.retain(|_, value| !value.is_null());
        self
    }

    /// Those of the object that is the field; `None` where it is missing or `null`.
    pub(crate) fn object(&self, field: &str) -> Result<Option<Self>> {
        match self.value(field) {
            Value::Null => Ok(None),
            Value::Object(map) => Ok(Some(Self {
                path: self.path.clone(),
                prefix: format!("{}{field}.", self.prefix),
                map: map.clone(),
            })),
            found => Err(self.invalid(field, "an object", found)),
        }
    }

    /// Those of the object that the field must be.
    pub(crate) fn required_object(&self, field: &str) -> Result<Self> {
        self.object(field)?.ok_or_else(|| self.invalid(field, "an object", "none"))
    }

    pub(crate) fn invalid(
        &self,
        field: &str,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Error {
        Error::invalid_file(&self.path, format!("{}{field}", self.prefix), expected, found)
    }

    /// Refuses what does not hold.
    pub(crate) fn require(
        &self,
        field: &str,
        holds: bool,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Result<()> {
        require(&self.path, &format!("{}{field}", self.prefix), holds, expected, found)
    }

    /// The field; `null` where it is missing.
    pub(crate) fn value(&self, field: &str) -> &Value {
        self.map.get(field).unwrap_or(&Value::Null)
    }

    /// Whether the file has the field, be it `null`.
    pub(crate) fn is_written(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    /// The field, or `default` where it is missing.
    pub(crate) fn or(&self, field: &str, default: impl Into<Value>) -> Value {
        self.map.get(field).cloned().unwrap_or_else(|| default.into())
    }

    /// The field as whatever can be read from it.
    pub(crate) fn typed<T: DeserializeOwned>(
        &self,
        field: &str,
        default: T,
        expected: &str,
    ) -> Result<T> {
        let Some(value) = self.map.get(field) else { return Ok(default) };
        T::deserialize(value).map_err(|error| self.invalid(field, expected, error))
    }

    /// A field that a network of this shape has one value for; `null` counts as that value.
    pub(crate) fn only(&self, field: &str, supported: impl Into<Value>) -> Result<()> {
        let (supported, found) = (supported.into(), self.value(field));
        let holds = found.is_null() || *found == supported;
        self.require(field, holds, supported.to_string(), found)
    }

    /// A name.
    pub(crate) fn name(&self, field: &str) -> Result<&str> {
        let name = self.value(field).as_str();
        name.ok_or_else(|| self.invalid(field, "a name", self.found(field)))
    }

    /// A name that must be `expected`.
    pub(crate) fn is_named(&self, field: &str, expected: &str) -> Result<()> {
        self.require(field, *self.value(field) == expected, expected, self.found(field))
    }

    /// The field as errors tell it.
    pub(crate) fn found(&self, field: &str) -> String {
        match self.value(field) {
            Value::Null => "no such field".to_owned(),
            Value::String(name) => name.clone(),
            other => other.to_string(),
        }
    }

    /// `true` or `false`; `null` is false.
    pub(crate) fn flag(&self, field: &str, default: bool) -> Result<bool> {
        match self.or(field, default) {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(flag),
            found => Err(self.invalid(field, "true or false", found)),
        }
    }

    /// Fails where one of `fields` is switched on: what diffusers does and this crate does not.
    pub(crate) fn refuse(&self, fields: &[&str]) -> Result<()> {
        fields.iter().try_for_each(|field| match self.flag(field, false)? {
            true => Err(self.invalid(field, "false", true)),
            false => Ok(()),
        })
    }

    /// A finite number.
    pub(crate) fn number(&self, field: &str, default: f64) -> Result<f64> {
        let Some(found) = self.map.get(field) else { return Ok(default) };
        found.as_f64().ok_or_else(|| self.invalid(field, "a number", found))
    }

    /// A finite number of at least 0.
    pub(crate) fn eps(&self, field: &str, default: f64) -> Result<f64> {
        let found = self.number(field, default)?;
        self.require(field, found >= 0.0, "a number of at least 0", found).map(|()| found)
    }

    /// A finite number, or none where it is missing or `null`.
    pub(crate) fn optional_number(&self, field: &str) -> Result<Option<f64>> {
        if self.value(field).is_null() { Ok(None) } else { self.number(field, 0.0).map(Some) }
    }

    /// A list of finite numbers, or none where it is missing or `null`.
    pub(crate) fn numbers(&self, field: &str) -> Result<Option<Vec<f64>>> {
        self.typed(field, None, "a list of numbers")
    }

    /// A whole number in `range`.
    pub(crate) fn integer(
        &self,
        field: &str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64> {
        self.in_range(field, &self.or(field, default), range)
    }

    /// A whole number in `1..=most`.
    pub(crate) fn count(&self, field: &str, default: i64, most: i64) -> Result<i64> {
        self.integer(field, default, 1..=most)
    }

    /// A whole number in `1..=most`, or none where it is missing or `null`.
    pub(crate) fn optional_count(&self, field: &str, most: i64) -> Result<Option<i64>> {
        match self.value(field) {
            Value::Null => Ok(None),
            found => self.in_range(field, found, 1..=most).map(Some),
        }
    }

    /// `found`, a part of `field`, as a whole number in `range`.
    pub(crate) fn in_range(
        &self,
        field: &str,
        found: &Value,
        range: RangeInclusive<i64>,
    ) -> Result<i64> {
        found.as_i64().filter(|number| range.contains(number)).ok_or_else(|| {
            let expected = format!("whole numbers from {} to {}", range.start(), range.end());
            self.invalid(field, expected, found)
        })
    }

    /// A list of `length` values, or one value for all of them.
    pub(crate) fn each(
        &self,
        field: &str,
        default: impl Into<Value>,
        length: usize,
    ) -> Result<Vec<Value>> {
        match self.or(field, default) {
            Value::Array(list) if list.len() == length => Ok(list),
            found @ Value::Array(_) => {
                Err(self.invalid(field, format!("a value for each of {length} blocks"), found))
            }
            Value::Null => Err(self.invalid(field, "a number or a list of numbers", "null")),
            one => Ok(vec![one; length]),
        }
    }

    /// [`each`](Self::each) of them a whole number in `1..=most`.
    pub(crate) fn counts(
        &self,
        field: &str,
        default: i64,
        length: usize,
        most: i64,
    ) -> Result<Vec<i64>> {
        let list = self.each(field, default, length)?;
        list.iter().map(|value| self.in_range(field, value, 1..=most)).collect()
    }

    /// `block_out_channels`: the widths of 1 to `most` blocks, each a multiple of `norm_num_groups`,
    /// which are `groups`. `null` is `default`.
    pub(crate) fn channels(&self, default: &[i64], most: usize, groups: i64) -> Result<Vec<i64>> {
        let field = "block_out_channels";
        let found = match self.value(field) {
            Value::Null => Value::from(default),
            found => found.clone(),
        };
        let Some(list) = found.as_array().filter(|list| (1..=most).contains(&list.len())) else {
            return Err(self.invalid(field, format!("a list of 1 to {most} widths"), found));
        };
        let width = |width| {
            let width = self.in_range(field, width, 1..=MAX_WIDTH)?;
            let expected = format!("multiples of norm_num_groups = {groups}");
            self.require(field, width % groups == 0, expected, width).map(|()| width)
        };
        list.iter().map(width).collect()
    }

    /// Whether each of the `count` blocks that the field names attends: the name of a block that does,
    /// and of one that does not.
    pub(crate) fn attending(
        &self,
        field: &str,
        default: &[&str],
        [with, without]: [&str; 2],
        count: usize,
    ) -> Result<Vec<bool>> {
        let found = self.or(field, default.to_vec());
        let Some(names) = found.as_array().filter(|list| !list.is_empty()) else {
            return Err(self.invalid(field, "a list of names", found));
        };
        let expected = format!("{count} names, as many as block_out_channels");
        self.require(field, names.len() == count, expected, format!("{} names", names.len()))?;
        let attends = |name: &Value| match name.as_str() {
            Some(name) if name == with => Ok(true),
            Some(name) if name == without => Ok(false),
            _ => Err(self.invalid(field, format!("{with} or {without}"), name)),
        };
        names.iter().map(attends).collect()
    }

    /// The value that the field names among `choices`, of which the first is the default.
    pub(crate) fn choice<T: Copy>(&self, field: &str, choices: &[(&str, T)]) -> Result<T> {
        let Some(value) = self.map.get(field) else { return Ok(choices[0].1) };
        let found = choices.iter().find(|(name, _)| value.as_str() == Some(name));
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.invalid(field, names.join(" or "), value)
        })
    }
}

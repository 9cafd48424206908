//! A MATLAB 5 file (`.mat`, also compressed) to its variables: numbers, texts, cells and structs.

mod element;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::files;
use crate::{Error, Result};
use element::{Elements, variable};

/// The variables of a file.
#[derive(Debug)]
pub(super) struct Mat {
    path: PathBuf,
    variables: Vec<(String, Value)>,
}

/// What a variable, a cell or a field holds; arrays in MATLAB's order, by columns.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Numbers of any type.
    Numbers(Vec<f64>),
    Text(String),
    Cells(Vec<Self>),
    Structs(Vec<Record>),
    /// What is not read, by its name.
    Other(&'static str),
}

/// The fields of one struct.
pub(super) type Record = Vec<(String, Value)>;

impl Mat {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::InvalidFile`] when it is no MATLAB 5 file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let invalid = |found: String| {
            let what = "MATLAB file";
            Error::invalid_file(path, what, "one of version 5 (`save -v7` in MATLAB)", found)
        };
        let bytes = files::required(path)?;
        if bytes.len() < 128 {
            return Err(invalid(format!("{} bytes", bytes.len())));
        }
        let big_endian = match &bytes[124..128] {
            [0, 1, b'I', b'M'] => false,
            [1, 0, b'M', b'I'] => true,
            _ if bytes.starts_with(b"MATLAB 7.3") => {
                return Err(invalid("version 7.3, which is HDF5".to_owned()));
            }
            _ => return Err(invalid("another header".to_owned())),
        };
        let mut variables = Vec::new();
        let mut elements = Elements::new(&bytes[128..], big_endian);
        let mut budget = files::MAX_LIST;
        while !elements.is_at_end() {
            variables.extend(variable(&mut elements, &mut budget).map_err(invalid)?);
        }
        Ok(Self { path: path.to_owned(), variables })
    }

    /// The variable `name`.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when there is none: it lists those that are there.
    pub(super) fn get(&self, name: &str) -> Result<&Value> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value).ok_or_else(|| {
            let names: Vec<&str> = self.variables.iter().map(|(name, _)| &**name).collect();
            self.invalid("variables", name, names.join(", "))
        })
    }

    /// The variable `name`, which holds whole numbers from 0 on.
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<u64>> {
        let value = self.get(name)?;
        let Value::Numbers(numbers) = value else {
            return Err(self.invalid(name, "numbers", value.kind()));
        };
        let whole = |number: &f64| {
            whole(*number).ok_or_else(|| self.invalid(name, "whole numbers", number))
        };
        numbers.iter().map(whole).collect()
    }

    /// The variable `name`, which is a list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>> {
        let value = self.get(name)?;
        let Value::Cells(cells) = value else {
            return Err(self.invalid(name, "cells with texts", value.kind()));
        };
        let text = |cell: &Value| {
            let text = cell.text().map(str::to_owned);
            text.ok_or_else(|| self.invalid(name, "cells with texts", cell.kind()))
        };
        cells.iter().map(text).collect()
    }

    /// The variable `name`, which is a list of structs.
    pub(super) fn records(&self, name: &str) -> Result<&[Record]> {
        match self.get(name)? {
            Value::Structs(records) => Ok(records),
            other => Err(self.invalid(name, "structs", other.kind())),
        }
    }

    /// The field `name` of a struct of this file, as a text.
    pub(super) fn text(&self, record: &Record, name: &str) -> Result<String> {
        let value = self.field(record, name)?;
        let text = value.text().map(str::to_owned);
        text.ok_or_else(|| self.invalid(name, "a text", value.kind()))
    }

    /// The field `name` of a struct of this file, as a whole number from 0 on.
    pub(super) fn number(&self, record: &Record, name: &str) -> Result<u64> {
        let value = self.field(record, name)?;
        let number = match value {
            Value::Numbers(numbers) => numbers.first().copied().and_then(whole),
            _ => None,
        };
        number.ok_or_else(|| self.invalid(name, "a whole number", value.kind()))
    }

    fn field<'a>(&self, record: &'a Record, name: &str) -> Result<&'a Value> {
        let found = record.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value).ok_or_else(|| {
            let names: Vec<&str> = record.iter().map(|(name, _)| &**name).collect();
            self.invalid("fields", name, names.join(", "))
        })
    }

    /// That `expected` is in this file, where `found` is.
    pub(super) fn invalid(&self, what: &str, expected: &str, found: impl ToString) -> Error {
        Error::invalid_file(&self.path, what, expected, found)
    }
}

impl Value {
    /// The text; an empty array is an empty one, as MATLAB writes it.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Numbers(numbers) if numbers.is_empty() => Some(""),
            _ => None,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "numbers",
            Self::Text(_) => "a text",
            Self::Cells(_) => "cells",
            Self::Structs(_) => "structs",
            Self::Other(name) => name,
        }
    }
}

fn whole(number: f64) -> Option<u64> {
    // Up to 2^53, numbers of floating point are exact.
    let is_whole = number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number);
    is_whole.then_some(number as u64)
}

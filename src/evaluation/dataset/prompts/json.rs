//! JSON and JSONL to rows.

use std::path::Path;

use serde_json::{Map, Value};

use super::super::unique_keys::UniqueKeys;
use super::super::{DatasetKind, files};
use super::row::Row;
use crate::{Error, Result, lenient};

const EXPECTED: &str = "an array of objects with `prompt`, or an object of such objects";

/// Which benchmark the JSON file at `path` is of; none where it is none and no list.
pub(super) fn kind(path: &Path) -> Result<Option<DatasetKind>> {
    /// Those of the benchmarks have less than 10 MB.
    const LONGEST: u64 = 64 << 20;
    if std::fs::metadata(path).map_err(|source| Error::io(path, source))?.len() > LONGEST {
        return Ok(None);
    }
    let bytes = files::required(path)?;
    let Ok(value) = lenient::json::<Value>(&bytes) else { return Ok(None) };
    Ok(match value {
        Value::Array(rows) => match rows.first() {
            Some(Value::Object(row)) if row.contains_key("gt_image") => Some(DatasetKind::KnowGen),
            Some(Value::Object(row)) => has_prompt(row).then_some(DatasetKind::Prompts),
            Some(Value::String(_)) => Some(DatasetKind::Prompts),
            _ => None,
        },
        Value::Object(rows) => match rows.values().next() {
            Some(Value::Object(row)) if row.contains_key("ip_name") => Some(DatasetKind::FactIp),
            Some(Value::Object(row)) => has_prompt(row).then_some(DatasetKind::Prompts),
            _ => None,
        },
        _ => None,
    })
}

fn has_prompt(row: &Map<String, Value>) -> bool {
    Row::has_prompt(row.keys().map(String::as_str))
}

/// The rows of a JSON file: an array, or an object of rows by identifier.
pub(super) fn whole(file: &Path, bytes: &[u8]) -> Result<Vec<Row>> {
    let invalid = |what: String, found: String| Error::invalid_file(file, what, EXPECTED, found);
    let UniqueKeys(value) =
        lenient::json(bytes).map_err(|e| invalid("prompts".into(), e.to_string()))?;
    match value {
        Value::Array(rows) => {
            let row = |(at, row)| {
                let place = format!("entry {}", at + 1);
                Row::of_json(place.clone(), row).map_err(|other| invalid(place, other.to_string()))
            };
            rows.into_iter().enumerate().map(row).collect()
        }
        Value::Object(rows) => {
            let mut rows: Vec<(String, Value)> = rows.into_iter().collect();
            // `serde_json` gives them in the order of texts, in which 10 is before 2.
            rows.sort_by_cached_key(|(id, _)| (id.parse().unwrap_or(u64::MAX), id.clone()));
            let row = |(id, row): (String, Value)| {
                let place = format!("entry {id:?}");
                let row = Row::of_json(place.clone(), row);
                row.map(|row| row.with_id(id)).map_err(|other| invalid(place, other.to_string()))
            };
            rows.into_iter().map(row).collect()
        }
        other => Err(invalid("prompts".to_owned(), other.to_string())),
    }
}

/// The rows of a JSONL file: an object, or a text, on each line.
pub(super) fn lines(file: &Path, text: &str) -> Result<Vec<Row>> {
    let row = |line: files::Line| {
        let place = format!("line {}", line.number);
        let expected = "a JSON object with `prompt`";
        let invalid = |found: String| Error::invalid_file(file, &*place, expected, found);
        let UniqueKeys(value) =
            lenient::json(line.text.as_bytes()).map_err(|error| invalid(error.to_string()))?;
        Row::of_json(place.clone(), value).map_err(|other| invalid(other.to_string()))
    };
    files::text_lines(text).into_iter().map(row).collect()
}

//! CSV and TSV to rows.

use std::collections::HashSet;
use std::path::Path;

use super::super::{Notes, csv_quotes};
use super::row::Row;
use crate::{Error, Result};

/// CSV with `,`, or where the headers have none, with `;` or tabs.
pub(super) fn csv(file: &Path, text: &str, notes: &mut Notes) -> Result<Vec<Row>> {
    let headers = text.lines().next().unwrap_or_default();
    let delimiter = [b',', b';', b'\t'].into_iter().find(|one| headers.as_bytes().contains(one));
    let delimiter = delimiter.unwrap_or(b',');
    csv_quotes::check(file, text, delimiter)?;
    rows(file, text, delimiter, true, notes)
}

/// TSV, in which quotation marks are characters like others, as in PartiPrompts.
pub(super) fn tsv(file: &Path, text: &str, notes: &mut Notes) -> Result<Vec<Row>> {
    rows(file, text, b'\t', false, notes)
}

fn rows(
    file: &Path,
    text: &str,
    delimiter: u8,
    quoting: bool,
    notes: &mut Notes,
) -> Result<Vec<Row>> {
    let invalid = |what: &str, expected: &str, found: String| {
        Error::invalid_file(file, what, expected, found)
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quoting)
        .flexible(true)
        .from_reader(text.as_bytes());
    let headers =
        reader.headers().map_err(|e| invalid("headers", "columns", e.to_string()))?.clone();
    if !Row::has_prompt(headers.iter()) {
        let found = headers.iter().collect::<Vec<_>>().join(", ");
        return Err(invalid("columns", "one called `prompt`", found));
    }
    let mut known = HashSet::new();
    for name in headers.iter().map(|name| name.trim().to_lowercase()).filter(|n| !n.is_empty()) {
        if let Some(twice) = known.replace(name) {
            return Err(invalid("columns", "each name once", format!("{twice} twice")));
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| invalid("rows", "columns", error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() > headers.len() {
            let expected = format!(
                "at most {} columns (a prompt with a comma stands in quotation marks)",
                headers.len()
            );
            let found = format!("{} columns", record.len());
            return Err(invalid(&format!("line {line}"), &expected, found));
        }
        if record.len() < headers.len() {
            // Some programs leave out the last columns where they are empty.
            let what = format!(
                "rows with fewer than {} columns, the last of which are taken as empty",
                headers.len()
            );
            notes.count(&what, format!("line {line}"));
        }
        let fields = headers.iter().zip(record.iter());
        let fields = fields.map(|(name, value)| (name.to_owned(), value.into()));
        rows.push(Row::new(format!("line {line}"), fields));
    }
    Ok(rows)
}

//! A `scheduler_config.json` to its fields.

use std::path::Path;

use crate::Result;
use crate::models::common::fields::Fields;
use crate::models::common::json::read_text;

/// The fields of the file at `path`. What is `null` or not finite counts as not set.
/// (`DPMSolverMultistepScheduler` saves its default `"lambda_min_clipped": -Infinity`.)
pub(super) fn open(path: &Path) -> Result<Fields> {
    parse(path, &read_text(path)?)
}

/// The same of `text`, which came from `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Fields> {
    Ok(Fields::parse(path, text)?.without_nulls())
}

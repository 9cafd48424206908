//! A `scheduler_config.json` to its fields, with the infinite numbers that Python writes there.

use std::path::Path;

use crate::Result;
use crate::models::common::fields::Fields;
use crate::models::common::json::read_text;

/// The fields of the file at `path`. What is `null` counts as not set.
pub(super) fn open(path: &Path) -> Result<Fields> {
    parse(path, &read_text(path)?)
}

/// The same of `text`, which came from `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Fields> {
    Ok(Fields::parse(path, &without_infinities(text))?.without_nulls())
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
    use serde_json::Value;

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

//! JSON files next to the weights to typed settings, with errors that name file, field and line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The largest settings file that is read, in bytes; tokenizers are the largest, at a few MiB, and
/// Gemma's at 33.
const MAX_SIZE: u64 = 64 << 20;

/// The settings in the JSON file at `path`.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse_json(path, &read_text(path)?)
}

/// The settings in `text`, which came from `path`.
pub(crate) fn parse_json<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let what = if error.is_data() { "settings" } else { "JSON" };
        Error::invalid_file(path, what, format!("valid {what}"), error)
    })
}

/// The text of the file at `path`, of bounded size.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_bytes(path)?)
        .map_err(|error| Error::invalid_file(path, "text", "UTF-8", error.utf8_error()))
}

/// The bytes of the file at `path`, of bounded size.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(|source| Error::io(path, source))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Error::invalid_file(path, "size", format!("at most {MAX_SIZE} bytes"), "more"));
    }
    Ok(bytes)
}

/// Refuses what does not hold, naming `field`.
pub(crate) fn require(
    path: &Path,
    field: &str,
    holds: bool,
    expected: impl Into<String>,
    found: impl ToString,
) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::invalid_file(path, field, expected, found)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Settings {
        #[allow(dead_code)]
        layers: i64,
    }

    #[test]
    fn errors_name_the_file_the_field_and_the_line() {
        let path = Path::new("unet/config.json");
        let parse = |text| parse_json::<Settings>(path, text).unwrap_err().to_string();
        let error = parse("{\n}");
        assert!(error.contains("unet/config.json") && error.contains("`layers`"), "{error}");
        let error = parse("{\n\"layers\": \"two\"}");
        assert!(error.contains("line 2") && error.contains("\"two\""), "{error}");
        let error = parse("{");
        assert!(error.contains("JSON"), "{error}");
    }

    #[test]
    fn a_missing_file_is_io() {
        let error = read_json::<Settings>(Path::new("/no/such/config.json")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}

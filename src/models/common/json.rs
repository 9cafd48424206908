//! JSON files next to the weights to typed settings, with errors that name file, field and line.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Result, lenient, regular_file};

/// The largest settings file that is read, in bytes; tokenizers are the largest, at a few MiB, and
/// Gemma's at 33.
const MAX_SIZE: u64 = 64 << 20;

/// The settings in the JSON file at `path`.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse_json(path, &read_text(path)?)
}

/// The settings in `text`, which came from `path`. `NaN` and infinite numbers, which Python writes,
/// are `null`.
pub(crate) fn parse_json<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    lenient::json(text.as_bytes()).map_err(|error| {
        let what = if error.is_data() { "settings" } else { "JSON" };
        Error::invalid_file(path, what, format!("valid {what}"), error)
    })
}

/// The text of the file at `path`, of bounded size: UTF-8, or UTF-16 with its byte order mark. The
/// mark is skipped.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
    let bytes = read_bytes(path)?;
    match std::str::from_utf8(&bytes) {
        // In a vocabulary, a character that is replaced would be another token.
        Err(error) if !UTF_16.iter().any(|mark| bytes.starts_with(mark)) => {
            Err(Error::invalid_file(path, "text", "UTF-8", error))
        }
        _ => Ok(lenient::text(&bytes).into_owned()),
    }
}

/// The bytes of the file at `path`, of bounded size.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let file = regular_file::open(path)?;
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
    fn settings_are_read_as_programs_write_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let text = "{\"layers\": 2}";
        let marked = format!("\u{feff}{text}");
        let wide = |bytes: fn(u16) -> [u8; 2]| marked.encode_utf16().flat_map(bytes).collect();
        let files: [Vec<u8>; 4] =
            [text.into(), marked.clone().into(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)];
        for bytes in files {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_json::<Settings>(&path).unwrap().layers, 2);
        }
        let not_finite = "{\"a\": NaN, \"b\": -Infinity, \"c\": \"NaN\"}";
        let value: serde_json::Value = parse_json(&path, not_finite).unwrap();
        assert_eq!(value, serde_json::json!({"a": null, "b": null, "c": "NaN"}));
        std::fs::write(&path, b"{\"caf\xe9\": 2}").unwrap();
        let error = read_json::<Settings>(&path).unwrap_err().to_string();
        assert!(error.contains("config.json") && error.contains("expected UTF-8"), "{error}");
    }

    #[test]
    fn a_missing_file_is_io() {
        let error = read_json::<Settings>(Path::new("/no/such/config.json")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}

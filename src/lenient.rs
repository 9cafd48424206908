//! Text and JSON as people and programs write them, to a string and to values.

use std::borrow::Cow;

use serde_core::de::DeserializeOwned;

/// The text in the bytes of a file: UTF-8, or UTF-16 in either order of bytes. A byte order mark is
/// skipped. UTF-16 is recognised by its mark, or by its first 16 characters, of each of which the same
/// byte is 0. What is no character becomes U+FFFD.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    const UTF_16: [fn([u8; 2]) -> u16; 2] = [u16::from_le_bytes, u16::from_be_bytes];
    let [little, big] = UTF_16;
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, little).into(),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, big).into(),
        _ => match empty_half(bytes) {
            Some(1) => utf_16(bytes, little).into(),
            Some(_) => utf_16(bytes, big).into(),
            None => String::from_utf8_lossy(bytes),
        },
    }
}

/// Which byte of each pair at the start of `bytes` is 0, the first (0) or the second (1), where the
/// other one never is: one NUL among other characters is no UTF-16.
fn empty_half(bytes: &[u8]) -> Option<usize> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if pairs.len() < 2 || !rest.is_empty() {
        return None;
    }
    let pairs = &pairs[..pairs.len().min(16)];
    (0..2).find(|&half| pairs.iter().all(|pair| pair[half] == 0 && pair[1 - half] != 0))
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (units, half) = bytes.as_chunks();
    let units: Vec<u16> = units.iter().copied().map(unit).collect();
    let mut text = String::from_utf16_lossy(&units);
    text.extend(half.iter().map(|_| char::REPLACEMENT_CHARACTER));
    text
}

/// The JSON in the bytes of a file or of a reply, with what Python's `json` writes although JSON
/// does not have it: `NaN` and infinities are null, half of a surrogate pair is U+FFFD, and control
/// characters in strings are what they are. The encoding is read as [`text`] does.
///
/// # Errors
/// Those of `serde_json`. Line and column are those of the original where nothing of this was met.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    parsed(bytes, |_| char::REPLACEMENT_CHARACTER)
}

/// The same for a piece of a text, where the other half of a pair may be in the next piece: half of a
/// surrogate pair is a character of the private use area, until [`joined`] has the whole text.
///
/// # Errors
/// Those of [`json`].
#[cfg(feature = "openai")]
pub(crate) fn json_piece<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    parsed(bytes, |half| char::from_u32(half + TO_PRIVATE).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// `text`, put together from pieces that [`json_piece`] read: halves that lie side by side are the
/// character that they are halves of, and others are U+FFFD.
#[cfg(feature = "openai")]
pub(crate) fn joined(text: &str) -> String {
    let half = |c: char| u16::try_from(u32::from(c).checked_sub(TO_PRIVATE)?).ok();
    let mut units = Vec::with_capacity(text.len());
    for c in text.chars() {
        match half(c) {
            Some(half) => units.push(half),
            None => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
        }
    }
    String::from_utf16_lossy(&units)
}

/// From the halves of surrogate pairs, U+D800 to U+DFFF, to the last characters that there are,
/// U+10F800 to U+10FFFF, which are for private use.
#[cfg(feature = "openai")]
const TO_PRIVATE: u32 = 0x10_f800 - 0xd800;

fn parsed<T: DeserializeOwned>(bytes: &[u8], half: fn(u32) -> char) -> serde_json::Result<T> {
    let text = text(bytes);
    serde_json::from_str(&text).or_else(|error| match repaired(&text, half) {
        Some(repaired) => serde_json::from_str(&repaired),
        None => Err(error),
    })
}

/// What to add to "JSON" where `error`, which is of `bytes`, is about what people write and JSON does
/// not have.
#[cfg(all(feature = "image", feature = "serde"))]
pub(crate) fn without(bytes: &[u8], error: &serde_json::Error) -> &'static str {
    let text = text(bytes);
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    match line.as_bytes().get(error.column().saturating_sub(1)) {
        Some(b'/' | b'#') => " without comments",
        _ if error.to_string().starts_with("trailing comma") => {
            " without a comma behind its last value"
        }
        _ => "",
    }
}

/// `text` as strict JSON has it, with a character for each half of a pair; none where it has nothing
/// of what is repaired.
fn repaired(text: &str, half: fn(u32) -> char) -> Option<String> {
    let (mut repaired, mut changed, mut in_string) =
        (String::with_capacity(text.len()), false, false);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, instead) = match in_string {
            true => in_text(rest, half),
            false => not_finite(rest, &repaired),
        };
        let (length, instead) = match length {
            0 => (first.len_utf8(), None),
            _ => (length, instead),
        };
        in_string ^= first == '"';
        changed |= instead.is_some();
        match instead {
            Some(instead) => repaired += &instead,
            None => repaired += &rest[..length],
        }
        rest = &rest[length..];
    }
    changed.then_some(repaired)
}

/// The number at the start of `rest` that JSON does not have, by its length, and what stands for it.
fn not_finite(rest: &str, before: &str) -> (usize, Option<Cow<'static, str>>) {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.');
    let number = ["NaN", "-NaN", "Infinity", "-Infinity"].into_iter().find(|number| {
        let after = rest.strip_prefix(number);
        after.is_some_and(|after| !after.starts_with(is_word)) && !before.ends_with(is_word)
    });
    number.map_or((0, None), |number| (number.len(), Some("null".into())))
}

/// An escape or a control character at the start of `rest`, which is inside a string, by its length,
/// and what stands for it.
fn in_text(rest: &str, half: fn(u32) -> char) -> (usize, Option<Cow<'static, str>>) {
    const HIGH: std::ops::Range<u32> = 0xd800..0xdc00;
    const LOW: std::ops::Range<u32> = 0xdc00..0xe000;
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        u32::from_str_radix(digits, 16).ok()
    };
    match (unit(rest), rest.as_bytes()) {
        (Some(high), _) if HIGH.contains(&high) => match unit(&rest[6..]) {
            Some(low) if LOW.contains(&low) => (12, None),
            _ => (6, Some(half(high).to_string().into())),
        },
        (Some(low), _) if LOW.contains(&low) => (6, Some(half(low).to_string().into())),
        (Some(_), _) => (6, None),
        (None, [b'\\', b'\\' | b'"', ..]) => (2, None),
        (None, [control @ ..0x20, ..]) => (1, Some(format!("\\u{control:04x}").into())),
        _ => (0, None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Option<Value> {
        json(text.as_bytes()).ok()
    }

    #[cfg(all(feature = "image", feature = "serde"))]
    #[test]
    fn what_people_write_beside_json_is_told() {
        let told = |text: &str| {
            let error = json::<Value>(text.as_bytes()).unwrap_err();
            without(text.as_bytes(), &error)
        };
        for text in [
            "// x\n{}",
            "{ // x\n}",
            "[1, // x\n 2]",
            "{\"a\": 1 /* x */}",
            "{} // x",
            "# x\n[]",
            "{\n  // x\n  \"a\": 1}",
            "{\"a\": NaN,\n /* x */ \"b\": 1}",
        ] {
            assert_eq!(told(text), " without comments", "{text}");
        }
        for text in ["{\"a\": 1,}", "[1, 2,\n]"] {
            assert_eq!(told(text), " without a comma behind its last value", "{text}");
        }
        for text in ["", "{", "<html>", "{\"a\" 1}", "{\"http://x\" 1}"] {
            assert_eq!(told(text), "", "{text}");
        }
    }

    #[test]
    fn marks_and_encodings_are_read() {
        let wide = |bytes: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        for words in ["a bee 🐝", "été", "x"] {
            let mark = format!("\u{feff}{words}");
            assert_eq!(text(words.as_bytes()), words);
            assert_eq!(text(mark.as_bytes()), words);
            assert_eq!(text(&wide(u16::to_le_bytes, &mark)), words);
            assert_eq!(text(&wide(u16::to_be_bytes, &mark)), words);
        }
        assert_eq!(text(&wide(u16::to_le_bytes, "a bee")), "a bee");
        assert_eq!(text(&wide(u16::to_be_bytes, "a bee")), "a bee");
        assert_eq!(text(b"caf\xe9"), "caf\u{fffd}");
        let long = "a bee on a flower, and 蜂 as well";
        assert_eq!(text(&wide(u16::to_le_bytes, long)), long);
        for nul in ["a\0bee", "\0a bee", "a\0", "a\0b\0ee", "\0\0\0\0", "a\0b"] {
            assert_eq!(text(nul.as_bytes()), nul);
        }
        assert_eq!(text(b"\xff\xfea\0b"), "a\u{fffd}");
        assert_eq!(
            (text(b""), text(b"\xef\xbb\xbf"), text(b"\xff\xfe")),
            ("".into(), "".into(), "".into())
        );
        assert_eq!(json::<Value>(&wide(u16::to_le_bytes, "\u{feff}[1]")).unwrap(), json!([1]));
    }

    #[test]
    fn numbers_that_json_does_not_have_are_null() {
        let text = r#"{"a": NaN, "b": [-Infinity,Infinity , -NaN], "c": "NaN, Infinity", "d": 1}"#;
        let expected = json!({"a": null, "b": [null, null, null], "c": "NaN, Infinity", "d": 1});
        assert_eq!(read(text), Some(expected));
        for broken in ["NaNa", "[1NaN]", "{NaN: 1}", "[Infinite]", "--Infinity", "[NaN"] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }

    #[test]
    fn half_of_a_pair_and_control_characters_are_characters() {
        for (text, expected) in [
            (r#""a bee \ud83d""#, "a bee \u{fffd}"),
            (r#""\udc1d!""#, "\u{fffd}!"),
            (r#""\ud83d\ud83d\udc1d""#, "\u{fffd}🐝"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\\ud83d \ud83d""#, "\\ud83d \u{fffd}"),
            (r#""\"\ud83d\"""#, "\"\u{fffd}\""),
            ("\"two\nlines\tand \\ud83d\"", "two\nlines\tand \u{fffd}"),
        ] {
            assert_eq!(read(text), Some(expected.into()), "{text}");
        }
        #[cfg(feature = "openai")]
        for (pieces, whole) in [
            ([r#""a \ud83d""#, r#""\udc1d b""#], "a 🐝 b"),
            ([r#""\ud83d\ud83d""#, r#""\udc1d\udc1d""#], "\u{fffd}🐝\u{fffd}"),
            ([r#""\ud83d""#, r#""x\udc1d""#], "\u{fffd}x\u{fffd}"),
            ([r#""é 🐝""#, r#""\ud83d\udc1d""#], "é 🐝🐝"),
        ] {
            let pieces = pieces.map(|piece| json_piece::<String>(piece.as_bytes()).unwrap());
            assert_eq!(joined(&pieces.concat()), whole);
        }
        assert_eq!(read(r#""\ud83""#), None);
        assert_eq!(read(r#""\ud83d"#), None);
    }
}

//! Regular expressions as Python's `re` means them, for text.

use std::borrow::Cow;
use std::sync::LazyLock;

use fancy_regex::{Regex, RegexBuilder};

/// What `\w` stands for in Python: letters, numbers of every kind, and the underscore, but no marks.
const WORD: &str = r"[\p{L}\p{N}_]";
/// What `\s` stands for in Python.
const SPACE: &str = r"[\s\x1c-\x1f]";
const NOT_SPACE: &str = r"[^\s\x1c-\x1f]";

/// Python's `pattern`, of which `\w`, `\s`, `\S` and `\b` have another meaning in Rust.
///
/// # Panics
/// If it is no regular expression: all of them are written in this folder.
pub(super) fn regex(pattern: &str) -> Regex {
    let edge = format!("(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))");
    let pattern = [(r"\b", edge.as_str()), (r"\w", WORD), (r"\s", SPACE), (r"\S", NOT_SPACE)]
        .into_iter()
        .fold(pattern.to_owned(), |pattern, (escape, class)| pattern.replace(escape, class));
    // A prompt is bounded, and so is the work.
    let regex = RegexBuilder::new(&pattern).backtrack_limit(usize::MAX).build();
    regex.expect("a regular expression of this folder")
}

/// `re.sub(regex, replacement, text)`; groups are `$1` in the replacement.
pub(super) fn sub<'a>(regex: &Regex, replacement: &str, text: &'a str) -> Cow<'a, str> {
    regex.try_replacen(text, 0, replacement).unwrap_or(Cow::Borrowed(text))
}

/// Whether `\w` matches it.
pub(super) fn is_word(character: char) -> bool {
    static CLASS: LazyLock<Regex> = LazyLock::new(|| regex(r"^\w"));
    match character.is_ascii() {
        true => character.is_ascii_alphanumeric() || character == '_',
        false => CLASS.is_match(character.encode_utf8(&mut [0; 4])).unwrap_or(false),
    }
}

/// Whether `str.isspace` is true of it.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

/// `text.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `text.lower()`.
pub(super) fn lower(text: &str) -> String {
    text.to_lowercase()
}

/// `urllib.parse.unquote_plus(text)`.
pub(super) fn unquote_plus(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

//! References to characters in HTML, such as `&eacute;` and `&#233;`, to the characters.

use std::sync::LazyLock;

use fancy_regex::{Captures, Regex};

use super::python::regex;

/// What 80 to 9F stand for in HTML, which are Windows-1252's; those that it leaves out stand for
/// themselves. WHATWG, "HTML", numeric character reference end state.
pub(super) const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// What `name` stands for, such as `eacute` or `eacute;`: of those without a semicolon only a part is
/// known.
fn find(name: &str) -> Option<&'static str> {
    let found = htmlize::ENTITIES.get(format!("&{name}").as_bytes())?;
    std::str::from_utf8(found).ok()
}

/// What `name` stands for, whether or not a semicolon belongs to it.
pub(super) fn named(name: &str) -> Option<&'static str> {
    find(name).or_else(|| find(&format!("{name};")))
}

/// The character of this number, as Beautiful Soup has it.
pub(super) fn numbered(number: u32) -> char {
    match number {
        0 => char::REPLACEMENT_CHARACTER,
        0x80..=0x9f => WINDOWS_1252[number as usize - 0x80],
        _ => char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// The number of a reference such as `233` or `xe9`; one that is too large is one that is none.
pub(super) fn number(digits: &str) -> u32 {
    let found = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    found.unwrap_or(u32::MAX)
}

/// `html.unescape(text)` of Python.
pub(super) fn unescape(text: &str) -> String {
    static REFERENCE: LazyLock<Regex> =
        LazyLock::new(|| regex(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\x0c <&#;]{1,32};?)"));
    REFERENCE.replace_all(text, |found: &Captures<'_, str>| unescaped(&found[1])).into_owned()
}

/// What stands behind an ampersand to the characters that it stands for.
fn unescaped(name: &str) -> String {
    if let Some(digits) = name.strip_prefix('#') {
        let number = number(digits.trim_end_matches(';'));
        let is_no_character = matches!(number, 1..=8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef)
            || (number <= 0x0010_ffff && number & 0xfffe == 0xfffe);
        return if is_no_character { String::new() } else { numbered(number).into() };
    }
    if let Some(found) = find(name) {
        return found.to_owned();
    }
    // The longest beginning that is known without a semicolon, of at least two characters.
    let begins = name.char_indices().map(|(at, _)| at).skip(2).collect::<Vec<_>>();
    let begin = begins.into_iter().rev().find_map(|at| Some((at, find(&name[..at])?)));
    match begin {
        Some((at, found)) => format!("{found}{}", &name[at..]),
        None => format!("&{name}"),
    }
}

//! A text to the words that are compared with those of another, or to what a terminal shows.

use std::fmt::{self, Formatter};

/// The words of `text` in lower case, without punctuation.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Writes `text` with `indent` before each line but the first. Characters that would move the cursor
/// or turn the direction of the text are written as their codes.
pub(crate) fn write_plain(f: &mut Formatter<'_>, text: &str, indent: &str) -> fmt::Result {
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            write!(f, "\n{indent}")?;
        }
        for c in line.chars() {
            let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            match c.is_control() || turns {
                true => write!(f, "{}", c.escape_unicode())?,
                false => write!(f, "{c}")?,
            }
        }
    }
    Ok(())
}

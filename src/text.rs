//! A text to its words or to what a terminal shows, and a template to the text that it becomes.

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

/// `template` with the values in the places of their names. A value that holds a name stays as it
/// is.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let longest: usize = values.iter().map(|(_, value)| value.len()).sum();
    let (mut filled, mut rest) = (String::with_capacity(template.len() + longest), template);
    while let Some(at) = rest.find('{') {
        filled += &rest[..at];
        rest = &rest[at..];
        let (name, value) = values
            .iter()
            .find(|(name, _)| rest.starts_with(name))
            .map_or(("{", "{"), |&(name, value)| (name, value));
        filled += value;
        rest = &rest[name.len()..];
    }
    filled + rest
}

//! The quotation marks of a CSV file, to the line of one that is not closed: with it, all that follows up to
//! the next one would be part of one field.

use std::path::Path;

use super::lists::Place;
use crate::Result;

/// That each field of `text` that begins with a quotation mark also ends with one.
///
/// # Errors
/// [`Error::InvalidFile`](crate::Error::InvalidFile) names the line where the field begins.
pub(super) fn check(file: &Path, text: &str, delimiter: u8) -> Result<()> {
    let delimiter = char::from(delimiter);
    let (mut line, mut begins, mut rest) = (1, true, text.chars().peekable());
    while let Some(character) = rest.next() {
        line += u64::from(character == '\n');
        if character != '"' || !begins {
            begins = character == delimiter || matches!(character, '\n' | '\r');
            continue;
        }
        begins = false;
        let place = Place { file, unit: "line", number: line };
        loop {
            match rest.next() {
                None => {
                    let found = "none up to the end of the file";
                    return Err(place.invalid("a closing quotation mark", found));
                }
                Some('"') if rest.next_if_eq(&'"').is_none() => break,
                Some(character) => line += u64::from(character == '\n'),
            }
        }
        while rest.next_if(|&next| next == ' ' && next != delimiter).is_some() {}
        if let Some(&next) = rest.peek()
            && next != delimiter
            && !matches!(next, '\n' | '\r')
        {
            let expected = format!(
                "{delimiter:?} or the end of the line behind a closing quotation mark (one within a \
                 quoted field is written twice)"
            );
            return Err(place.invalid(expected, format!("{next:?} in line {line}")));
        }
    }
    Ok(())
}

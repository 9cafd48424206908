//! Digits and words to a number, and what makes it another one.

pub(super) const NUMBERS: [&str; 11] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/// What is counted in Chinese, Japanese and Korean, behind a number: points.
const POINTS: [char; 3] = ['分', '点', '점'];

/// The number at the start of `text`, and what stands behind it.
pub(super) fn begins_with_number(text: &str) -> Option<(f64, &str)> {
    let word = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    if let Some(value) = NUMBERS.iter().position(|name| *name == &text[..word]) {
        // "One wing is missing" gives no number.
        let rest = &text[word..];
        let ends = rest.trim_start_matches(' ');
        let ends = ends.is_empty()
            || ends.starts_with("out of")
            || ends.starts_with(|c: char| !c.is_alphanumeric());
        return ends.then_some((value as f64, rest));
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with(['-', '+']));
    let whole = digits(&text[sign..]);
    if whole == 0 {
        return None;
    }
    let mut end = sign + whole;
    let fraction = text[end..].strip_prefix(['.', ',']).map_or(0, digits);
    if fraction > 0 {
        end += 1 + fraction;
    }
    let value = text[..end].replace(',', ".").parse().ok()?;
    let rest = text[end..].strip_prefix(POINTS).unwrap_or(&text[end..]);
    (!rest.starts_with(char::is_alphanumeric)).then_some((value, rest))
}

/// Whether what stands behind a number makes it another one: a percentage, a fraction as in `3 1/2`, a
/// range, or all numbers that there are.
pub(super) fn goes_on(after: &str) -> bool {
    let half = ["and a half", "and half", "+", "~", "～", "…", ".."];
    let joins = ["-", "–", "—", ",", "or ", "to ", "and "];
    let joined = |and: &&str| {
        after.strip_prefix(*and).is_some_and(|rest| begins_with_number(rest.trim_start()).is_some())
    };
    after.starts_with(['%', '％'])
        || after.starts_with(char::is_numeric)
        || half.iter().any(|words| after.starts_with(words))
        || joins.iter().any(joined)
}

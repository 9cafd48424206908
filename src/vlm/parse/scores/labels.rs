//! A text to the numbers behind a label in it, such as `Score: 3`.

use super::number::{self, NUMBERS, begins_with_number};

/// How numbers are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// The best number.
    pub(super) max: f64,
    /// The number of `N/A`.
    pub(super) not_applicable: Option<f64>,
    /// Whether the text may go on behind its end.
    pub(super) cut_off: bool,
}

/// Words before a label with which it is no mark of this picture: "the maximum score: 4".
const ABOUT_THE_SCALE: [&str; 16] = [
    "maximum", "max", "maximal", "highest", "best", "top", "perfect", "full", "minimum", "min",
    "lowest", "worst", "possible", "passing", "previous", "no",
];

/// Words before a number with which it is another one: "not 4", "below 3".
const OTHER_THAN: [&str; 24] = [
    "not", "never", "no", "nor", "neither", "cannot", "below", "under", "above", "over", "beyond",
    "less", "more", "than", "almost", "nearly", "least", "most", "max", "maximum", "min",
    "minimum", "between", "from",
];

/// Words behind a number with which it is not given: "4 would be too high".
const NOT_GIVEN: [&str; 16] = [
    "cannot",
    "can't",
    "can",
    "could",
    "couldn't",
    "would",
    "wouldn't",
    "should",
    "shouldn't",
    "isn't",
    "is not",
    "was not",
    "won't",
    "if",
    "means",
    "is reserved",
];

impl Reader {
    /// The numbers behind the label `name`: those behind a colon or its like or below a heading, or where
    /// there are none, those of a sentence such as `the score is 3`.
    pub(super) fn in_text(self, text: &str, name: &str) -> Vec<f64> {
        let marks = |c: &char| !matches!(c, '*' | '`' | '#' | '$' | '"');
        let text: String = text.chars().filter(marks).collect();
        let text = text.replace("\\boxed{", "[").replace("\\text{", "[");
        let behind: Vec<(bool, f64)> = text
            .char_indices()
            .filter(|(at, _)| is_start(&text[..*at], name))
            .filter_map(|(at, _)| Some((at, label(&text[at..], name)?)))
            .filter_map(|(at, rest)| self.below(&text[..at], rest).or_else(|| self.behind(rest)))
            .collect();
        let labelled = behind.iter().any(|(is_colon, _)| *is_colon);
        let strongest = behind.iter().filter(|(is_colon, _)| *is_colon == labelled);
        strongest.map(|(_, value)| *value).collect()
    }

    /// The number behind a separator, and whether that is a colon or its like.
    fn behind(self, rest: &str) -> Option<(bool, f64)> {
        let (is_colon, rest) = separator(rest)?;
        if let Some(value) = self.not_applicable.filter(|_| is_colon && says_none(rest)) {
            return Some((true, value));
        }
        Some((is_colon, self.number(opened(rest)?)?))
    }

    /// The number on the line below a label that has a line of its own, as a heading has.
    fn below(self, before: &str, rest: &str) -> Option<(bool, f64)> {
        let line = before.rsplit('\n').next().unwrap_or(before);
        let is_heading = line.split_whitespace().all(|word| {
            !word.contains(char::is_alphabetic)
                || matches!(word, "final" | "overall" | "total" | "my")
        });
        let (end, below) = rest.split_once('\n').filter(|_| is_heading)?;
        let end = end.trim_start_matches([' ', '_']);
        let is_end = end.chars().all(|c| !c.is_alphanumeric())
            || end.starts_with('(') && end.trim_end_matches([' ', ':']).ends_with(')');
        let next = below.trim_start();
        let (line, more) = next.split_once('\n').map_or((next, false), |(line, _)| (line, true));
        let reader = Self { cut_off: self.cut_off && !more, ..self };
        is_end.then(|| reader.alone(line)).flatten().map(|value| (true, value))
    }

    /// The number that `text` begins with, unless more follows that makes it another one.
    fn number(self, text: &str) -> Option<f64> {
        let (value, rest) = begins_with_number(text)?;
        if rest.is_empty() && self.cut_off {
            return None; // 1 may have become 10.
        }
        let after = rest.trim_start_matches([' ', ']', ')', '}', '>']);
        let of = after.strip_prefix('/').or_else(|| after.strip_prefix("out of "));
        let of = of.map(|of| begins_with_number(of.trim_start()).map(|(of, _)| of));
        if of.is_some_and(|of| of != Some(self.max)) {
            return None;
        }
        let is_given = !NOT_GIVEN.iter().any(|words| begins_with_words(after, words));
        (is_given && !number::goes_on(after)).then_some(value)
    }

    /// The number that is all of `text`, but for what is around it.
    pub(super) fn alone(self, text: &str) -> Option<f64> {
        let is_around = |c: char| {
            c.is_whitespace() || matches!(c, '*' | '`' | '[' | ']' | '(' | ')' | '"' | '.')
        };
        let text = text.trim_start_matches(is_around);
        if says_none(text) && self.not_applicable.is_some() {
            return self.not_applicable;
        }
        let (_, rest) = begins_with_number(text)?;
        let rest = rest.trim_end_matches(is_around).trim_start();
        let rest = rest.strip_prefix('/').or_else(|| rest.strip_prefix("out of")).unwrap_or(rest);
        rest.trim().chars().all(|c| c.is_ascii_digit()).then(|| self.number(text))?
    }
}

/// Whether a label may begin behind `before`: at the start of a word, and not where it is about the scale.
fn is_start(before: &str, name: &str) -> bool {
    // There is no space between words of Chinese and Japanese.
    let has_spaces = !name.starts_with(|c: char| matches!(c, '\u{3040}'..='\u{9fff}'));
    let words = before.trim_end_matches([' ', '_']);
    let last = words.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    !(has_spaces && before.ends_with(char::is_alphanumeric) || ABOUT_THE_SCALE.contains(&last))
}

/// What stands behind `name` at the start of `text`, whatever is between its words.
fn label<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text;
    for (at, expected) in name.chars().enumerate() {
        if at > 0 {
            rest = rest.trim_start_matches([' ', '_', '-']);
        }
        rest = rest.strip_prefix(expected)?;
    }
    (!rest.starts_with(char::is_alphanumeric)).then_some(rest)
}

/// What stands behind the separator of a label, and whether that is a colon or its like.
fn separator(rest: &str) -> Option<(bool, &str)> {
    let rest = rest.trim_start_matches([' ', '_', ')', ']', '\'']);
    let rest = ["score", "rating"].iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    let rest = rest.trim_start_matches([' ', ')', ']']);
    // "Score (0-4): 3"
    let note = rest.strip_prefix(['(', '（']).and_then(|note| note.split_once([')', '）']));
    let rest = note.map_or(rest, |(_, behind)| behind.trim_start());
    if let Some(rest) = rest.strip_prefix([':', '：', '=', '|']) {
        return Some((true, rest));
    }
    let words = ["is ", "of ", "would be ", "- ", "– ", "— "];
    words.iter().find_map(|word| rest.strip_prefix(word)).map(|rest| (false, rest))
}

/// `rest` without brackets and a word before the number, as in `Good (3)`; `None` where with that word the
/// number is another one.
fn opened(rest: &str) -> Option<&str> {
    let brackets: &[char] = &[' ', '\n', '[', '(', '{', '<', '|', '\''];
    let rest = rest.trim_start_matches(brackets);
    let end = rest.find(|c: char| !(c.is_alphabetic() || c == '\'')).unwrap_or(rest.len());
    match &rest[..end] {
        word if NUMBERS.contains(&word) => Some(rest),
        word if OTHER_THAN.contains(&word) || word.ends_with("n't") => None,
        _ => Some(rest[end..].trim_start_matches(brackets)),
    }
}

/// Whether a field says that it has no number.
fn says_none(text: &str) -> bool {
    let none = ["n/a", "not applicable", "null", "none"];
    none.iter().any(|none| begins_with_words(text.trim_start_matches([' ', '[', '(', '\'']), none))
}

fn begins_with_words(text: &str, words: &str) -> bool {
    let rest = text.strip_prefix(words);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '\''))
}

//! The reply of a judge to the numbers that it gives.

use super::json::{self, Json};
use super::{answer, folded, refusal};
use crate::vlm::{ChatReply, Questions};

/// Why a reply gives no numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unscored {
    /// The model declines, in these words.
    Refused(String),
    /// It cannot be told what it gives: what was found.
    Unclear(String),
}

/// The number that a reply gives for each of `names`, of which each must have exactly one: `Score: 3`,
/// `**Score:** 3/4`, `{"score": 3}`. A scale that ends at another number than `max`, as in `3/5`, a range
/// and a percentage are no numbers; thoughts are not read.
pub(crate) fn scores(reply: &ChatReply, names: &[&str], max: f64) -> Result<Vec<f64>, Unscored> {
    if let Some(reason) = &reply.refusal {
        return Err(Unscored::Refused(reason.clone()));
    }
    let Some(answer) = answer(reply) else {
        return Err(Unscored::Unclear("no answer behind a thought".into()));
    };
    let questions = Questions::default();
    let text = folded(&answer.text);
    let values = json::values(&answer.text);
    let of = |name: &&str| {
        let mut found = Vec::new();
        values.iter().for_each(|value| in_json(value, &joined(name), max, &mut found));
        if found.is_empty() {
            found = in_text(&text, &joined(name), max, answer.cut_off);
        }
        if let ([], [_], Some(only)) = (&*found, names, alone(&text, max, answer.cut_off)) {
            found.push(only);
        }
        found
    };
    let found: Vec<Vec<f64>> = names.iter().map(of).collect();
    let is_silent = found.iter().all(Vec::is_empty);
    if declines(&text) || is_silent && refusal::is_refusal(&questions, &text) {
        return Err(Unscored::Refused(shortened(&answer.text)));
    }
    let one = |(name, found): (&&str, Vec<f64>)| match *found {
        [value] => Ok(value),
        ref other => {
            let (count, text) = (other.len(), shortened(&answer.text));
            Err(Unscored::Unclear(format!(
                "expected one number for {name}, found {count} in: {text}"
            )))
        }
    };
    names.iter().zip(found).map(one).collect()
}

/// Whether a reply declines that may hold a number all the same: "I'm sorry, I can't see the image.
/// Score: 0". What a judge cannot make out in the image is no refusal.
fn declines(text: &str) -> bool {
    const SORRY: [&str; 8] = [
        "sorry",
        "i'm sorry",
        "i am sorry",
        "my apologies",
        "i apologize",
        "i apologise",
        "as an ai",
        "as a language model",
    ];
    const UNABLE: [&str; 8] = [
        "i can't ",
        "i cannot ",
        "i can not ",
        "i'm unable to ",
        "i am unable to ",
        "i'm not able to ",
        "i am not able to ",
        "i won't ",
    ];
    const TASKS: [&str; 10] = [
        "help", "assist", "access", "open", "process", "comply", "fulfill", "engage", "evaluate",
        "assess",
    ];
    const NO_IMAGE: [&str; 4] =
        ["no image was", "no images were", "no image is provided", "no image has been"];
    let start = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let first: String = start.chars().take(200).collect();
    let is_task = |task: &str| {
        let sees = ["see ", "view "].iter().find_map(|verb| task.strip_prefix(verb));
        let mut object = sees.unwrap_or_default().split_whitespace().take(2);
        TASKS.iter().any(|word| task.starts_with(word))
            || object
                .any(|word| ["image", "picture", "photo"].iter().any(|what| word.starts_with(what)))
    };
    let unable = UNABLE
        .iter()
        .any(|words| first.match_indices(words).any(|(at, _)| is_task(&first[at + words.len()..])));
    SORRY.iter().any(|words| start.starts_with(words))
        || NO_IMAGE.iter().any(|words| first.contains(words))
        || unable
}

/// The beginning of what was said; all of it is in the exchanges.
fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is between the words of a name left out: `Visual Correctness` is `visualcorrectness`.
fn joined(name: &str) -> String {
    folded(name).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Adds the numbers of the fields called `name`.
fn in_json(value: &Json, name: &str, max: f64, found: &mut Vec<f64>) {
    match value {
        Json::List(list) => list.iter().for_each(|value| in_json(value, name, max, found)),
        Json::Fields(fields) => {
            for (field, value) in fields {
                let field = joined(field);
                let is_it = field == name || field.strip_suffix("score") == Some(name);
                match of_field(value, max).filter(|_| is_it) {
                    Some(number) => found.push(number),
                    None => in_json(value, name, max, found),
                }
            }
        }
        _ => {}
    }
}

/// The number in the field of a criterion: itself, as text, or in a field of its own beside a reason.
fn of_field(value: &Json, max: f64) -> Option<f64> {
    match value {
        Json::Number(number) => Some(*number),
        Json::Text(text) => alone(&folded(text), max, false),
        Json::Fields(fields) => {
            let is_number = |name: &str| ["score", "rating", "value"].contains(&&*joined(name));
            let mut numbers = fields.iter().filter(|(name, _)| is_number(name));
            let (_, number) = numbers.next()?;
            numbers.next().is_none().then(|| of_field(number, max))?
        }
        _ => None,
    }
}

/// The numbers behind the label `name`: those behind a colon or its like, or where there are none, those
/// of a sentence such as `the score is 3`.
fn in_text(text: &str, name: &str, max: f64, cut_off: bool) -> Vec<f64> {
    let text: String = text.chars().filter(|c| !matches!(c, '*' | '`' | '#' | '$' | '"')).collect();
    let text = text.replace("\\boxed{", "[").replace("\\text{", "[");
    let behind: Vec<(bool, f64)> = text
        .char_indices()
        .filter(|(at, _)| !text[..*at].ends_with(char::is_alphanumeric))
        .filter_map(|(at, _)| label(&text[at..], name))
        .filter_map(|rest| {
            let (is_colon, rest) = separator(rest)?;
            Some((is_colon, number(opened(rest), max, cut_off)?))
        })
        .collect();
    let labelled = behind.iter().any(|(is_colon, _)| *is_colon);
    behind.iter().filter(|(is_colon, _)| *is_colon == labelled).map(|(_, value)| *value).collect()
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
    let note = rest.strip_prefix('(').and_then(|note| note.split_once(')'));
    let rest = note.map_or(rest, |(_, behind)| behind.trim_start());
    if let Some(rest) = rest.strip_prefix([':', '：', '=', '|']) {
        return Some((true, rest));
    }
    let words = ["is ", "of ", "would be ", "- ", "– ", "— "];
    words.iter().find_map(|word| rest.strip_prefix(word)).map(|rest| (false, rest))
}

/// `rest` without brackets and a word before the number: `Good (3)`.
fn opened(rest: &str) -> &str {
    let brackets: &[char] = &[' ', '\n', '[', '(', '{', '<', '|', '\''];
    let rest = rest.trim_start_matches(brackets);
    let word = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    match NUMBERS.contains(&&rest[..word]) {
        true => rest,
        false => rest[word..].trim_start_matches(brackets),
    }
}

const NUMBERS: [&str; 11] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/// The number that `text` begins with, unless more follows that makes it another one.
fn number(text: &str, max: f64, cut_off: bool) -> Option<f64> {
    let (value, rest) = begins_with_number(text)?;
    if rest.is_empty() && cut_off {
        return None; // 1 may have become 10.
    }
    let after = rest.trim_start_matches([' ', ']', ')', '}', '>']);
    let of = after.strip_prefix('/').or_else(|| after.strip_prefix("out of "));
    let of = of.map(|of| begins_with_number(of.trim_start()).map(|(of, _)| of));
    if of.is_some_and(|of| of != Some(max)) || after.starts_with('%') {
        return None;
    }
    // A range, or all numbers that there are.
    let more = ["-", "–", "—", ",", "or ", "to ", "and "]
        .iter()
        .find_map(|and| begins_with_number(after.strip_prefix(and)?.trim_start()));
    more.is_none().then_some(value)
}

fn begins_with_number(text: &str) -> Option<(f64, &str)> {
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
    (!text[end..].starts_with(char::is_alphanumeric)).then_some((value, &text[end..]))
}

/// The number that is all of `text`, but for what is around it.
fn alone(text: &str, max: f64, cut_off: bool) -> Option<f64> {
    let is_around =
        |c: char| c.is_whitespace() || matches!(c, '*' | '`' | '[' | ']' | '(' | ')' | '"' | '.');
    let text = text.trim_start_matches(is_around);
    let (_, rest) = begins_with_number(text)?;
    let rest = rest.trim_end_matches(is_around).trim_start();
    let rest = rest.strip_prefix('/').or_else(|| rest.strip_prefix("out of")).unwrap_or(rest);
    rest.trim().chars().all(|c| c.is_ascii_digit()).then(|| number(text, max, cut_off))?
}

//! The answer to a question for an order to the indices that it names.

use super::Answer;
use super::json::{self, Json};
use super::table::table;
use super::{folded, is_one_of};

/// Fields of JSON that hold an index.
const FIELDS: &str = "index|image|image_index|id|candidate|number|idx";

/// Words that may stand between the indices of one list.
const FILLERS: &str = "|-|image|images|img|picture|photo|candidate|index|indices|and|then|first|second|\
    third|fourth|fifth|best|worst|last|next|no|number|followed|by";

/// What a number after it is the place in the order of.
const PLACES: &str = "rank|place|position|top";

/// The indices of some of `count` things from 0, in order and each once.
///
/// Of several groups of numbers the first one counts where the answer begins with it, else the
/// longest, the last of equals: "the 3 best of these are 2, 0, 5" names 2, 0 and 5. Numbers that no
/// thing has are passed over. A group that holds `count` and no 0 was counted from 1. A number at the
/// end of an answer that was cut off may have been longer, and is left out.
pub(super) fn named(answer: &Answer, count: usize) -> Vec<usize> {
    let values = json::values(&answer.text);
    if let [Json::Fields(fields)] = values.as_slice()
        && fields.len() > 1
        && fields.iter().all(|(name, _)| name.parse::<usize>().is_ok())
    {
        return Vec::new(); // Ranks of images, or images of ranks?
    }
    let in_structure = in_fields(&values).or_else(|| in_column(&answer.text));
    let numbers = in_structure.unwrap_or_else(|| group(answer));
    let first = usize::from(numbers.contains(&count) && !numbers.contains(&0));
    let mut named: Vec<usize> = Vec::new();
    for number in numbers.into_iter().filter_map(|number| number.checked_sub(first)) {
        if number < count && !named.contains(&number) {
            named.push(number);
        }
    }
    named
}

/// The indices of objects in a list: `[{"index": 2, "score": 0.9}, …]`.
fn in_fields(values: &[Json]) -> Option<Vec<usize>> {
    let number = |value: &Json| match value {
        Json::Number(number) if *number >= 0.0 && number.fract() == 0.0 => Some(*number as usize),
        Json::Text(text) => text.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().ok(),
        _ => None,
    };
    let index = |value: &Json| match value {
        Json::Fields(fields) => {
            let index = fields.iter().find(|(name, _)| is_one_of(&folded(name), FIELDS));
            index.and_then(|(_, value)| number(value))
        }
        _ => None,
    };
    let list = |list: &[Json]| -> Option<Vec<usize>> { list.iter().map(index).collect() };
    match values {
        [Json::List(inner)] => list(inner),
        [Json::Fields(fields)] => fields.iter().find_map(|(_, value)| match value {
            Json::List(inner) => list(inner),
            _ => None,
        }),
        several => list(several),
    }
    .filter(|numbers| !numbers.is_empty())
}

/// The indices in the column of a table that is headed so.
fn in_column(text: &str) -> Option<Vec<usize>> {
    let table = table(text)?;
    let is_index = |cell: &String| is_one_of(&folded(cell), FIELDS);
    let column = table.header.iter().position(is_index)?;
    let number = |row: &Vec<String>| words(row.get(column)?).next()?.parse().ok();
    table.rows.iter().map(number).collect()
}

/// The numbers of the group that counts.
fn group(answer: &Answer) -> Vec<usize> {
    let mut groups: Vec<Vec<usize>> = vec![Vec::new()];
    let text = match answer.cut_off {
        true => answer.text.trim_end_matches(|c: char| c.is_ascii_digit()),
        false => &answer.text,
    };
    for line in text.lines().map(str::trim) {
        // "1. 3" is the first line and names 3.
        let numbered = without_number(line);
        let names = words(numbered).next().is_some_and(|word| word.parse::<usize>().is_ok());
        let mut is_place = false;
        for word in words(if names { numbered } else { line }) {
            match (word.parse(), groups.last_mut()) {
                (Ok(_), _) if is_place => {}
                (Ok(number), Some(group)) => group.push(number),
                _ if is_one_of(&word, PLACES) => {}
                _ => groups.push(Vec::new()),
            }
            is_place = is_one_of(&word, PLACES);
        }
    }
    let mut groups = groups.into_iter();
    match groups.next() {
        Some(first) if !first.is_empty() => first,
        // `max_by_key` takes the last of equals.
        _ => groups.max_by_key(Vec::len).unwrap_or_default(),
    }
}

/// The words of a line that are not fillers, ordinals ("1st") or fractions ("0.95").
fn words(line: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.');
    let folded = folded(line);
    let words: Vec<String> = folded
        .split(|c| !is_part(c))
        .map(|word| word.trim_end_matches('.').trim_start_matches("image").to_owned())
        .filter(|word| !is_one_of(word, FILLERS) && !is_ordinal(word) && !is_fraction(word))
        .collect();
    words.into_iter()
}

fn is_ordinal(word: &str) -> bool {
    let ending = word.trim_start_matches(|c: char| c.is_ascii_digit());
    ending.len() < word.len() && matches!(ending, "st" | "nd" | "rd" | "th")
}

fn is_fraction(word: &str) -> bool {
    word.contains('.') && word.parse::<f64>().is_ok()
}

/// `line` without a leading `1.`, `10)`, `(2)`, `3:` or `4、` that numbers it.
fn without_number(line: &str) -> &str {
    let open = line.strip_prefix(['(', '（']).unwrap_or(line);
    let rest = open.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == open.len() {
        return line;
    }
    if let Some(after) = rest.strip_prefix(['、', '．', '）', '：']) {
        return after; // No space follows these.
    }
    match rest.strip_prefix(['.', ')', ':']) {
        Some(after) if after.is_empty() || after.starts_with(char::is_whitespace) => after,
        _ => line,
    }
}

//! A list of lines with markers, headings and explanations to its items.

use std::borrow::Cow;

use super::items::Item;
use super::line::{self, Line, Marker, cleaned, unquoted};
use super::{folded, is_one_of, phrases};

/// The items of a list in `text`.
pub(super) fn items(text: &str) -> Vec<Item> {
    let any = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
    if any(&["✅", "✔", "✓", "[x]", "[X]"]) && any(&["❌", "✗", "✘", "[ ]"]) {
        return Vec::new(); // Which of them are missing?
    }
    let text = &one_a_line(text);
    let text = &unwrapped(text);
    let lines = line::lines(text);
    let lines = &lines[..end_of_list(&lines)];
    let count = |marker| lines.iter().filter(|line| line.marker == marker).count();
    // A single number other than the first makes no list: "10. a dog" among other lines.
    let numbers = match count(Marker::Number) {
        1 => lines.iter().any(|line| line.marker == Marker::Number && line.is_first),
        numbers => numbers > 1,
    };
    if numbers || count(Marker::Bullet) > 0 { marked(lines) } else { unmarked(lines) }
}

/// `text` with the lines in one that were wrapped where something must follow.
pub(super) fn unwrapped(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    let mut is_rest = false;
    while let Some(line) = lines.next() {
        whole += if is_rest { line.trim_start() } else { line };
        let goes_on = |next: &&str| {
            next.trim_start().starts_with(char::is_alphabetic) && breaks_off(line.trim_end())
        };
        is_rest = lines.peek().is_some_and(goes_on);
        whole.push(if is_rest { ' ' } else { '\n' });
    }
    whole
}

/// `text` with a line for each number where one line has them all: "1) a sheep; 2) a dog".
pub(super) fn one_a_line(text: &str) -> Cow<'_, str> {
    let first = [("1) ", ") "), ("1. ", ". "), ("(1) ", ") ")];
    let form = first.iter().find(|(first, _)| text.trim_start().starts_with(first));
    let Some((first, after)) = form.filter(|_| !text.trim().contains('\n')) else {
        return text.into();
    };
    let before = if first.starts_with('(') { " (" } else { " " };
    let mut lines = text.to_owned();
    for number in 2..=super::MAX_ITEMS {
        let mark = format!("{before}{number}{after}");
        if !lines.contains(&mark) {
            break;
        }
        lines = lines.replacen(&mark, &format!("\n{}", mark.trim_start()), 1);
    }
    lines.into()
}

/// The number of lines before a farewell.
fn end_of_list(lines: &[Line]) -> usize {
    let is_marked = |line: &Line| matches!(line.marker, Marker::Number | Marker::Bullet);
    let first = match lines.iter().position(is_marked) {
        Some(first) => first,
        None => {
            let is_before =
                |line: &Line| phrases::introduces(line.text) || ends_with_colon(line.text);
            lines.iter().position(|line| !is_before(line)).unwrap_or(lines.len())
        }
    };
    let is_farewell = |number: &usize| {
        let line = &lines[*number];
        let is_last = number + 1 == lines.len();
        let is_addressed = || is_last && phrases::addresses_reader(line.text);
        (!is_marked(line) && phrases::takes_leave(line.text)) || is_addressed()
    };
    (first + 1..lines.len()).find(is_farewell).unwrap_or(lines.len())
}

/// What a line is to those around it.
enum Kind {
    Item,
    /// What follows is sorted under it.
    Heading,
    /// It explains the item above.
    Below,
}

/// The items of a list with numbers or bullets. Lines below an item explain it, and bullets inside it
/// too, unless the item is a category: then they are the items.
fn marked(lines: &[Line]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    // The first marked line of the list and whether what is below the last one are the items.
    let (mut top, mut is_category, mut is_beside): (Option<Line>, bool, bool) =
        (None, false, false);
    for (number, line) in lines.iter().enumerate() {
        let next = lines.get(number + 1);
        let kind = match (line.marker, &top) {
            (Marker::Heading, _) => Kind::Heading,
            (Marker::None, _) if is_heading(line, next) => Kind::Heading,
            (Marker::None, _) => Kind::Below,
            (_, Some(top)) if line.indent > top.indent + 1 => Kind::Below,
            (Marker::Bullet, Some(top)) if top.marker == Marker::Number => Kind::Below,
            _ => Kind::Item,
        };
        match kind {
            Kind::Heading => {
                (top, is_category) = (None, false);
                is_beside = phrases::is_aside(line.text);
            }
            _ if is_beside => {}
            Kind::Item => {
                top = Some(*line);
                let name = phrases::bare(line.text);
                let has_children = next.is_some_and(|next| {
                    let is_deeper = next.indent > line.indent + 1;
                    let is_lesser = line.marker == Marker::Number && next.marker == Marker::Bullet;
                    next.marker != Marker::None && (is_deeper || is_lesser)
                });
                is_category = has_children && phrases::is_category(name);
                if has_children && phrases::is_aside(name) {
                    is_beside = true;
                } else if !is_category {
                    items.push(Item::read(without_colon(line.text, next.is_some())));
                }
            }
            Kind::Below if is_category && line.marker != Marker::None => {
                items.push(Item::read(line.text));
            }
            Kind::Below => {
                if let Some(item) = items.last_mut() {
                    go_on(item, line);
                }
            }
        }
    }
    items
}

/// Adds a line below `item` to it.
fn go_on(item: &mut Item, line: &Line) {
    let is_plain = line.marker == Marker::None;
    let is_empty = item.text.is_empty() && item.label.is_none();
    if is_plain && is_empty {
        *item = Item::read(line.text);
    } else if is_plain && !line.is_apart && continues(&item.text, line.text) {
        item.text = format!("{} {}", item.text, cleaned(line.text));
    } else if item.description.is_none() {
        item.description = Some(Item::read(line.text).text);
    }
}

/// Whether a line goes on with the phrase above it, and does not explain it: "a sheep" and "standing
/// on grass".
pub(super) fn continues(above: &str, line: &str) -> bool {
    const JOINTS: &str = "of|on|in|at|with|without|and|or|by|for|from|to|under|over|near|beside|behind|\
        between|around|into|through|against|above|below|next|where|while|whose|which";
    let first = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let is_joint = is_one_of(first, JOINTS) || first.ends_with("ing") || first.ends_with("ed");
    let is_phrase = is_joint || above.ends_with([',', '-']) || is_wrapped(above);
    (line.starts_with(char::is_lowercase) && is_phrase) || breaks_off(above)
}

/// Whether a line is as long as those are that were wrapped, and ends within a sentence.
fn is_wrapped(line: &str) -> bool {
    /// Editors and terminals wrap at 50 columns or more, a long word before that.
    const SHORTEST: usize = 40;
    line.chars().count() >= SHORTEST && line.ends_with(|c: char| c.is_alphanumeric() || c == ',')
}

/// Whether a line ends with a word after which something must follow: "a bird on the".
fn breaks_off(line: &str) -> bool {
    const OPEN: &str =
        "a|an|the|of|in|on|at|and|or|with|by|for|from|its|their|to|under|over|behind";
    line.contains(' ') && line.rsplit(' ').next().is_some_and(|last| is_one_of(last, OPEN))
}

/// `text` without the colon before what explains it.
fn without_colon(text: &str, is_explained: bool) -> &str {
    let bare = text.trim_end_matches(['*', '_']);
    let mark = &text[bare.len()..];
    match bare.strip_suffix([':', '：']) {
        Some(inner) if is_explained => inner.strip_prefix(mark).unwrap_or(inner),
        _ => text,
    }
}

/// Whether a line without a marker is a heading: it ends with a colon and something follows, or it is
/// all in bold.
fn is_heading(line: &Line, next: Option<&Line>) -> bool {
    next.is_some()
        && (ends_with_colon(line.text) || is_bold(line.text) || phrases::is_heading(line.text))
}

pub(super) fn ends_with_colon(text: &str) -> bool {
    text.trim_end_matches(['*', '_', '"', ' ']).ends_with([':', '：'])
}

pub(super) fn is_bold(text: &str) -> bool {
    let inner = text.strip_prefix("**").and_then(|inner| inner.strip_suffix("**"));
    inner.is_some_and(|inner| !inner.is_empty() && !inner.contains("**"))
}

/// The items of a list with one item a line. Titles with lines below are items that these explain;
/// where only some lines are titles, and they are no headings, it cannot be told what the items are.
fn unmarked(lines: &[Line]) -> Vec<Item> {
    let is_title = |line: &Line| line.marker == Marker::Heading || is_bold(line.text);
    let is_headed = |line: &Line| ends_with_colon(line.text) || phrases::is_heading(line.text);
    let is_before = |line: &Line| phrases::introduces(line.text) || is_headed(line);
    let last = lines.len().saturating_sub(1);
    let first = lines[..last].iter().position(|line| !is_before(line)).unwrap_or(last);
    let body = &lines[first..];
    let titles = body.iter().filter(|line| is_title(line) && !is_headed(line)).count();
    if titles > 0 && titles < body.len() {
        let titled: Vec<&[Line]> = body.chunk_by(|_, next| !is_title(next)).collect();
        let are_pairs = titles > 1 && titled.iter().all(|one| is_title(&one[0]) && one.len() > 1);
        return match are_pairs {
            true => titled.into_iter().map(explained).collect(),
            false => Vec::new(),
        };
    }
    let (mut items, mut is_beside) =
        (Vec::new(), lines[..first].last().is_some_and(|line| phrases::is_aside(line.text)));
    for (number, line) in body.iter().enumerate() {
        if is_headed(line) && number + 1 < body.len() {
            is_beside = phrases::is_aside(line.text);
        } else if !is_beside {
            items.extend(on_one_line(line.text));
        }
    }
    items
}

/// A title and what stands below it.
fn explained(lines: &[Line]) -> Item {
    let mut item = Item::read(lines[0].text);
    item.description = Some(cleaned(lines[1].text));
    item
}

/// The items of one line: more than one behind a label for several, or in square brackets.
fn on_one_line(text: &str) -> Vec<Item> {
    let label = text.split_once([':', '：']).filter(|(label, rest)| {
        let names_several = folded(label).ends_with("concepts")
            || folded(label).ends_with("elements")
            || folded(label).ends_with("concepts are")
            || folded(label).ends_with("objects")
            || folded(label).ends_with("missing");
        !rest.trim().is_empty() && names_several
    });
    let brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    // "a sheep", "a dog"
    let is_quoted =
        |part: &str| unquoted(part).len() < part.trim().len() && !part.contains(" and ");
    let quoted = Some(text).filter(|text| text.contains(", ") && text.split(", ").all(is_quoted));
    let several = label
        .map(|(_, rest)| rest.trim_start_matches('*'))
        .or(brackets.filter(|inner| inner.contains(',')))
        .or(quoted);
    let Some(several) = several else { return vec![Item::read(phrases::without_greeting(text))] };
    let one = |one: &str| Item::read(one.trim().strip_prefix("and ").unwrap_or(one.trim()));
    several.split([',', ';', '、', '，']).map(one).collect()
}

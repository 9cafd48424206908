//! An answer to the items of the list in it, whatever it is laid out as.

use super::json::{self, Json};
use super::line::{self, Line, Marker, cleaned, labelled};
use super::table::{Table, table, without_tags};
use super::{Answer, folded, is_one_of, phrases};

/// Fields of an object that hold what an item is called.
const LABEL_FIELDS: &str = "concept|name|label|title|item|missing_concept|object|element|subject|key|\
    missing";

/// Fields of an object that hold the words of an item.
const TEXT_FIELDS: &str = "caption|image_caption|text|value|query|prompt|search_query|retrieval_caption|\
    description|captions|answer|content";

/// Fields around a list.
const LIST_FIELDS: &str = "missing_concepts|concepts|captions|image_captions|items|list|answer|result|\
    results|output|response|data|missing|elements|missing_elements|final_answer|queries|\
    missing concepts|image captions";

/// One item of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Item {
    /// What stands before a colon in bold, in a field of its own, or in the first column.
    pub label: Option<String>,
    /// The words themselves, or those behind the label.
    pub text: String,
    /// What stands below.
    pub description: Option<String>,
}

impl Item {
    fn new(text: &str) -> Self {
        Self { text: cleaned(text), ..Self::default() }
    }

    fn with_label(label: &str, text: &str) -> Self {
        let text = cleaned(text);
        Self { label: Some(cleaned(label)), text, ..Self::default() }
    }

    /// A line without its marker.
    fn read(line: &str) -> Self {
        // "Caption 2: a sheep", and the same in bold.
        let plain = line.split_once([':', '：']).map(|(label, text)| (label.trim(), text.trim()));
        let split = labelled(line).or(plain.filter(|(label, _)| phrases::is_numbered_label(label)));
        match split {
            Some((label, text)) if text.is_empty() => Self::new(label),
            Some((label, text))
                if phrases::is_numbered_label(label) || phrases::is_category(label) =>
            {
                match labelled(text) {
                    Some((label, text)) if !text.is_empty() => Self::with_label(label, text),
                    _ => Self::new(text),
                }
            }
            Some((label, text)) => Self::with_label(label, text),
            None => Self::new(line),
        }
    }
}

/// The items of `answer`, none where it has none or cannot be told. The last one of an answer that
/// was cut off is left out.
pub(super) fn items(answer: &Answer) -> Vec<Item> {
    let values = json::values(&answer.text);
    if let Some(items) = in_json(&Json::List(values.clone())).filter(|_| !values.is_empty()) {
        return items;
    }
    let tagged = without_tags(&answer.text);
    let (mut items, is_last_whole) = match table(&tagged) {
        Some(table) => (in_table(&table), answer.text.trim_end().ends_with('|')),
        None => (in_lines(&tagged), answer.text.ends_with('\n')),
    };
    if answer.cut_off && !is_last_whole {
        items.pop();
    }
    items
}

/// `None` where `value` is no list of items.
fn in_json(value: &Json) -> Option<Vec<Item>> {
    match value {
        Json::Text(text) if text.trim().contains('\n') => Some(in_lines(text)),
        Json::Text(text) => Some(vec![Item::read(&one_line(text))]),
        Json::List(list) => {
            let all: Option<Vec<_>> = list.iter().map(in_json).collect();
            Some(all?.concat())
        }
        Json::Fields(fields) => in_fields(fields),
        Json::Null => Some(Vec::new()),
        Json::Bool(_) | Json::Number(_) => None,
    }
}

/// A text of JSON without its marker and line breaks.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = line::lines(text).iter().map(|line| line.text).collect();
    lines.join(" ")
}

fn in_fields(fields: &[(String, Json)]) -> Option<Vec<Item>> {
    let field = |names: &str| {
        fields.iter().find(|(name, _)| is_one_of(&folded(name), names)).map(|(_, value)| value)
    };
    if let Some(list) = field(LIST_FIELDS).filter(|value| !matches!(value, Json::Text(_))) {
        return in_json(list);
    }
    if let Some(label) = field(LABEL_FIELDS).and_then(Json::text) {
        let text = field(TEXT_FIELDS).and_then(Json::text).unwrap_or_default();
        return Some(vec![match text.is_empty() {
            true => Item::new(label),
            false => Item::with_label(label, text),
        }]);
    }
    if let Some(text) = field(TEXT_FIELDS).filter(|value| value.text().is_some()) {
        return in_json(text);
    }
    let is_aside = |name: &str| phrases::is_aside(&name.replace('_', " "));
    let told = fields.iter().filter(|(name, _)| !is_aside(name));
    let all: Option<Vec<Vec<Item>>> = told
        .map(|(name, value)| {
            let name = name.replace('_', " ");
            let is_generic = phrases::is_category(&name) || phrases::is_numbered_label(&name);
            match value {
                Json::Text(text) if !is_generic => Some(vec![Item::with_label(&name, text)]),
                Json::List(_) | Json::Fields(_) | Json::Text(_) => in_json(value),
                Json::Null | Json::Bool(_) | Json::Number(_) => None,
            }
        })
        .collect();
    Some(all?.concat())
}

/// The rows of a table. A column of captions is the text; of the others the first one that is no
/// number is what the item is called.
fn in_table(table: &Table) -> Vec<Item> {
    let names: Vec<String> = table.header.iter().map(|cell| folded(cell)).collect();
    let captions = names.iter().position(|name| name.contains("caption"));
    let is_number = |cell: &String| cell.chars().all(|c| !c.is_alphabetic());
    let row = |row: &Vec<String>| {
        let is_caption = |column: usize| Some(column) == captions;
        let mut columns = (0..row.len()).filter(|&column| !is_number(&row[column]));
        let label = columns.find(|&column| !is_caption(column)).map(|column| row[column].as_str());
        let text = captions.and_then(|column| row.get(column)).map(String::as_str);
        match (label, text) {
            (Some(label), Some(text)) => Some(Item::with_label(label, text)),
            (label, text) => Some(Item::new(label.or(text)?)),
        }
    };
    table.rows.iter().filter_map(row).collect()
}

fn in_lines(text: &str) -> Vec<Item> {
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
    let is_farewell = |line: &Line| !is_marked(line) && phrases::takes_leave(line.text);
    (first + 1..lines.len()).find(|&number| is_farewell(&lines[number])).unwrap_or(lines.len())
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
        let is_below = |next: &Line, top: &Line| {
            next.indent > line.indent + 1
                || (top.marker == Marker::Number && next.marker == Marker::Bullet)
        };
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
                let has_children =
                    next.is_some_and(|next| next.marker != Marker::None && is_below(next, line));
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
    if is_plain && item.text.is_empty() && item.label.is_none() {
        *item = Item::read(line.text);
    } else if is_plain && !line.is_apart && line.text.starts_with(char::is_lowercase) {
        // The same sentence on a new line.
        item.text = format!("{} {}", item.text, cleaned(line.text));
    } else if item.description.is_none() {
        item.description = Some(cleaned(Item::read(line.text).text.as_str()));
    }
}

/// `text` without the colon before what explains it.
fn without_colon(text: &str, is_explained: bool) -> &str {
    let bare = text.trim_end_matches(['*', '_']);
    let mark = &text[bare.len()..];
    match bare.strip_suffix([':', '：']) {
        Some(inner) if is_explained => match inner.strip_prefix(mark) {
            Some(inner) => inner,
            None => inner,
        },
        _ => text,
    }
}

/// Whether a line without a marker is a heading: it ends with a colon and something follows, or it is
/// all in bold.
fn is_heading(line: &Line, next: Option<&Line>) -> bool {
    next.is_some()
        && (ends_with_colon(line.text) || is_bold(line.text) || phrases::is_heading(line.text))
}

fn ends_with_colon(text: &str) -> bool {
    text.trim_end_matches(['*', '_', '"', ' ']).ends_with([':', '：'])
}

fn is_bold(text: &str) -> bool {
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
            || folded(label).ends_with("objects");
        !rest.trim().is_empty() && names_several
    });
    let brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match label
        .map(|(_, rest)| rest.trim_start_matches('*'))
        .or(brackets.filter(|inner| inner.contains(',')))
    {
        Some(several) => several
            .split([',', ';', '、', '，'])
            .map(|one| {
                let one = one.trim();
                Item::read(one.strip_prefix("and ").unwrap_or(one))
            })
            .collect(),
        None => vec![Item::read(text)],
    }
}

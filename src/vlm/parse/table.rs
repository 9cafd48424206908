//! A text with a table of Markdown or with tags of HTML and XML to plain lines.

use super::is_one_of;
use super::marks::LAYOUT;

/// The tags that begin a new line.
const BLOCKS: &str = "blockquote|br|caption|div|h1|h2|h3|h4|h5|h6|hr|name|p|prompt|q|section|td|th|tr|\
    concept|item|li";

/// Those of an item of a list.
const ITEMS: &str = "concept|entry|item|li";

/// Each block of HTML or XML on a line of its own, items after a bullet, bold text between asterisks, without other tags.
pub(super) fn without_tags(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        plain += before;
        rest = match tag_name(tag) {
            Some((length, name)) => {
                plain += match name.as_str() {
                    "b" | "strong" => "**",
                    name if is_one_of(name, ITEMS) && !tag.starts_with("</") => "\n- ",
                    name if is_one_of(name, BLOCKS) => "\n",
                    _ => "",
                };
                &tag[length..]
            }
            None => {
                plain.push('<');
                &tag[1..]
            }
        };
    }
    plain += rest;
    for (entity, character) in [("&amp;", "&"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " ")] {
        if plain.contains(entity) {
            plain = plain.replace(entity, character);
        }
    }
    plain
}

/// The length and the name of the layout tag at the start of `text`.
fn tag_name(text: &str) -> Option<(usize, String)> {
    let near = text.char_indices().nth(100).map_or(text.len(), |(at, _)| at);
    let end = text[..near].find('>')?;
    let inner = text[1..end].trim_start_matches('/').trim_end_matches('/').trim();
    let name = inner.split(' ').next()?.to_lowercase();
    let is_layout = LAYOUT.split('|').any(|layout| layout == name);
    (is_layout && inner.len() < 80 && !inner.contains(['<', '\n'])).then_some((end + 1, name))
}

/// A table of Markdown: its header and its rows.
pub(super) struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// The first table in `text`: lines with `|`, of which the second one is a rule.
pub(super) fn table(text: &str) -> Option<Table> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_rule = |line: &str| {
        line.contains('-')
            && line.contains('|')
            && line.chars().all(|c| matches!(c, '-' | '|' | ':' | ' ' | '+'))
    };
    let rule = lines.iter().position(|line| is_rule(line)).filter(|&rule| rule > 0)?;
    let rows = lines[rule + 1..].iter().take_while(|line| line.contains('|'));
    let rows = rows.filter(|line| !is_rule(line)).map(|line| cells(line));
    Some(Table { header: cells(lines[rule - 1]), rows: rows.collect() })
}

/// The cells of a row.
fn cells(line: &str) -> Vec<String> {
    let inner = line.strip_prefix('|').unwrap_or(line);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    inner.split('|').map(super::line::cleaned).collect()
}

/// The rows of a table without a rule below its header: lines with as many `|` each, of which there are
/// at least two. Other lines may stand above and below.
pub(super) fn lined_up(text: &str) -> Option<Table> {
    let lines = text.lines().map(str::trim).filter(|line| line.contains('|'));
    let mut rows: Vec<Vec<String>> = lines.map(cells).collect();
    let columns = rows.first().map_or(0, Vec::len);
    let is_table = rows.len() > 1 && columns > 1 && rows.iter().all(|row| row.len() == columns);
    is_table.then(|| Table { header: rows.remove(0), rows })
}

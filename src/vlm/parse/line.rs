//! One line of a list to its marker and the words behind it.

/// What a line of a list begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Marker {
    None,
    /// `#` of Markdown.
    Heading,
    Number,
    Bullet,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Columns of white space before the marker.
    pub indent: usize,
    pub marker: Marker,
    /// What follows the marker.
    pub text: &'a str,
    /// Whether a blank line is before it.
    pub is_apart: bool,
    /// Whether its number is one that a list begins with.
    pub is_first: bool,
}

/// Characters that are bullets where white space follows.
const BULLETS: &[char] = &[
    '-', '*', '+', '•', '–', '—', '·', '・', '◦', '▪', '▫', '■', '□', '●', '○', '‣', '⁃', '∙', '➤',
    '➢', '→', '►', '▶', '✓', '✔', '✅', '☐', '☑', '☒', '✗', '✘', '❌', '🔹', '🔸', '👉', '⭐', '★',
    '☆', '✨', '◆', '◇', '📌', '>', '‐', '−', '~',
];

/// The lines of `text` that hold anything, without code fences and rules.
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let all: Vec<&str> = text.lines().map(str::trim).collect();
    let lettered = are_lettered(&all);
    let (mut lines, mut is_apart) = (Vec::new(), false);
    for (raw, line) in text.lines().zip(all) {
        let is_rule = line.len() > 2 && line.chars().all(|c| matches!(c, '-' | '*' | '_' | '='));
        if line.is_empty() || is_rule {
            is_apart = true;
        } else if !line.starts_with("```") && !line.starts_with("~~~") {
            let (marker, rest) = marker(line, lettered);
            let space = &raw[..raw.len() - raw.trim_start().len()];
            let indent = space.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum();
            let number = super::words(line).into_iter().next().and_then(|word| word.parse().ok());
            let is_first = number.is_none_or(|number: u32| number <= 1);
            lines.push(Line { indent, marker, text: rest.trim(), is_apart, is_first });
            is_apart = false;
        }
    }
    lines
}

/// The marker of `line`, which has no white space around it, and what follows. A number in bold or
/// behind a bullet counts as well.
fn marker(line: &str, lettered: bool) -> (Marker, &str) {
    let heading = line.trim_start_matches('#');
    if heading.len() < line.len() && (heading.is_empty() || heading.starts_with([' ', '*'])) {
        let (inner, rest) = numbered(heading.trim_start(), lettered);
        return (if inner { Marker::Number } else { Marker::Heading }, rest);
    }
    let (is_numbered, rest) = numbered(line, lettered);
    if is_numbered {
        return (Marker::Number, without_box(rest));
    }
    let mut rest = line;
    while let Some(after) = rest.strip_prefix(BULLETS) {
        let after = after.strip_prefix('\u{fe0f}').unwrap_or(after);
        let has_space = after.is_empty() || after.starts_with(char::is_whitespace);
        // "-a sheep" and "•a sheep", but neither "*a sheep*" nor "-40 °C".
        let is_tight = !rest.starts_with(['*', '+', '~', '>', '_'])
            && after
                .starts_with(|c: char| c.is_alphabetic() || matches!(c, '"' | '“' | '「' | '\''));
        if !has_space && !is_tight {
            break;
        }
        rest = after.trim_start();
    }
    if rest.len() == line.len() {
        return match line.starts_with(['[', '☐']) && without_box(line).len() < line.len() {
            true => (Marker::Bullet, without_box(line)),
            false => (Marker::None, line),
        };
    }
    let rest = without_box(rest);
    (Marker::Bullet, numbered(rest, lettered).1)
}

/// `text` without an empty or ticked box before it.
fn without_box(text: &str) -> &str {
    ["[ ]", "[x]", "[X]", "[]", "[✓]"]
        .iter()
        .find_map(|mark| text.strip_prefix(mark))
        .unwrap_or(text)
        .trim_start()
}

/// Whether a number stands before `line`, and the line without it: `1.`, `10)`, `(2)`, `4、`, `①`, `1️⃣`,
/// `a)`, `**1.**`, `Concept 2:`. "3.5 inch disk" begins with a number that is part of it.
fn numbered(line: &str, lettered: bool) -> (bool, &str) {
    let emphasis = line.trim_start_matches(['*', '_']);
    let in_bold = emphasis.len() < line.len();
    let Some(rest) = after_number(emphasis, lettered) else { return (false, line) };
    if !in_bold {
        return (true, rest);
    }
    let mark = &line[..line.len() - emphasis.len()];
    match rest.trim_start().strip_prefix(mark) {
        // "**1.** a sheep"
        Some(rest) => (true, rest),
        // "**1. a sheep**": the emphasis that is opened before the number ends with the item.
        None => match rest.trim_end().strip_suffix(mark) {
            Some(inner) if !inner.contains(mark) => (true, inner),
            _ => (true, rest),
        },
    }
}

fn after_number(text: &str, lettered: bool) -> Option<&str> {
    let first = text.chars().next()?;
    // Circled and parenthesised numbers.
    if matches!(first, '①'..='⒛' | '❶'..='➓' | '㈠'..='㈩' | '㊀'..='㊉') {
        return Some(text[first.len_utf8()..].trim_start_matches(['.', '、', ' ']));
    }
    // "#1 a sheep"
    if let Some(rest) = text.strip_prefix('#') {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let after = number.strip_prefix([')', '.', ':']).unwrap_or(number);
        return Some(after).filter(|after| number.len() < rest.len() && after.starts_with(' '));
    }
    let open = text.strip_prefix(['(', '（', '[', '【']);
    let inner = open.unwrap_or(text);
    let digits = inner.len() - inner.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = inner.split_at(digits);
    if number.is_empty() || number.len() > 2 {
        return lettered.then(|| letter(text)).flatten();
    }
    // The digit of a keycap emoji.
    if let Some(rest) = rest.trim_start_matches('\u{fe0f}').strip_prefix('\u{20e3}') {
        return Some(rest);
    }
    if open.is_some() {
        return rest.strip_prefix([')', '）', ']', '】']);
    }
    if let Some(after) = rest.strip_prefix(['、', '．', '）', '：']) {
        return Some(after); // No space follows these.
    }
    if rest.starts_with(':') && number.len() > 1 {
        return None; // "24: the series"
    }
    let after = rest.strip_prefix([')', '.', ':']).or_else(|| {
        if rest.starts_with("- ") {
            return rest.strip_prefix('-');
        }
        let dash = rest.strip_prefix(" - ").or_else(|| rest.strip_prefix(" – "));
        dash.or_else(|| rest.strip_prefix(" — "))
    })?;
    let after = after.strip_prefix(')').unwrap_or(after);
    let is_free = after.is_empty() || after.starts_with(|c: char| c.is_whitespace() || c == '*');
    let is_free = is_free || (!rest.starts_with(':') && after.starts_with(char::is_alphabetic));
    (is_free || rest.starts_with(' ')).then_some(after)
}

/// `a)`, `(b)`, `ii.`: letters and small Roman numbers.
fn letter(text: &str) -> Option<&str> {
    let open = text.strip_prefix('(');
    let inner = open.unwrap_or(text);
    let length = inner.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(length);
    let is_roman =
        name.len() <= 4 && name.chars().all(|c| matches!(c, 'i' | 'v' | 'x' | 'I' | 'V' | 'X'));
    if name.is_empty() || !(name.len() == 1 || is_roman) {
        return None;
    }
    let after = match open {
        Some(_) => rest.strip_prefix(')')?,
        None => rest.strip_prefix([')', '.'])?,
    };
    after.starts_with(' ').then_some(after)
}

/// Whether letters are numbers in these lines: they go up from the first one, or stand before a
/// parenthesis. "E. coli" is no item E.
fn are_lettered(lines: &[&str]) -> bool {
    let lettered = lines.iter().filter(|line| letter(line).is_some());
    let marks: Vec<(&str, u8)> = lettered
        .filter_map(|line| {
            let mark = line.split(' ').next()?;
            Some((mark, mark.trim_start_matches('(').bytes().next()?.to_ascii_lowercase()))
        })
        .collect();
    let goes_up = marks
        .windows(2)
        .all(|pair| (0..14).contains(&(i16::from(pair[1].1) - i16::from(pair[0].1))));
    let begins = marks.first().is_some_and(|&(_, first)| matches!(first, b'a' | b'i'));
    goes_up && begins && (marks.len() > 1 || marks.iter().all(|(mark, _)| mark.ends_with(')')))
}

/// Quotation marks of all languages, as opening and closing one.
const QUOTES: [(&str, &str); 15] = [
    ("\"", "\""),
    ("'", "'"),
    ("`", "`"),
    ("\u{201c}", "\u{201d}"),
    ("\u{2018}", "\u{2019}"),
    ("\u{201e}", "\u{201c}"),
    ("\u{201e}", "\u{201d}"),
    ("\u{201a}", "\u{2018}"),
    ("\u{201d}", "\u{201d}"),
    ("«", "»"),
    ("»", "«"),
    ("「", "」"),
    ("『", "』"),
    ("《", "》"),
    ("‹", "›"),
];

/// Emphasis of Markdown.
const EMPHASIS: [&str; 4] = ["**", "__", "*", "_"];

/// What TeX sets around a text.
const TEX: [(&str, &str); 4] =
    [("\\boxed{", "}"), ("\\text{", "}"), ("\\textbf{", "}"), ("$", "$")];

/// `text` without the quotation marks, the emphasis and the TeX that hold all of it.
pub(super) fn unquoted(text: &str) -> &str {
    let mut text = text.trim();
    let in_tex = |text| {
        TEX.iter().find_map(|&(open, close)| {
            let inner = str::strip_prefix(text, open)?.strip_suffix(close)?;
            (!inner.is_empty()).then_some(inner)
        })
    };
    let pairs = || QUOTES.into_iter().chain(EMPHASIS.map(|mark| (mark, mark)));
    loop {
        let inner = pairs().find_map(|(open, close)| {
            let inner = text.strip_prefix(open)?.strip_suffix(close)?;
            let holds_none = !inner.contains(open) && !inner.contains(close);
            (!inner.is_empty() && (holds_none || holds_pairs(inner, open, close))).then_some(inner)
        });
        match inner.or_else(|| in_tex(text)) {
            Some(inner) => text = inner.trim(),
            None => return text,
        }
    }
}

/// Whether the quotation marks in `inner` are pairs: those of `a "b" c`, but not of `a" and "c`.
fn holds_pairs(inner: &str, open: &str, close: &str) -> bool {
    let first = inner.find(open);
    open == close
        && inner.matches(open).count().is_multiple_of(2)
        && first.is_some_and(|at| inner[..at].ends_with([' ', '(']))
}

/// The label before a colon or a dash and what follows: `**a sheep**: there is none`. A label is in
/// bold, in italics, in backticks or in quotation marks.
pub(super) fn labelled(text: &str) -> Option<(&str, &str)> {
    let marks = EMPHASIS.map(|mark| (mark, mark)).into_iter().chain(QUOTES);
    let mut labels = marks.filter_map(|(open, close)| {
        let (label, rest) = text.strip_prefix(open)?.split_once(close)?;
        (!label.trim().is_empty()).then_some((label.trim(), rest))
    });
    let (label, rest) = labels.next()?;
    // "**Label:** words" and "**Label**: words".
    if let Some(label) = label.strip_suffix([':', '：']) {
        return Some((unquoted(label), rest.trim()));
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix([':', '：']).or_else(|| {
        ["- ", "– ", "— ", "→ ", "-> "].iter().find_map(|dash| rest.strip_prefix(dash))
    })?;
    Some((unquoted(label), rest.trim()))
}

/// `text` without quotation marks, emphasis, and the comma of a sloppy list.
pub(super) fn cleaned(text: &str) -> String {
    let text = text.trim().trim_end_matches([',', ';']);
    unquoted(text).replace("**", "").trim().to_owned()
}

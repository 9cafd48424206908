//! A text to the same without a secret that is spelled in it character by character or byte by byte.

use super::{HIDDEN, REAL};

/// What is not seen in a text: zero-width characters, joiners, the soft hyphen and the byte order mark.
const UNSEEN: [char; 8] =
    ['\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{feff}'];

/// `text` with [`HIDDEN`] wherever it spells `secret`.
pub(super) fn without(text: &str, secret: &str) -> String {
    let is_real = secret.len() >= REAL;
    let characters: Vec<_> = secret.chars().map(spellings).collect();
    let mut text = replaced(text, |rest| behind(rest, &characters, is_real, broken));
    if is_real {
        let bytes = |spell: fn(u8) -> Vec<String>| secret.bytes().map(spell).collect::<Vec<_>>();
        let hex = bytes(|byte| vec![format!("0x{byte:02x}"), format!("{byte:02x}")]);
        let decimal = bytes(|byte| vec![byte.to_string()]);
        for units in [hex, decimal] {
            text = replaced(&text, |rest| behind(rest, &units, true, listed));
        }
    }
    text
}

/// `text` with [`HIDDEN`] for each place at whose start `behind` finds the secret, and what is behind it.
fn replaced<'a>(text: &'a str, behind: impl Fn(&'a str) -> Option<&'a str>) -> String {
    let (mut hidden, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        if let Some(behind) = behind(rest) {
            hidden += HIDDEN;
            rest = behind;
        } else {
            hidden.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    hidden
}

/// What follows in `text` behind one spelling of each of `units`, between which `skipped` may stand.
fn behind<'a>(
    text: &'a str,
    units: &[Vec<String>],
    ignores_case: bool,
    skipped: fn(&str) -> &str,
) -> Option<&'a str> {
    let mut rest = text;
    for (n, spellings) in units.iter().enumerate() {
        let unit = |rest: &'a str| {
            spellings.iter().find_map(|spelling| {
                let start = rest.get(..spelling.len())?;
                // Of an escape, the digits may be of either case.
                let is_same = match spelling.len() {
                    1 if !ignores_case => start == spelling,
                    _ => start.eq_ignore_ascii_case(spelling),
                };
                is_same.then_some(&rest[spelling.len()..])
            })
        };
        // A secret may hold what is skipped elsewhere.
        let skip =
            || (n > 0 && ignores_case).then(|| unit(&rest[rest.len() - skipped(rest).len()..]));
        rest = unit(rest).or_else(|| skip().flatten())?;
    }
    Some(rest)
}

/// `text` behind the line break, with its indentation, or the unseen characters that it begins with,
/// as they are or escaped.
fn broken(text: &str) -> &str {
    let mut rest = text;
    loop {
        let next = rest.trim_start_matches(UNSEEN);
        let next = match next.trim_start_matches(['\r', '\n']) {
            behind if behind.len() < next.len() => behind.trim_start(),
            _ => next,
        };
        let escape = ["\\n", "\\r", "\\u200b", "\\u200c", "\\u200d", "\\u2060", "\\ufeff"];
        let next = escape.iter().find_map(|escape| next.strip_prefix(escape)).unwrap_or(next);
        if next.len() == rest.len() {
            return rest;
        }
        rest = next;
    }
}

/// `text` behind what divides the bytes of a list.
fn listed(text: &str) -> &str {
    text.trim_start_matches([',', ':', ';', '-', ' ', '\n', '\r', '\t'])
}

/// How a character may be written: escaped, or as it is.
fn spellings(c: char) -> Vec<String> {
    let number = u32::from(c);
    let utf_16 = c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    let mut all = vec![utf_16, format!("\\u{{{number:x}}}"), format!("\\x{number:02x}")];
    if !c.is_ascii_alphanumeric() {
        all.push(format!("\\{c}"));
    }
    // Who quotes what is escaped escapes its backslash again.
    all.extend(all.clone().iter().map(|escape| format!("\\{escape}")));
    let percent = |sign: &str| c.to_string().bytes().map(|b| format!("{sign}{b:02x}")).collect();
    all.extend([percent("%"), percent("%25")]);
    let mut html = vec![format!("&#{number};"), format!("&#x{number:x};")];
    html.extend(names(c).iter().map(|name| format!("&{name};")));
    let again: Vec<_> = html.iter().map(|entity| entity.replacen('&', "&amp;", 1)).collect();
    all.extend(html.into_iter().chain(again));
    all.push(c.to_string());
    all
}

/// How HTML calls a character that may be in a key.
fn names(c: char) -> &'static [&'static str] {
    match c {
        '&' => &["amp"],
        '<' => &["lt"],
        '>' => &["gt"],
        '"' => &["quot"],
        '\'' => &["apos"],
        '+' => &["plus"],
        '/' => &["sol"],
        '=' => &["equals"],
        '-' => &["hyphen"],
        '_' => &["lowbar"],
        '.' => &["period"],
        ':' => &["colon"],
        _ => &[],
    }
}

//! HTML, as broken as people write it, to its text: Beautiful Soup on `html.parser` of Python 3.11.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::entities::{named, number, numbered};
use super::python::{regex, strip};
use super::soup::Soup;

macro_rules! expressions {
    ($($name:ident = $pattern:expr;)*) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| regex($pattern));)*
    };
}

// `html.parser` and `_markupbase`, by the names that they have there.
expressions! {
    ENTITY_REFERENCE = r"^&([a-zA-Z][-.a-zA-Z0-9]*)[^a-zA-Z0-9]";
    CHARACTER_REFERENCE = r"^&#([0-9]+|[xX][0-9a-fA-F]+)[^0-9a-fA-F]";
    TAG_NAME = r"^([a-zA-Z][^\t\n\r\x0c />\x00]*)(?:\s|/(?!>))*";
    ATTRIBUTES = concat!(
        r"^<[a-zA-Z][^\t\n\r\x0c />\x00]*(?:\s|/(?!>))*",
        r#"(?:(?<=['"\s/])[^\s/>][^\s/=>]*(?:\s*=+\s*(?:'[^']*'|"[^"]*"|(?!['"])[^>\s]*))?"#,
        r"(?:\s|/(?!>))*)*",
    );
    START_TAG = concat!(
        r"^<[a-zA-Z][^\t\n\r\x0c />\x00]*(?:[\s/]*(?:",
        r#"(?<=['"\s/])[^\s/>][^\s/=>]*(?:\s*=+\s*(?:'[^']*'|"[^"]*"|(?!['"])[^>\s]*)\s*)?"#,
        r"(?:\s|/(?!>))*)*)?\s*",
    );
    END_TAG = r"^</\s*([a-zA-Z][-.a-zA-Z0-9:_]*)\s*>";
    COMMENT_CLOSE = r"--\s*>";
    SECTION_NAME = r"^([a-zA-Z][-_.a-zA-Z0-9]*)\s*";
    SECTION_CLOSE = r"]\s*]\s*>";
    OFFICE_SECTION_CLOSE = r"]\s*>";
}

/// The text of `html`; `None` where Beautiful Soup refuses it, which has a section of an unknown kind.
pub(super) fn text(html: &str) -> Option<String> {
    let mut parser = Parser { html, soup: Soup::default(), raw: None };
    // What is not complete is looked at again once it is known that nothing follows.
    let at = parser.parse(0, false)?;
    parser.parse(at, true)?;
    Some(parser.soup.finish())
}

/// Where a construct ends; `None` for one that has no end.
type End = Option<usize>;

struct Parser<'a> {
    html: &'a str,
    soup: Soup,
    /// `script` or `style`, whose content is no HTML, and where it ends.
    raw: Option<(String, Regex)>,
}

impl Parser<'_> {
    /// Reads on from `at`, up to what may be incomplete unless this is the `end`. `None` for HTML that
    /// is refused.
    fn parse(&mut self, mut at: usize, end: bool) -> Option<usize> {
        let html = self.html;
        let last_close = html.rfind('>').unwrap_or(0);
        while at < html.len() {
            // 1. text up to what may be markup
            let next = match &self.raw {
                None => html[at..].find(['&', '<']).unwrap_or(html.len() - at),
                Some((_, close)) => match find(close, &html[at..]) {
                    Some((start, _)) => start,
                    None => break,
                },
            };
            if next > 0 {
                self.soup.add(&html[at..at + next]);
            }
            at += next;

            // 2. markup, or what looks so
            let rest = &html[at..];
            if let Some(after) = rest.strip_prefix('<') {
                let is_letter = |next: char| next.is_ascii_alphabetic();
                let is_markup = after.starts_with(is_letter) || after.starts_with(['/', '!', '?']);
                let found = if is_markup && at >= last_close && !after.starts_with("![") {
                    None // Nothing that begins here ends.
                } else if after.starts_with(is_letter) {
                    self.start_tag(rest)
                } else if rest.starts_with("</") {
                    self.end_tag(rest)
                } else if let Some(comment) = rest.strip_prefix("<!--") {
                    let close = find(&COMMENT_CLOSE, comment);
                    close.map(|(_, close)| self.skip(4 + close))
                } else if rest.starts_with("<?") {
                    rest.find('>').map(|close| self.skip(close + 1))
                } else if rest.starts_with("<!") {
                    self.declaration(rest)?
                } else if after.is_empty() {
                    break;
                } else {
                    self.soup.add("<");
                    Some(1)
                };
                at += match found {
                    Some(length) => length,
                    None if !end => break,
                    None => {
                        let close = after.find('>').map(|close| close + 2);
                        let open = || after.find('<').map(|open| open + 1);
                        let length = close.or_else(open).unwrap_or(1);
                        self.soup.add(&rest[..length]);
                        length
                    }
                };
            } else if rest.starts_with("&#") {
                let Some(length) = self.character_reference(rest) else {
                    if rest.contains(';') {
                        self.soup.add("&#");
                        at += 2;
                    }
                    break;
                };
                at += length;
            } else if let Some(after) = rest.strip_prefix('&') {
                if let Some(length) = self.entity_reference(rest) {
                    at += length;
                } else if after.starts_with(|next: char| next.is_ascii_alphabetic()) {
                    // It may go on. An ampersand and one letter at the end lose the ampersand.
                    at += usize::from(end && rest.len() == 2);
                    break;
                } else if !after.is_empty() {
                    self.soup.add("&");
                    at += 1;
                } else {
                    break;
                }
            }
        }
        if end && at < html.len() && self.raw.is_none() {
            self.soup.add(&html[at..]);
        }
        Some(at)
    }

    /// Ends the string before something that is no text, of this `length`.
    fn skip(&mut self, length: usize) -> usize {
        self.soup.end_string(true);
        length
    }

    fn start_tag(&mut self, rest: &str) -> End {
        // 1. where it ends
        let (_, end) = find(&START_TAG, rest)?;
        let next = rest[end..].chars().next()?;
        let end = match next {
            '>' => end + 1,
            '/' if rest[end..].starts_with("/>") => end + 2,
            '=' | '/' | 'a'..='z' | 'A'..='Z' => return None,
            _ => end,
        };
        // 2. what stands behind the attributes
        let (_, attributes) = find(&ATTRIBUTES, rest)?;
        let closing = rest.get(attributes..end).map(strip);
        let name = TAG_NAME.captures(&rest[1..]).ok()??[1].to_lowercase();
        match closing {
            Some("/>") => self.soup.open_and_close(&name),
            Some(">") => {
                self.soup.open(&name);
                if ["script", "style"].contains(&name.as_str()) {
                    let close = regex(&format!(r"(?i)</\s*{name}\s*>"));
                    self.raw = Some((name, close));
                }
            }
            _ => self.soup.add(&rest[..end]),
        }
        Some(end)
    }

    fn end_tag(&mut self, rest: &str) -> End {
        let end = rest.find('>')? + 1;
        if let Some(tag) = END_TAG.captures(rest).ok().flatten() {
            let name = tag[1].to_lowercase();
            if self.raw.as_ref().is_some_and(|(raw, _)| *raw != name) {
                self.soup.add(&rest[..end]);
            } else {
                self.soup.end(&name);
                self.raw = None;
            }
            return Some(tag[0].len());
        }
        if self.raw.is_some() {
            self.soup.add(&rest[..end]);
            return Some(end);
        }
        match TAG_NAME.captures(&rest[2..]).ok().flatten() {
            Some(tag) => {
                let after = 2 + tag[0].len();
                self.soup.end(&tag[1].to_lowercase());
                Some(after + rest[after..].find('>')? + 1)
            }
            None if rest.starts_with("</>") => Some(3),
            None => Some(self.skip(end)),
        }
    }

    /// A `<!` that begins no comment; `None` for what is refused.
    fn declaration(&mut self, rest: &str) -> Option<End> {
        let Some(section) = rest.strip_prefix("<![") else {
            let is_doctype =
                rest.get(..9).is_some_and(|begin| begin.eq_ignore_ascii_case("<!doctype"));
            let from = if is_doctype { 9 } else { 2 };
            return Some(rest[from..].find('>').map(|close| self.skip(from + close + 1)));
        };
        // A section such as `<![CDATA[text]]>`, or Word's `<![if …]>`.
        if section.is_empty() {
            return Some(None);
        }
        let name = SECTION_NAME.captures(section).ok()??;
        if name[0].len() == section.len() {
            return Some(None);
        }
        let close = match name[1].to_lowercase().as_str() {
            "temp" | "cdata" | "ignore" | "include" | "rcdata" => &SECTION_CLOSE,
            "if" | "else" | "endif" => &OFFICE_SECTION_CLOSE,
            _ => return None,
        };
        let Some((close, end)) = find(close, section) else { return Some(None) };
        self.soup.end_string(true);
        let content = &section[..close];
        if content.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("cdata[")) {
            self.soup.add(&content[6..]);
            self.soup.end_string(false);
        }
        Some(Some(3 + end))
    }

    fn character_reference(&mut self, rest: &str) -> End {
        let found = CHARACTER_REFERENCE.captures(rest).ok()??;
        self.soup.add(numbered(number(&found[1])).encode_utf8(&mut [0; 4]));
        Some(reference_length(&found[0]))
    }

    fn entity_reference(&mut self, rest: &str) -> End {
        let found = ENTITY_REFERENCE.captures(rest).ok()??;
        match named(&found[1]) {
            Some(characters) => self.soup.add(characters),
            None => self.soup.add(&format!("&{}", &found[1])),
        }
        Some(reference_length(&found[0]))
    }
}

/// Where `regex` is first found in `text`, from and to.
fn find(regex: &Regex, text: &str) -> Option<(usize, usize)> {
    let found = regex.find(text).ok()??;
    Some((found.start(), found.end()))
}

/// The length of a reference of which the character behind it was found too, if it is no semicolon.
fn reference_length(found: &str) -> usize {
    let last = found.chars().next_back().filter(|last| *last != ';');
    found.len() - last.map_or(0, char::len_utf8)
}

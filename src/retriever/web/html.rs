//! A piece of HTML, as MediaWiki writes names and descriptions, to the text that a reader sees.

/// Tags that have no end.
const VOID: [&str; 6] = ["br", "hr", "img", "input", "link", "wbr"];
/// Tags that do not stand in a line of text.
const BLOCK: [&str; 12] = ["br", "dd", "div", "dl", "dt", "hr", "li", "p", "td", "th", "tr", "ul"];

/// The text of `html` on one line. What is hidden is left out: Commons repeats some names in a hidden
/// `span`, for machines.
pub(super) fn text(html: &str) -> String {
    let (mut text, mut rest) = (String::new(), html);
    // The tag whose content is left out, and how many of that name are open.
    let mut hidden: Option<(String, usize)> = None;
    while let Some(start) = rest.find('<') {
        if hidden.is_none() {
            text += &rest[..start];
        }
        let Some(tag) = Tag::new(&rest[start..]) else {
            // No tag: a character.
            if hidden.is_none() {
                text.push('<');
            }
            rest = &rest[start + 1..];
            continue;
        };
        rest = &rest[start + tag.length..];
        let is_void = VOID.contains(&tag.name.as_str());
        match &mut hidden {
            Some((name, open)) if *name == tag.name => {
                *open = if tag.closes { *open - 1 } else { *open + 1 };
                if *open == 0 {
                    hidden = None;
                }
            }
            Some(_) => {}
            None if tag.hides && !tag.closes && !is_void => hidden = Some((tag.name, 1)),
            None if BLOCK.contains(&tag.name.as_str()) => text.push(' '),
            None => {}
        }
    }
    if hidden.is_none() {
        text += rest;
    }
    let text = htmlize::unescape(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A tag or a comment, from its `<`.
struct Tag {
    /// In small letters; empty for a comment.
    name: String,
    /// In bytes, to the `>`; to the end where there is none.
    length: usize,
    closes: bool,
    /// Whether what is in it is not seen.
    hides: bool,
}

impl Tag {
    fn new(html: &str) -> Option<Self> {
        let inner = html.strip_prefix('<')?;
        if let Some(comment) = inner.strip_prefix("!--") {
            let length = comment.find("-->").map_or(html.len(), |end| end + "<!---->".len());
            return Some(Self { name: String::new(), length, closes: false, hides: false });
        }
        let closes = inner.starts_with('/');
        let inner = inner.strip_prefix('/').unwrap_or(inner);
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let mut quote = None;
        let end = html.find(|c| match quote {
            Some(open) => {
                if c == open {
                    quote = None;
                }
                false
            }
            None => {
                if c == '"' || c == '\'' {
                    quote = Some(c);
                }
                c == '>'
            }
        });
        let whole = &html[..end.unwrap_or(html.len())];
        let name: String =
            inner.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
        let name = name.to_ascii_lowercase();
        let styles: String =
            whole.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        let hides = matches!(name.as_str(), "script" | "style") || styles.contains("display:none");
        Some(Self { name, length: end.map_or(html.len(), |end| end + 1), closes, hides })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_the_text() {
        for (html, expected) in [
            ("Ada Lovelace", "Ada Lovelace"),
            ("<a href=\"//commons.wikimedia.org/wiki/User:Ada\" title=\"User:Ada\">Ada</a>", "Ada"),
            ("<div class=\"fn\">\nAda &amp; <b>Byron</b></div>", "Ada & Byron"),
            ("Caf&eacute; &#8211; &#x201C;x&#x201D;&nbsp;&lt;b&gt;", "Café – “x” <b>"),
            ("one<br />two<p>three</p>four", "one two three four"),
            (
                "<bdi><span title=\"a > b\">Unknown author</span></bdi><span style=\"display: none;\">Unknown <span>author</span></span>",
                "Unknown author",
            ),
            ("<style data-x=\"y\">.a>b{c:d}</style>text<script>1<2</script>", "text"),
            ("<img src='x' style='display:none'>seen", "seen"),
            ("a <!-- no > --> b", "a b"),
            ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
            ("a < b <", "a < b <"),
            ("cut <a href=\"x", "cut"),
            ("<!-- cut", ""),
            ("", ""),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }
}

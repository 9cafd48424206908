//! Data and pictures to one HTML file that needs nothing from elsewhere.

mod picture;

use std::fmt::Write;

use serde::Serialize;

#[cfg(feature = "evaluation")]
pub(crate) use picture::encoded;
pub(crate) use picture::{Thumbnail, thumbnail};

/// What every page looks like.
const STYLE: &str = include_str!("page.css");
/// What every page makes its elements with.
const COMMON: &str = include_str!("common.js");
/// The time line of a trace.
pub(crate) const TRACE: &str = include_str!("trace.js");
/// The page of a single trace.
pub(crate) const TRACE_PAGE: &str = include_str!("trace_page.js");

/// What a page is made of.
pub(crate) struct Page<'a, Data> {
    /// The title in the browser's tab.
    pub(crate) title: &'a str,
    /// Styles of this page alone.
    pub(crate) style: &'a str,
    /// Scripts, in order, that make the page of `data`.
    pub(crate) scripts: &'a [&'a str],
    /// What the page shows.
    pub(crate) data: &'a Data,
}

impl<Data: Serialize> Page<'_, Data> {
    /// The file. The data is JSON in a block that is not run, and a Content-Security-Policy allows
    /// nothing but the page's own scripts, styles and pictures: the scripts carry a number that is made
    /// of everything that is in the page, so that no text of the data can bear it.
    pub(crate) fn html(&self) -> serde_json::Result<String> {
        let Self { title, style, scripts, data } = self;
        let data = in_script(&serde_json::to_string(data)?);
        let scripts = [COMMON].iter().chain(*scripts).copied().collect::<String>();
        let mut hasher = blake3::Hasher::new();
        for part in [title, style, &*scripts, &*data] {
            hasher.update(part.as_bytes());
        }
        let nonce = &hasher.finalize().to_hex()[..32];
        let title = escaped(title);
        Ok(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' file: data:; \
             base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{title}</title>\n<style nonce=\"{nonce}\">\n{STYLE}{style}</style>\n</head>\n<body>\n\
             <noscript>This page is made by its own scripts: please allow them.</noscript>\n\
             <main id=\"main\"></main>\n\
             <script type=\"application/json\" id=\"data\">{data}</script>\n\
             <script nonce=\"{nonce}\">\n{scripts}</script>\n</body>\n</html>\n"
        ))
    }
}

/// JSON as it can stand in a `script` element: nothing in it ends the element, begins a comment or turns
/// the direction of the source.
fn in_script(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text as it can stand in an element or an attribute of HTML or XML. Characters that XML does not have
/// and those that turn the direction of what follows are written as their codes.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(c),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.extend(c.escape_unicode());
            }
            c if c.is_control() => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_place() {
        let hostile = "</script><script>alert(1)</script><!-- \u{202e} & \" ' \0";
        let page = Page { title: hostile, style: "", scripts: &["/* own */"], data: &[hostile] };
        let html = page.html().unwrap();
        assert_eq!(html.matches("<script").count(), 2, "{html}");
        assert_eq!(html.matches("</script").count(), 2);
        assert!(!html.contains("alert(1)<") && !html.contains("<!--"));
        let title = "<title>&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!-- \\u{202e} &amp; \
                     &quot; &#39; \\u{0}</title>";
        assert!(html.contains(title), "{html}");
        // The data comes back as it was.
        let from = html.find("id=\"data\">").unwrap() + "id=\"data\">".len();
        let json = &html[from..from + html[from..].find("</script>").unwrap()];
        assert_eq!(serde_json::from_str::<Vec<String>>(json).unwrap(), [hostile]);
    }

    #[test]
    fn scripts_run_by_a_number_that_differs_with_the_data() {
        let nonce = |data: &str| {
            let html = Page { title: "a", style: "", scripts: &[], data: &data }.html().unwrap();
            html.split("'nonce-").nth(1).unwrap()[..32].to_owned()
        };
        assert_eq!(nonce("a"), nonce("a"));
        assert_ne!(nonce("a"), nonce("b"));
    }
}

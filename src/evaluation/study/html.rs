//! What a study says to the one page that shows it.

use super::published::Published;
use super::settings::origin;
use crate::{Error, Result};

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/study.js");

/// `index.html`: style, script and data are in it, and its content security policy lets nothing out but
/// to the owner's address.
pub(super) fn page(published: &Published) -> Result<String> {
    let json = serde_json::to_string(published).map_err(|e| Error::backend("JSON writer", e))?;
    let connect = published.post_to.as_deref().map_or(Ok("'none'"), origin)?;
    let parts = [
        ("{{title}}", escaped(&published.title)),
        // It only has to differ from what texts of the study could contain by chance.
        ("{{nonce}}", blake3::hash(published.version.as_bytes()).to_hex()[..32].to_owned()),
        ("{{connect}}", escaped(connect)),
        ("{{style}}", STYLE.to_owned()),
        ("{{script}}", SCRIPT.to_owned()),
        // Nothing in it can end the element that it stands in.
        ("{{study}}", json.replace('<', "\\u003c")),
    ];
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + SCRIPT.len() + json.len());
    let mut rest = PAGE;
    while let Some(start) = rest.find("{{") {
        let part = parts.iter().find(|(name, _)| rest[start..].starts_with(name));
        let (name, value) = part.map_or(("{{", "{{"), |(name, value)| (*name, value.as_str()));
        page.push_str(&rest[..start]);
        page.push_str(value);
        rest = &rest[start + name.len()..];
    }
    page.push_str(rest);
    Ok(page)
}

/// Text inside elements and attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML, and so SVG, has no other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t' | '\r') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

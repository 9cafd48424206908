//! What is taken out of captions and replaced in them, in order: the expressions of diffusers'
//! `PixArtSigmaPipeline._clean_caption`, as Python's `re` means them, but for those of the web's addresses
//! ([`urls`](super::urls)).

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::python::{regex, sub};

/// Expressions with what takes the place of what they find.
pub(super) struct Rules(LazyLock<Vec<(Regex, &'static str)>>);

impl Rules {
    /// The caption after one rule after another.
    pub(super) fn apply(&self, caption: &str) -> String {
        let step = |caption: String, (regex, replacement): &(Regex, &str)| {
            sub(regex, replacement, &caption).into_owned()
        };
        self.0.iter().fold(caption.to_owned(), step)
    }
}

macro_rules! rules {
    ($(#[$doc:meta])* $name:ident: $([$pattern:expr, $replacement:expr])*) => {
        $(#[$doc])*
        pub(super) static $name: Rules =
            Rules(LazyLock::new(|| vec![$((regex($pattern), $replacement)),*]));
    };
}

rules! {
    /// Between HTML and the characters' own repair.
    AFTER_HTML:
    [r"@[\w\d]+\b", ""]
    // Strokes, phonetic extensions, letters in circles, ideographs.
    ["[\u{31c0}-\u{31ef}]+", ""]
    ["[\u{31f0}-\u{31ff}]+", ""]
    ["[\u{3200}-\u{32ff}]+", ""]
    ["[\u{3300}-\u{33ff}]+", ""]
    ["[\u{3400}-\u{4dbf}]+", ""]
    ["[\u{4dc0}-\u{4dff}]+", ""]
    ["[\u{4e00}-\u{9fff}]+", ""]
    // Dashes and quotes.
    ["[\\-\u{58a}\u{5be}\u{1400}\u{1806}\u{2010}-\u{2015}\u{2e17}\u{2e1a}\u{2e3a}\u{2e3b}\u{2e40}\u{301c}\u{3030}\
      \u{30a0}\u{fe31}\u{fe32}\u{fe58}\u{fe63}\u{ff0d}]+", "-"]
    ["[`´«»“”¨]", "\""]
    ["[‘’]", "'"]
    ["&quot;?", ""]
    ["&amp", ""]
    // Addresses of machines, numbers of articles, line breaks that are written out.
    [r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " "]
    [r"\d:\d\d\s+$", ""]
    [r"\\n", " "]
    // #123, #12345, 123456.
    [r"#\d{1,3}\b", ""]
    [r"#\d{5,}\b", ""]
    [r"\b\d{6,}\b", ""]
    // Files.
    [r"[\S]+\.(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)", ""]
    // """SALE""", SALE...
    [r#"["']{2,}"#, "\""]
    [r"[\.]{2,}", " "]
    // ***SALE***, #SALE.
    [r"[#®•©™\&@·º½¾¿¡§\~)(\]\[}{|\\/*]+", " "]
    [r"\s+\.\s+", " "]
}

rules! {
    /// After it.
    AFTER_REPAIR:
    // jc6640, jc6640vc, 6640vc231.
    [r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""]
    [r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""]
    [r"\b\d+[a-zA-Z]+\d+\b", ""]
    // Of shops and pages.
    [r"(worldwide\s+)?(free\s+)?shipping", ""]
    [r"(free\s)?download(\sfree)?", ""]
    [r"\bclick\b\s(?:for|on)\s\w+", ""]
    [r"\b(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)(\simage[s]?)?", ""]
    [r"\bpage\s+\d+\b", ""]
    // j2d1a2a, 1920x1080.
    [r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " "]
    [r"\b\d+\.?\d*[xх×]\d+\.?\d*\b", ""]
    // Blanks.
    [r"\b\s+:\s+", ": "]
    [r"(\D[,\./])\b", "${1} "]
    [r"\s+", " "]
    // Quotes around all of it, and what it begins or ends with.
    [r#"(?s)^["'](.+)["']$"#, "${1}"]
    [r"^['_,\-:;]", ""]
    [r"['_,\-:\-+]$", ""]
    [r"^\.\S+$", ""]
}

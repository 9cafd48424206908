//! Strings and tags to the text of a page: the part of Beautiful Soup's tree that its text depends on.

/// Elements without content. Beautiful Soup, `HTMLTreeBuilder.DEFAULT_EMPTY_ELEMENT_TAGS`.
const EMPTY: [&str; 24] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "keygen", "link", "menuitem",
    "meta", "param", "source", "track", "wbr", "basefont", "bgsound", "command", "frame", "image",
    "isindex", "nextid", "spacer",
];
/// Elements whose strings are no text of the page. Beautiful Soup,
/// `HTMLTreeBuilder.DEFAULT_STRING_CONTAINERS`.
const NO_TEXT: [&str; 5] = ["rt", "rp", "style", "script", "template"];

/// The text that was found, and the elements that are open.
#[derive(Default)]
pub(super) struct Soup {
    text: String,
    string: Option<String>,
    open: Vec<String>,
    /// Elements without content whose end tag, should there be one, says nothing new.
    closed: Vec<String>,
}

impl Soup {
    pub(super) fn add(&mut self, data: &str) {
        self.string.get_or_insert_default().push_str(data);
    }

    /// Adds the string that ends here to the text: what is `plain` does not count in elements without
    /// text.
    pub(super) fn end_string(&mut self, plain: bool) {
        let Some(string) = self.string.take() else { return };
        let is_text = !plain || !self.open.iter().any(|name| NO_TEXT.contains(&name.as_str()));
        let is_blank = string.chars().all(|c| matches!(c, ' ' | '\n' | '\t' | '\x0c' | '\r'));
        match (is_text, is_blank) {
            (false, _) => {}
            (true, false) => self.text.push_str(&string),
            (true, true) => self.text.push(if string.contains('\n') { '\n' } else { ' ' }),
        }
    }

    /// A start tag.
    pub(super) fn open(&mut self, name: &str) {
        if EMPTY.contains(&name) {
            self.open_and_close(name);
            self.closed.push(name.to_owned());
        } else {
            self.end_string(true);
            self.open.push(name.to_owned());
        }
    }

    /// A tag of an element without content.
    pub(super) fn open_and_close(&mut self, name: &str) {
        self.end_string(true);
        self.open.push(name.to_owned());
        self.close(name);
    }

    /// Closes the last element of this name that is open, and all that were opened after it.
    fn close(&mut self, name: &str) {
        self.end_string(true);
        if let Some(at) = self.open.iter().rposition(|open| open == name) {
            self.open.truncate(at);
        }
    }

    /// An end tag.
    pub(super) fn end(&mut self, name: &str) {
        match self.closed.iter().position(|closed| closed == name) {
            Some(at) => drop(self.closed.remove(at)),
            None => self.close(name),
        }
    }

    /// The text, now that nothing follows.
    pub(super) fn finish(mut self) -> String {
        self.end_string(true);
        self.text
    }
}

//! Captions without addresses of the web, in time that grows with their length: of diffusers'
//! expressions, these two alone would be tried anew from every part of a long word.
//!
//! They are
//! ```text
//! \b((?:https?:(?:\/{1,3}|[a-zA-Z0-9%])|[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b\/?(?!@)))
//! ```
//! and the same with `www:` in place of `https?:`.

use super::python::is_word;

/// Ends of names of hosts, in the order in which they are tried.
const DOMAINS: [&str; 8] = ["com", "co", "ru", "net", "org", "edu", "gov", "it"];

/// `caption` without what the expressions find, one after the other.
pub(super) fn remove(caption: &str) -> String {
    without(&without(caption, &["https:", "http:"]), &["www:"])
}

/// `text` without addresses that begin with one of `schemes`, or with the name of a host.
fn without(text: &str, schemes: &[&str]) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut host = Host { run_end: 0, dot: None };
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let found = is_edge(text, at)
            .then(|| scheme(text, at, schemes).or_else(|| host.end_of(text, at)))
            .flatten();
        match found {
            Some(end) => at = end,
            None => {
                kept.push(next);
                at += next.len_utf8();
            }
        }
    }
    kept
}

/// Where the scheme at `at` ends, with its slashes, or with the first letter behind it.
fn scheme(text: &str, at: usize, schemes: &[&str]) -> Option<usize> {
    let scheme = schemes.iter().find(|scheme| text[at..].starts_with(**scheme))?;
    let rest = &text.as_bytes()[at + scheme.len()..];
    let slashes = rest.iter().take(3).take_while(|byte| **byte == b'/').count();
    let letter = rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'%');
    let length = if slashes > 0 { slashes } else { usize::from(letter) };
    (length > 0).then_some(at + scheme.len() + length)
}

/// The last name of a host among characters that names are made of, and what is known of them.
struct Host {
    /// Where these characters end.
    run_end: usize,
    /// The last dot of theirs that a domain follows, and where the address ends.
    dot: Option<(usize, usize)>,
}

impl Host {
    /// Where the address ends that begins at `at`.
    fn end_of(&mut self, text: &str, at: usize) -> Option<usize> {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        if at >= self.run_end {
            let run = text.as_bytes()[at..].iter().take_while(|byte| is_name(byte)).count();
            self.run_end = at + run;
            let dots = text[at..self.run_end].rmatch_indices('.');
            self.dot = dots.map(|(dot, _)| at + dot).find_map(|dot| Some((dot, path(text, dot)?)));
        }
        self.dot.filter(|(dot, _)| *dot > at).map(|(_, end)| end)
    }
}

/// Where an address ends whose domain follows the `dot`.
fn path(text: &str, dot: usize) -> Option<usize> {
    DOMAINS.iter().find_map(|domain| {
        let start = dot + 1;
        let start = text[start..].starts_with(domain).then_some(start + domain.len())?;
        let is_path = |c: char| is_word(c) || matches!(c, '/' | '-');
        let path =
            text[start..].find(|c| !is_path(c)).map_or(&text[start..], |end| &text[start..][..end]);
        let ends = path.char_indices().map(|(at, _)| start + at).chain([start + path.len()]);
        ends.rev().filter(|&end| is_edge(text, end)).find_map(|end| {
            let after = |at: usize| text[at..].chars().next();
            match after(end) {
                Some('/') if after(end + 1) != Some('@') => Some(end + 1),
                Some('@') => None,
                _ => Some(end),
            }
        })
    })
}

/// Python's `\b`.
fn is_edge(text: &str, at: usize) -> bool {
    let is_word = |next: Option<char>| next.is_some_and(is_word);
    is_word(text[..at].chars().next_back()) != is_word(text[at..].chars().next())
}

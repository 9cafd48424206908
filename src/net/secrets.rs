//! [`Secrets`]: text from outside to text in which no key of ours is left.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// What stands in the place of a secret.
const HIDDEN: &str = "[redacted]";
/// Shorter strings are no secrets, and hiding them would garble every message.
const SHORTEST: usize = 4;

/// The key, and whatever else must not be told.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub(crate) fn add(&mut self, secret: impl Into<String>) {
        let secret = secret.into();
        if secret.len() >= SHORTEST && !self.0.contains(&secret) {
            self.0.push(secret);
            // The longest first: one secret may hold another.
            self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// `text` without the secrets: as they are, escaped as in JSON, JavaScript, HTML or a URL, each
    /// character by itself, or in base64.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            let encoded = STANDARD_NO_PAD.encode(secret);
            without(&text.replace(secret, HIDDEN), secret).replace(&encoded, HIDDEN)
        })
    }

    /// `text` without the secrets, on one line of at most `chars` characters.
    #[cfg(feature = "openai")]
    pub(crate) fn shorten(&self, text: &str, chars: usize) -> String {
        let line = self.hide(text).split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(chars) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

/// `text` with [`HIDDEN`] wherever it spells `secret`.
fn without(text: &str, secret: &str) -> String {
    let secret: Vec<_> = secret.chars().map(spellings).collect();
    let (mut hidden, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let behind = secret.iter().try_fold(rest, |rest, spellings| {
            spellings.iter().find_map(|spelling| {
                let start = rest.get(..spelling.len())?;
                // A letter stands for itself; of an escape, the digits may be of either case.
                let is_same = match spelling.len() {
                    1 => start == spelling,
                    _ => start.eq_ignore_ascii_case(spelling),
                };
                is_same.then_some(&rest[spelling.len()..])
            })
        });
        if let Some(behind) = behind {
            hidden += HIDDEN;
            rest = behind;
        } else {
            hidden.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    hidden
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
    all.push(c.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect());
    all.extend([format!("&#{number};"), format!("&#x{number:x};"), c.to_string()]);
    all
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(all(test, feature = "openai"))]
mod tests {
    use super::*;

    #[test]
    fn hides_before_it_shortens() {
        let mut secrets = Secrets::default();
        secrets.add("sk-secret");
        secrets.add("sk-secret-and-more");
        assert_eq!(secrets.hide("<sk-secret-and-more> sk-secret"), "<[redacted]> [redacted]");
        assert_eq!(secrets.shorten("key:\n sk-secret", 8), "key: [re…");
        assert_eq!(format!("{secrets:?}"), "[redacted]");
    }

    #[test]
    fn hides_what_is_escaped() {
        let mut secrets = Secrets::default();
        secrets.add("sk-se/cr+t");
        for spelled in [
            "sk-se/cr+t",
            r"sk\u002dse\/cr+t",
            r"sk\u002Dse\u002fcr\u002Bt",
            r"\u0073\u006b-se/cr+t",
            r"sk\u002dse/cr+t",
            r"sk\x2dse/cr+t",
            r"sk\u{2d}se/cr+t",
            "sk-se%2Fcr%2Bt",
            "sk%2dse%2fcr+t",
            "sk&#45;se&#x2f;cr+t",
            "c2stc2UvY3IrdA",
        ] {
            assert_eq!(secrets.hide(&format!("<{spelled}>é")), "<[redacted]>é", "{spelled}");
        }
        for other in ["SK-se/cr+t", "sk-se/cr", r"sk\u002ese/cr+t", "sk%2"] {
            assert_eq!(secrets.hide(other), other);
        }
        secrets.add("clé🔑s");
        for spelled in [r"cl\u00e9\ud83d\udd11s", "cl%C3%A9%F0%9F%94%91s", "clé🔑s"] {
            assert_eq!(secrets.hide(spelled), "[redacted]", "{spelled}");
        }
    }
}

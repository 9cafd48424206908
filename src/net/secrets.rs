//! [`Secrets`]: text from outside to text in which no key of ours is left.

use std::fmt;

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

    /// `text` without the secrets.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
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
}

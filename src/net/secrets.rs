//! [`Secrets`]: text from outside to text in which no key of ours is left.

mod spelled;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// What stands in the place of a secret.
const HIDDEN: &str = "[redacted]";
/// Shorter strings are no secrets, and hiding them would garble every message.
const SHORTEST: usize = 4;
/// From how many bytes on a secret is looked for in other letter case and the like, where a shorter one
/// would be found in words.
const REAL: usize = 8;
/// From how many characters on the start or the end of a secret is hidden.
const PART: usize = 12;

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

    /// `text` without the secrets: as they are, in other letter case, broken by lines or by characters
    /// that are not seen, escaped as in JSON, JavaScript, HTML or a URL, as hexadecimal digits or a list
    /// of bytes, in base64, also of more than the secret, and in part.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            let text = spelled::without(&text.replace(secret, HIDDEN), secret);
            without_parts(&without_base64(&text, secret), secret)
        })
    }

    /// Hides the secrets in the texts of `reply`, a good reply from which words are handed on: as they
    /// are, and in other forms beside that. Secrets of less than 8 characters are left: they stand for
    /// none, as Ollama's `ollama` does, and are words of replies.
    #[cfg(feature = "openai")]
    pub(crate) fn hide_in(&self, reply: &mut serde_json::Value) {
        use serde_json::Value;
        match reply {
            Value::String(text) => {
                if self.0.iter().any(|one| one.len() >= REAL && text.contains(one.as_str())) {
                    let real = self.0.iter().filter(|one| one.len() >= REAL);
                    *text = Self(real.cloned().collect()).hide(text);
                }
            }
            Value::Array(all) => all.iter_mut().for_each(|one| self.hide_in(one)),
            Value::Object(fields) => fields.values_mut().for_each(|one| self.hide_in(one)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
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

/// `text` with [`HIDDEN`] for the base64 of `secret` or of a text with it, such as `Bearer` and it.
fn without_base64(text: &str, secret: &str) -> String {
    let mut hidden = text.to_owned();
    for before in 0..3 {
        let bytes = [&[0; 2][..before], secret.as_bytes()].concat();
        // What a character shares with its neighbours differs by them: only the others are looked for.
        let start = [0, 2, 3][before];
        let end = bytes.len() * 8 / 6;
        let encoded = STANDARD_NO_PAD.encode(&bytes);
        let Some(sure) = encoded.get(start..end).filter(|sure| sure.len() > SHORTEST) else {
            continue;
        };
        for sure in [sure.to_owned(), sure.replace('+', "-").replace('/', "_")] {
            // What stands in its place is not looked for again.
            while let Some(at) = hidden.find(&sure).filter(|_| !HIDDEN.contains(&sure)) {
                let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
                let (head, tail) = (&hidden[..at], &hidden[at + sure.len()..]);
                let head =
                    if start > 0 { head.strip_suffix(is_base64).unwrap_or(head) } else { head };
                let is_shared = bytes.len() % 3 > 0;
                let tail =
                    if is_shared { tail.strip_prefix(is_base64).unwrap_or(tail) } else { tail };
                hidden = format!("{head}{HIDDEN}{tail}");
            }
        }
    }
    hidden
}

/// `text` with [`HIDDEN`] for the start or the end of `secret`, of at least [`PART`] characters.
fn without_parts(text: &str, secret: &str) -> String {
    let secret: Vec<char> = secret.chars().collect();
    if secret.len() <= PART {
        return text.to_owned();
    }
    let mut hidden = text.to_owned();
    let start: String = secret[..PART].iter().collect();
    while let Some(at) = hidden.find(&start) {
        let more = hidden[at..].chars().zip(&secret).take_while(|(one, other)| one == *other);
        let length: usize = more.map(|(one, _)| one.len_utf8()).sum();
        hidden.replace_range(at..at + length, HIDDEN);
    }
    let end: String = secret[secret.len() - PART..].iter().collect();
    while let Some(at) = hidden.find(&end).map(|at| at + end.len()) {
        let more = hidden[..at].chars().rev().zip(secret.iter().rev());
        let length: usize =
            more.take_while(|(one, other)| one == *other).map(|(one, _)| one.len_utf8()).sum();
        hidden.replace_range(at - length..at, HIDDEN);
    }
    hidden
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(all(test, feature = "openai"))]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

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
    fn a_secret_like_what_stands_in_its_place_ends() {
        let words = STANDARD_NO_PAD.decode("redacted").unwrap();
        for secret in [
            "[redacted]",
            "xx[redacted]yy",
            "redacted",
            std::str::from_utf8(&words).unwrap_or("cted"),
        ] {
            let mut secrets = Secrets::default();
            secrets.add(secret);
            let hidden = secrets.hide(&format!("{secret} redacted xxxx[redacted]yy"));
            assert!(hidden.contains(HIDDEN), "{hidden}");
        }
    }

    #[test]
    fn hides_names_of_html_and_parts_of_long_keys() {
        let mut secrets = Secrets::default();
        secrets.add("a<b>&\"c'd");
        for spelled in ["a&lt;b&gt;&amp;&quot;c&apos;d", "a&LT;b&#62;&AMP;&#34;c&#x27;d"] {
            assert_eq!(secrets.hide(&format!("<{spelled}>")), "<[redacted]>", "{spelled}");
        }
        secrets.add("sk-proj-0123456789abcdefghij");
        for (text, hidden) in [
            ("sk-proj-0123…", "[redacted]…"),
            ("sk-proj-0123456789ab***", "[redacted]***"),
            ("key …89abcdefghij.", "key …[redacted]."),
            ("sk-proj-0… …ghij", "sk-proj-0… …ghij"),
        ] {
            assert_eq!(secrets.hide(text), hidden);
        }
    }

    #[test]
    fn hides_in_the_texts_of_a_reply_and_leaves_its_shape() {
        let mut secrets = Secrets::default();
        secrets.add("sk-secret");
        secrets.add("ollama");
        let mut reply = serde_json::json!({
            "model": "ollama/x", "sk-secret": 1, "texts": ["a sk-secret", { "b": "SK-SECRET: sk-secret" }],
        });
        secrets.hide_in(&mut reply);
        let expected = serde_json::json!({
            "model": "ollama/x", "sk-secret": 1, "texts": ["a [redacted]", { "b": "[redacted]: [redacted]" }],
        });
        assert_eq!(reply, expected);
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
            "SK-Se/CR+t",
            "sk-se\n/cr+t",
            "sk-se\r\n  /cr+t",
            "sk-\u{200b}se/c\u{feff}r+t",
            r"sk-se\n/cr+t",
            r"sk-\u200bse/cr+t",
            "sk-se%252Fcr%252bt",
            "sk&#45;se&sol;cr&plus;t",
            "736b2d73652f63722b74",
            "73:6B:2D:73:65:2F:63:72:2B:74",
            "0x73, 0x6b, 0x2d, 0x73, 0x65, 0x2f, 0x63, 0x72, 0x2b, 0x74",
            "115, 107, 45, 115, 101, 47, 99, 114, 43, 116",
        ] {
            assert_eq!(secrets.hide(&format!("<{spelled}>é")), "<[redacted]>é", "{spelled}");
        }
        for other in ["sk-se/cr", r"sk\u002ese/cr+t", "sk%2", "sk-se\n\nother"] {
            assert_eq!(secrets.hide(other), other);
        }
        for (before, after) in
            [("Bearer ", ""), ("a:", ""), ("user:", "\n"), ("key:", "!?"), ("", "é"), ("x", "yz")]
        {
            let text = format!("{before}sk-se/cr+t{after}");
            for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let encoded = alphabet.encode(&text);
                let hidden = secrets.hide(&format!("<{encoded}>"));
                let around = hidden.split_once(HIDDEN).map(|(head, tail)| head.len() + tail.len());
                assert!(around.is_some_and(|rest| rest <= 2 + encoded.len() - 12), "{hidden}");
            }
        }
        secrets.add("clé🔑s");
        for spelled in [r"cl\u00e9\ud83d\udd11s", "cl%C3%A9%F0%9F%94%91s", "clé🔑s"] {
            assert_eq!(secrets.hide(spelled), "[redacted]", "{spelled}");
        }
    }
}

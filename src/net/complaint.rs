//! [`Complaint`]: the words of an error to whether a service refuses a parameter of the request.
//!
//! Services have no common code for this: OpenAI has `unsupported_parameter`, `unknown_parameter` and
//! `unsupported_value`, most others words alone, of which these are the common ones.

use serde_json::{Map, Value};

use crate::Error;

/// What an error says of the parameters of a request.
pub(crate) struct Complaint {
    /// In small letters.
    message: String,
    /// Whether the words are those of a refusal, for whatever reason.
    pub(crate) is_refusal: bool,
    /// Whether a value is out of its range.
    pub(crate) is_range: bool,
    /// Whether the words are of another script than Latin or have accents, and none is known.
    pub(crate) is_foreign: bool,
}

impl Complaint {
    /// What `error` says; `None` where it cannot be about a parameter.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        let Error::Service { status, message, .. } = error else { return None };
        // A key, a bill, a limit on requests or their size: nothing of what a parameter says.
        if matches!(status, 401..=403 | 408 | 413 | 429) {
            return None;
        }
        let message = message.to_lowercase();
        let says = |words| contains(&message, words);
        let is_range = says(RANGE) && !says(UNSUPPORTED);
        let is_refusal = is_range || says(UNSUPPORTED) || says(INVALID);
        let is_foreign = matches!(status, 400 | 422)
            && !is_refusal
            && message.chars().any(|c| !c.is_ascii() && c.is_alphabetic());
        Some(Self { message, is_refusal, is_range, is_foreign })
    }

    /// Whether one of `words`, in small letters, is in the message.
    pub(crate) fn says(&self, words: &[&str]) -> bool {
        contains(&self.message, words)
    }

    /// Whether `name` is a word of the message.
    pub(crate) fn names(&self, name: &str) -> bool {
        has_word(&self.message, name)
    }

    /// Whether `name` is a word of the message, and no other parameter of the body `sent` is.
    pub(crate) fn is_about_only(&self, name: &str, sent: &Value) -> bool {
        let mut others = sent.as_object().into_iter().flat_map(Map::keys);
        self.names(name)
            && !others.any(|other| other != name && other != "model" && self.names(other))
    }

    /// Whether the message has the `value` of the field `name`: in quotes, behind the name, or as words
    /// that no sentence has, such as `512x512`. A value may be a word of the sentence, as `low` or `a`.
    fn quotes(&self, name: &str, value: &str) -> bool {
        const QUOTES: [char; 9] = ['\'', '"', '`', '‘', '’', '“', '”', '«', '»'];
        let value = value.trim().to_lowercase();
        if value.is_empty() {
            return false;
        }
        let is_odd = value.chars().any(|c| !c.is_alphabetic() && !c.is_whitespace());
        self.message.match_indices(&value).any(|(at, _)| {
            let (before, after) = (&self.message[..at], &self.message[at + value.len()..]);
            let is_words = !before.ends_with(is_in_word) && !after.starts_with(is_in_word);
            let is_quoted = before.ends_with(QUOTES) && after.starts_with(QUOTES);
            let is_given =
                before.trim_end().trim_end_matches(['=', ':']).trim_end().ends_with(name)
                    && !GRAMMAR.contains(&&*value);
            is_words && (is_quoted || is_given || is_odd)
        })
    }

    /// Whether the service does not take the field `name` of the body `sent` at all, whatever its value:
    /// a value that it does not take is the caller's to change.
    pub(crate) fn is_unknown(&self, name: &str, sent: &Value) -> bool {
        // Behind the name of what is refused there may be those of all that is taken.
        let end = TAKEN.iter().filter_map(|words| self.message.find(words)).min();
        let refused = &self.message[..end.unwrap_or(self.message.len())];
        let quotes_value = sent[name].as_str().is_some_and(|value| self.quotes(name, value));
        let is_field = self.says(UNSUPPORTED) || self.says(&["parameter", "argument", "field"]);
        match () {
            () if self.is_foreign => self.is_about_only(name, sent),
            () if self.is_range || self.says(&["value"]) || quotes_value => false,
            () => self.is_refusal && is_field && has_word(refused, name),
        }
    }
}

fn contains(message: &str, words: &[&str]) -> bool {
    words.iter().any(|word| message.contains(word))
}

fn has_word(message: &str, word: &str) -> bool {
    message.split(|c| !is_in_word(c)).any(|found| found == word)
}

const fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What follows the name of a field in a sentence.
const GRAMMAR: [&str; 14] = [
    "a",
    "an",
    "argument",
    "cannot",
    "extra",
    "field",
    "in",
    "input",
    "is",
    "not",
    "of",
    "option",
    "parameter",
    "was",
];

// Beside English, Chinese as DashScope, GLM and others have it: their other words are read by
// [`Complaint::is_about_only`], but whether they refuse a parameter or its value makes a difference.
const UNSUPPORTED: &[&str] = &[
    "unsupported",
    "not support",
    "n't support",
    "unknown",
    "unrecognized",
    "unexpected",
    "not permitted",
    "not allowed",
    "not available",
    "not accept",
    "deprecated",
    "cannot",
    "only ",
    "不支持",
    "不支援",
];
const INVALID: &[&str] =
    &["invalid", "parameter", "not valid", "bad ", "illegal", "incorrect", "wrong"];
const RANGE: &[&str] = &[
    "range",
    "between",
    "must be",
    "should be",
    "positive",
    "greater than",
    "less than",
    "at least",
    "at most",
    "maximum",
    "minimum",
    "exceed",
    "too large",
    "too high",
    "too low",
    "范围",
    "範圍",
    "範囲",
    "之间",
    "大于",
    "小于",
    "超过",
    "超出",
];
/// What the names of the fields that are taken stand behind.
const TAKEN: &[&str] = &[
    "expected one of",
    " supported param",
    " supported field",
    " supported argument",
    " valid param",
    " valid field",
    " allowed param",
    " allowed field",
    " accepted param",
    " accepted field",
    " known field",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_is_unknown_is_told_from_a_value_that_is_wrong() {
        let sent = json!({
            "prompt": "p", "seed": 7, "size": "512x512", "quality": "max",
            "num_inference_steps": 4, "response_format": "b64_json",
        });
        for (words, refused) in [
            ("Unknown parameter: 'response_format'.", vec!["response_format"]),
            ("Unrecognized request argument supplied: seed", vec!["seed"]),
            (
                "Unrecognized request arguments supplied: seed, num_inference_steps",
                vec!["num_inference_steps", "seed"],
            ),
            ("unknown field `seed`, expected one of `prompt`, `size`", vec!["seed"]),
            (
                "seed: Extra inputs are not permitted; size: Extra inputs are not permitted",
                vec!["seed", "size"],
            ),
            ("seed is not a valid parameter. Supported parameters: prompt, size", vec!["seed"]),
            ("This model does not support seed", vec!["seed"]),
            ("Invalid parameter (parameter: seed)", vec!["seed"]),
            ("参数 seed 不合法", vec!["seed"]),
            ("该模型不支持 seed 参数", vec!["seed"]),
            ("Unsupported value: 'quality' does not support 'max' with this model.", vec![]),
            ("Invalid size '512x512'. Supported sizes are 1024x1024 and auto.", vec![]),
            ("size 512x512 is not supported", vec![]),
            ("seed must be between 0 and 4294967295", vec![]),
            ("Invalid seed", vec![]),
            ("out of memory", vec![]),
        ] {
            let complaint = Complaint::of(&Error::service("s", 400, words)).unwrap();
            let fields = sent.as_object().unwrap().keys();
            let found: Vec<_> = fields.filter(|name| complaint.is_unknown(name, &sent)).collect();
            assert_eq!(found, refused, "{words}");
        }
        for (name, value, words, is_refused) in [
            ("quality", "low", "quality is not allowed", true),
            ("quality", "low", "quality: low is not allowed", false),
            ("quality", "low", "'low' is not allowed as quality", false),
            ("negative_prompt", "a", "Unknown parameter: negative_prompt", true),
            ("negative_prompt", "n", "negative_prompt is an unknown field", true),
            ("negative_prompt", "parameter", "Unknown parameter: 'negative_prompt'", true),
            ("negative_prompt", "parameter", "negative_prompt parameter is not supported", true),
            ("negative_prompt", "extra", "negative_prompt: Extra inputs are not permitted", true),
            ("negative_prompt", "not", "negative_prompt is not supported", true),
            ("size", "512x512", "size 512x512 is not supported", false),
            ("size", "1x1", "size 11x11 is not supported", true),
            ("style", "", "style is not supported", true),
        ] {
            let complaint = Complaint::of(&Error::service("s", 400, words)).unwrap();
            let sent = json!({ "prompt": "p", name: value });
            assert_eq!(complaint.is_unknown(name, &sent), is_refused, "{value}: {words}");
        }
        for status in [401, 403, 429] {
            assert!(Complaint::of(&Error::service("s", status, "unknown seed")).is_none());
        }
    }
}

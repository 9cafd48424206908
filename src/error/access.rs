//! An error of a service to whether it is about the caller's access, and not about what was sent.

use std::time::Duration;

use super::Error;

/// What services say, in small letters, of a key, an account, or a place where they are not offered.
/// Sources: their references of errors and, of gateways, what they hand on.
const ACCESS: &[&str] = &[
    "api key",
    "api_key",
    "api-key",
    "apikey",
    "access key",
    "access token",
    "unauthorized",
    "unauthenticated",
    "authentication",
    "credential",
    "permission denied",
    "not have permission",
    "not have access",
    "quota",
    "billing",
    "your account",
    "account is",
    "account has",
    "credit balance",
    "insufficient credit",
    "insufficient balance",
    "insufficient fund",
    "location is not supported",
    "密钥",
    "令牌",
    "余额",
    "欠费",
    "模型不存在",
];
/// What they say of a model that they do not have, beside the word "model".
const NO_MODEL: &[&str] = &[
    "not found",
    "not exist",
    "n't exist",
    "not loaded",
    "n't loaded",
    "not available",
    "unavailable",
    "no such model",
    "no model",
    "unknown model",
    "invalid model",
    "not a valid model",
    "not deployed",
    "decommissioned",
    "has been deprecated",
    "failed to load",
    "not served",
];

impl Error {
    /// Whether a service's error is about the key, the account, the model or the address, so that it is
    /// the same for whatever is sent: by the status, or by the words where the status is that of a bad
    /// request, or because no wait helps.
    pub(crate) fn is_about_access(&self) -> bool {
        let Self::Service { status, message, retry_after, .. } = self else { return false };
        if *retry_after == Some(Duration::MAX) || matches!(status, 401..=405 | 407 | 410) {
            return true;
        }
        let message = message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        matches!(status, 400..500)
            && (says(ACCESS) || (message.contains("model") && says(NO_MODEL)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_told_from_what_was_sent() {
        for (status, words) in [
            (400, "API key not valid. Please pass a valid API key."),
            (400, "API key expired"),
            (400, "model 'clip' is not loaded"),
            (400, "The model `x` does not exist"),
            (422, "Model x not found"),
            (400, "Your credit balance is too low"),
            (400, "User location is not supported for the API use."),
            (404, "nothing"),
            (401, ""),
        ] {
            assert!(Error::service("s", status, words).is_about_access(), "{words}");
        }
        for (status, words) in [
            (400, "cannot identify image file"),
            (400, "This model's maximum context length is 77 tokens"),
            (413, "too large"),
            (429, "slow down"),
            (500, "model not loaded yet"),
        ] {
            assert!(!Error::service("s", status, words).is_about_access(), "{words}");
        }
        let unpaid = Error::service("s", 429, "").with_retry_after(Duration::MAX);
        assert!(unpaid.is_about_access());
    }
}

//! A base URL, a key and headers to the address that requests go to and the headers they carry.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use super::secrets::Secrets;
use crate::{Error, Result};

/// OpenAI itself.
const DEFAULT_URL: &str = "https://api.openai.com/v1";

/// What the caller gave.
pub(crate) struct Given<'a> {
    pub(crate) base_url: Option<&'a str>,
    pub(crate) api_key: Option<&'a str>,
    pub(crate) user_agent: &'a str,
    pub(crate) headers: &'a [(String, String)],
}

/// Where requests go and what each of them carries.
pub(crate) struct Address {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
}

impl Given<'_> {
    /// Checks what was given, completes it from the environment, and notes what is secret in it.
    pub(crate) fn address(&self, secrets: &mut Secrets) -> Result<Address> {
        let (url, login) = self.endpoint(secrets)?;
        Ok(Address { headers: self.headers(login, secrets)?, url })
    }

    /// The address of chat completions, and what a login in the base URL asks to send.
    fn endpoint(&self, secrets: &mut Secrets) -> Result<(Url, Option<String>)> {
        let base = self.base_url.map(str::to_owned).or_else(|| environment("OPENAI_BASE_URL"));
        let base = base.unwrap_or_else(|| DEFAULT_URL.into());
        let invalid = |found: String| Error::invalid_input("base_url", "an http(s) URL", found);
        // What was given is not quoted: a URL may hold a login.
        let mut url = Url::parse(base.trim()).map_err(|error| invalid(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(format!("the scheme {:?}", url.scheme())));
        }
        let mut login = None;
        if !url.username().is_empty() || url.password().is_some() {
            let (name, word) = (decoded(url.username()), decoded(url.password().unwrap_or("")));
            let basic = STANDARD.encode(format!("{name}:{word}"));
            for secret in [url.password().unwrap_or(""), &word, &basic] {
                secrets.add(secret);
            }
            login = Some(format!("Basic {basic}"));
            // Neither can fail: the URL has a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        for (_, value) in url.query_pairs() {
            secrets.add(value);
        }
        if !url.path().trim_end_matches('/').ends_with("/chat/completions")
            && let Ok(mut path) = url.path_segments_mut()
        {
            path.pop_if_empty().extend(["chat", "completions"]);
        }
        Ok((url, login))
    }

    fn headers(&self, login: Option<String>, secrets: &mut Secrets) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, header_value("user agent", self.user_agent)?);
        let key = self.api_key.map(str::to_owned).or_else(|| environment("OPENAI_API_KEY"));
        let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        if let Some(key) = &key {
            secrets.add(key.as_str());
        }
        if let Some(value) = key.map(|key| format!("Bearer {key}")).or(login) {
            headers.insert(AUTHORIZATION, sensitive("API key", &value)?);
        }
        for (name, value) in self.headers {
            let what = format!("header {name:?}");
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Error::invalid_input("header", "a header's name", &what))?;
            secrets.add(value.trim());
            if let Some((_, credential)) = value.trim().split_once(' ') {
                secrets.add(credential);
            }
            headers.insert(name, sensitive(&what, value.trim())?);
        }
        Ok(headers)
    }
}

/// A variable of the environment that is set to something.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// `value` as a header; the error does not quote it.
fn header_value(what: &str, value: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(value).map_err(|_| {
        Error::invalid_input(what, "visible characters on one line", "others among them")
    })
}

/// The same, hidden from `Debug` and from HTTP/2's tables.
fn sensitive(what: &str, value: &str) -> Result<HeaderValue> {
    let mut value = header_value(what, value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Percent-encoded text of a URL as it was meant.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

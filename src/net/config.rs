//! [`ClientConfig`]: a base URL, a key and headers to a [`Client`], checked before anything is sent.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use super::address;
use super::client::Client;
use super::reply::Service;
use super::retry::RetryPolicy;
use super::secrets::Secrets;
use super::transport::{Transport, http_url, take_login};
use crate::error::require;
use crate::{Error, Result};

/// The longest that opening a connection may take, whatever the whole may.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What one kind of service is known by.
pub(crate) struct Api {
    /// Where it is unless it is told.
    pub(crate) default_url: &'static str,
    /// The environment's variables for the base URL and the key.
    pub(crate) base_url_variable: &'static str,
    pub(crate) api_key_variable: &'static str,
    /// How the key is sent.
    pub(crate) key: Key,
    /// The endpoint that people give together with the base URL.
    pub(crate) endpoint: &'static str,
    /// The longest reply that is read, in bytes.
    pub(crate) max_reply: usize,
}

/// How a service wants its key.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    /// `Authorization: Bearer …`.
    Bearer,
    /// In a header of this name, as it is.
    Header(&'static str),
}

/// The settings that every remote part has.
#[derive(Clone)]
pub(crate) struct ClientConfig {
    pub(crate) base_url: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) user_agent: String,
    /// The longest that one attempt may take.
    pub(crate) timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) transport: Transport,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            api_key: None,
            headers: Vec::new(),
            user_agent: concat!("imagerag/", env!("CARGO_PKG_VERSION")).into(),
            timeout: Duration::from_secs(120),
            retry: RetryPolicy::new(2),
            transport: Transport::default(),
        }
    }
}

impl ClientConfig {
    /// The client of a service of the kind `api`, which errors call `name` and where it is. What is
    /// not set comes from the environment.
    pub(crate) fn build(&self, api: &Api, name: &str) -> Result<Client> {
        require(!self.timeout.is_zero(), "timeout", "more than 0 s", "0 s")?;
        let mut secrets = Secrets::default();
        let (base, login) = self.base(api, &mut secrets)?;
        let headers = self.headers(api, login, &mut secrets)?;
        let connect_timeout = self.timeout.min(CONNECT_TIMEOUT);
        let (http, proxy) = self.transport.client(&base, connect_timeout, &mut secrets)?;
        let path = base.path().trim_end_matches('/');
        let mut name = format!("{name} at {}{path}", base.origin().ascii_serialization());
        if let Some(proxy) = proxy {
            name = format!("{name} through the proxy {proxy}");
        }
        let advice = address::advice(&base).map(|advice| secrets.hide(&advice));
        Ok(Client {
            http,
            transport: Transport { identity: None, ..self.transport.clone() },
            base,
            headers,
            service: Service { name: secrets.hide(&name), secrets, advice },
            max_reply: api.max_reply,
            timeout: self.timeout,
            connect_timeout,
            retry: self.retry,
        })
    }

    /// The base URL without a login, and what the login asks to send.
    fn base(&self, api: &Api, secrets: &mut Secrets) -> Result<(Url, Option<String>)> {
        let base = self.base_url.clone().or_else(|| environment(api.base_url_variable));
        let base = base.unwrap_or_else(|| api.default_url.into());
        let mut url = http_url("base_url", &base)?;
        let login = take_login(&mut url, secrets);
        for (_, value) in url.query_pairs() {
            secrets.add(value);
        }
        let path = url.path().trim_end_matches('/');
        if let Some(path) = path.strip_suffix(api.endpoint).and_then(|path| path.strip_suffix('/'))
        {
            let path = path.to_owned();
            url.set_path(&path);
        }
        Ok((url, login))
    }

    fn headers(
        &self,
        api: &Api,
        login: Option<String>,
        secrets: &mut Secrets,
    ) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, header_value("user agent", &self.user_agent)?);
        let key = self.api_key.clone().or_else(|| environment(api.api_key_variable));
        let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        if let Some(key) = &key {
            secrets.add(key.as_str());
        }
        let bearer = match (api.key, key) {
            (Key::Bearer, key) => key.map(|key| format!("Bearer {key}")),
            (Key::Header(_), None) => None,
            (Key::Header(name), Some(key)) => {
                headers.insert(HeaderName::from_static(name), sensitive("API key", &key)?);
                None
            }
        };
        if let Some(value) = bearer.or(login) {
            headers.insert(AUTHORIZATION, sensitive("API key", &value)?);
        }
        for (name, value) in &self.headers {
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
pub(super) fn sensitive(what: &str, value: &str) -> Result<HeaderValue> {
    let mut value = header_value(what, value)?;
    value.set_sensitive(true);
    Ok(value)
}

//! [`Transport`]: a proxy and certificates to the HTTP client that uses them.

use std::error::Error as _;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Proxy, Url};

use super::address::is_local;
use super::config::sensitive;
use super::secrets::Secrets;
use crate::error::require;
use crate::{Error, Result};

/// The way to a service.
#[derive(Clone, Default)]
pub(crate) struct Transport {
    pub(crate) proxy: ProxyChoice,
    /// PEM files whose certificates are trusted beside those of the system.
    pub(crate) root_certificates: Vec<Vec<u8>>,
    /// A PEM file with the caller's certificate and its private key.
    pub(crate) identity: Option<Vec<u8>>,
}

/// What requests go through.
#[derive(Clone, Default)]
pub(crate) enum ProxyChoice {
    /// What `HTTPS_PROXY` and its like say; none to a service [nearby](is_local).
    #[default]
    Environment,
    /// The proxy at this URL, which may hold a login.
    At(String),
    /// Nothing.
    Direct,
}

impl Transport {
    /// The connection pool to the service at `base`, and the proxy that it goes through, without a
    /// login. It follows no redirects.
    pub(super) fn client(
        &self,
        base: &Url,
        connect_timeout: Duration,
        secrets: &mut Secrets,
    ) -> Result<(Client, Option<String>)> {
        let (http, through) = self.builder(Some(base), connect_timeout, secrets)?;
        Ok((http.build().map_err(unavailable)?, through))
    }

    /// The same before it is built. Without a `base` it is for hosts that are not known yet.
    pub(super) fn builder(
        &self,
        base: Option<&Url>,
        connect_timeout: Duration,
        secrets: &mut Secrets,
    ) -> Result<(ClientBuilder, Option<String>)> {
        let mut http = Client::builder()
            .connect_timeout(connect_timeout)
            .redirect(Policy::none())
            .referer(false);
        let mut is_plain = base.is_some_and(|base| base.scheme() == "http");
        let mut through = None;
        match &self.proxy {
            ProxyChoice::Environment if base.is_some_and(is_local) => http = http.no_proxy(),
            ProxyChoice::Environment => {
                through = base.and_then(|base| proxy_of_environment(base, secrets));
            }
            ProxyChoice::Direct => http = http.no_proxy(),
            ProxyChoice::At(url) => {
                let mut url = http_url("proxy", url)?;
                is_plain &= url.scheme() == "http";
                let login = take_login(&mut url, secrets);
                through = Some(url.origin().ascii_serialization());
                let mut proxy = Proxy::all(url).map_err(unavailable)?;
                if let Some(login) = login {
                    proxy = proxy.custom_http_auth(sensitive("login of the proxy", &login)?);
                }
                http = http.proxy(proxy);
            }
        }
        let mut roots = Vec::new();
        for pem in &self.root_certificates {
            let (what, expected) = ("root certificate", "one or more certificates in PEM");
            let found = Certificate::from_pem_bundle(pem)
                .map_err(|error| Error::invalid_input(what, expected, reason(&error)))?;
            require(!found.is_empty(), what, expected, "none")?;
            roots.extend(found);
        }
        if is_plain {
            // Without this, a machine without certificates could not even reach its own service.
            http = http.tls_certs_only(roots);
        } else if !roots.is_empty() {
            http = http.tls_certs_merge(roots);
        }
        if let Some(pem) = &self.identity {
            let expected = "a certificate and its private key in PEM";
            let identity = Identity::from_pem(pem)
                .map_err(|error| Error::invalid_input("identity", expected, reason(&error)))?;
            http = http.identity(identity);
        }
        Ok((http, through))
    }
}

/// The proxy that the environment names for `base`. It is found as `reqwest` finds it, which does not
/// tell.
fn proxy_of_environment(base: &Url, secrets: &mut Secrets) -> Option<String> {
    let found = Matcher::from_system().intercept(&base.as_str().parse().ok()?)?;
    if let Some(basic) = found.basic_auth().and_then(|login| login.to_str().ok()) {
        let login = basic.trim_start_matches("Basic ");
        secrets.add(login);
        let decoded = STANDARD.decode(login).unwrap_or_default();
        if let Some((_, password)) = String::from_utf8_lossy(&decoded).split_once(':') {
            secrets.add(password);
        }
    }
    if let Some((_, password)) = found.raw_auth() {
        secrets.add(password);
    }
    let (uri, port) = (found.uri(), found.uri().port_u16());
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", uri.scheme_str().unwrap_or("http"), uri.host()?))
}

/// `text` as a URL. The error does not quote it: a URL may hold a login.
pub(super) fn http_url(what: &str, text: &str) -> Result<Url> {
    let invalid = |found: String| Error::invalid_input(what, "an http(s) URL", found);
    let url = Url::parse(text.trim()).map_err(|error| invalid(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(invalid(format!("the scheme {scheme:?}"))),
    }
}

/// Takes the login out of `url`; what it asks to send.
pub(super) fn take_login(url: &mut Url, secrets: &mut Secrets) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    let password = url.password().unwrap_or("");
    let basic = STANDARD.encode(format!("{}:{}", decoded(url.username()), decoded(password)));
    for secret in [password, &decoded(password), &basic] {
        secrets.add(secret);
    }
    // Neither can fail: the URL has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(format!("Basic {basic}"))
}

pub(super) fn unavailable(error: reqwest::Error) -> Error {
    Error::Unavailable { what: "https".into(), reason: reason(&error) }
}

/// What lies below an error that says no more than that there is one.
fn reason(error: &reqwest::Error) -> String {
    error.source().map_or(error.to_string(), ToString::to_string)
}

//! [`Downloads`]: a stranger's URL to the bytes behind it, in bounded time and memory, and from nowhere
//! but the public internet.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, HeaderMap, LOCATION, USER_AGENT};
use reqwest::{Client, Response, Url};

use super::config::{CONNECT_TIMEOUT, ClientConfig, header_value};
use super::encoding::decoded;
use super::public::{NotPublic, PublicOnly, check_host};
use super::redirect::MAX_REDIRECTS;
use super::reply::retry_after;
use super::retry::RetryPolicy;
use super::secrets::Secrets;
use super::transport::{ProxyChoice, Transport, http_url, take_login};
use crate::error::chain::with_causes;
use crate::{Error, Result};

/// Downloads what third parties link to. Nothing of the caller's goes with a request: no key, header,
/// login or cookie, nor where the link was found.
pub(crate) struct Downloads {
    http: Client,
    headers: HeaderMap,
    max_bytes: usize,
    /// The longest that one attempt may take, and of it the opening of a connection.
    timeout: Duration,
    connect_timeout: Duration,
    retry: RetryPolicy,
    allows_private: bool,
    secrets: Secrets,
}

impl Downloads {
    /// Downloads of at most `max_bytes` each, with the user agent, time-out, retries, certificates and
    /// proxy of `config`; a proxy of the environment is not used, because it resolves names where nobody checks
    /// what they stand for.
    pub(crate) fn new(
        config: &ClientConfig,
        max_bytes: usize,
        allows_private: bool,
    ) -> Result<Self> {
        Self::with_resolver(config, max_bytes, allows_private, PublicOnly::system())
    }

    /// The same with what `resolver` says of names, where only public addresses are allowed.
    fn with_resolver(
        config: &ClientConfig,
        max_bytes: usize,
        allows_private: bool,
        resolver: PublicOnly,
    ) -> Result<Self> {
        let proxy = match &config.transport.proxy {
            ProxyChoice::At(url) => ProxyChoice::At(url.clone()),
            ProxyChoice::Environment | ProxyChoice::Direct => ProxyChoice::Direct,
        };
        let is_direct = matches!(proxy, ProxyChoice::Direct);
        let root_certificates = config.transport.root_certificates.clone();
        let transport = Transport { proxy, root_certificates, identity: None };
        let mut secrets = Secrets::default();
        let connect_timeout = config.timeout.min(CONNECT_TIMEOUT);
        let (mut http, _) = transport.builder(None, connect_timeout, &mut secrets)?;
        if is_direct && !allows_private {
            http = http.dns_resolver(resolver);
        }
        Ok(Self {
            http: http.build().map_err(super::transport::unavailable)?,
            headers: HeaderMap::from_iter([(
                USER_AGENT,
                header_value("user agent", &config.user_agent)?,
            )]),
            max_bytes,
            connect_timeout,
            timeout: config.timeout,
            retry: RetryPolicy { time_limit: config.timeout, ..config.retry },
            allows_private,
            secrets,
        })
    }

    /// The bytes at `url`, tried again while the error is [transient](Error::is_transient) and the
    /// settings allow. It needs the crate's own [runtime](super::run).
    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>> {
        let attempt = || async {
            let download = tokio::time::timeout(self.timeout, self.attempt(url)).await;
            download.unwrap_or_else(|_| Err(Error::timeout("the download", self.timeout)))
        };
        self.retry.run(Error::is_transient, attempt).await
    }

    async fn attempt(&self, url: &str) -> Result<Vec<u8>> {
        let mut url = http_url("address of a picture", url)?;
        for _ in 0..=MAX_REDIRECTS {
            let host = self.host(&mut url)?;
            let request = self.http.get(url.clone()).headers(self.headers.clone());
            let response = request.send().await.map_err(|error| self.transport(&host, error))?;
            let status = response.status();
            if status.is_success() {
                return self.body(&host, response).await;
            }
            let location = response.headers().get(LOCATION).filter(|_| status.is_redirection());
            let Some(location) = location else {
                let said = status.canonical_reason().unwrap_or("an unknown status");
                let error = Error::service(&host, status.as_u16(), said);
                return Err(match retry_after(response.headers()) {
                    Some(wait) => error.with_retry_after(wait),
                    None => error,
                });
            };
            let location = String::from_utf8_lossy(location.as_bytes());
            let next = url.join(&location).map_err(|error| {
                Error::invalid_reply(&host, "a redirection to a URL", format!("{error}"))
            })?;
            url = http_url("redirection", next.as_str())?;
        }
        let found =
            format!("more than {MAX_REDIRECTS}, the last to {}", url.host_str().unwrap_or("?"));
        Err(Error::invalid_reply(
            "the download",
            format!("at most {MAX_REDIRECTS} redirections"),
            found,
        ))
    }

    /// The host of `url`, from which a login is taken, where it may be connected to.
    fn host(&self, url: &mut Url) -> Result<String> {
        let _ = take_login(url, &mut Secrets::default());
        let host = url.host_str().unwrap_or_default().to_owned();
        if !self.allows_private {
            check_host(url).map_err(|error| not_public(&host, &error))?;
        }
        Ok(host)
    }

    async fn body(&self, host: &str, mut response: Response) -> Result<Vec<u8>> {
        let expected = || format!("a picture of at most {} bytes", self.max_bytes);
        let too_large = |found: String| Error::invalid_reply(host, expected(), found);
        if let Some(length) = response.content_length().filter(|n| *n > self.max_bytes as u64) {
            return Err(too_large(format!("{length} bytes")));
        }
        let encoding = response.headers().get(CONTENT_ENCODING);
        let encoding = encoding.and_then(|text| text.to_str().ok()).unwrap_or_default().to_owned();
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| self.transport(host, error))?
        {
            if chunk.len() > self.max_bytes - body.len() {
                return Err(too_large("more".into()));
            }
            body.extend_from_slice(&chunk);
        }
        match decoded(body, &encoding, self.max_bytes.saturating_add(1)) {
            (body, _) if body.len() > self.max_bytes => Err(too_large("more when unpacked".into())),
            (_, Some(error)) => {
                Err(Error::connection(host, cut(format!("its compressed body: {error}"))))
            }
            (body, None) => Ok(body),
        }
    }

    /// An error of the transport, with neither a foreign type nor a secret in it.
    fn transport(&self, host: &str, error: reqwest::Error) -> Error {
        let mut next = error.source();
        while let Some(cause) = next {
            if let Some(refused) = cause.downcast_ref::<NotPublic>() {
                return not_public(host, refused);
            }
            next = cause.source();
        }
        if error.is_timeout() {
            return Error::timeout(format!("connecting to {host}"), self.connect_timeout);
        }
        let is_connected = !error.is_connect();
        let error = error.without_url();
        let reason = self.secrets.hide(&with_causes(&error, error.source()));
        if is_connected {
            return Error::connection(host, cut(reason));
        }
        Error::connection(host, reason)
    }
}

/// That the server was reached and its reply broke off.
fn cut(reason: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, reason)
}

fn not_public(host: &str, refused: &NotPublic) -> Error {
    let advice = "set allow_private_addresses if pictures may come from there";
    Error::unavailable(host, format!("{refused}; {advice}"))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::executor::block_on;

    use super::*;
    use crate::net;

    #[test]
    fn a_name_of_this_machine_is_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let resolver = PublicOnly::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]) })
        });
        let config = ClientConfig::default();
        let downloads = Downloads::with_resolver(&config, 9, false, resolver).unwrap();
        let url = format!("http://pictures.example:{port}/x.png");
        let download = async move { downloads.get(&url).await };
        let error = block_on(net::run("the download", download)).unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }) && !error.is_transient(), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("pictures.example, which is at 127.0.0.1, is no address"), "{said}");
        assert!(said.contains("allow_private_addresses"), "{said}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "somebody came");
    }
}

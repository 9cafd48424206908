//! [`Client`]: a request to a service's reply, in bounded time and memory.

use std::error::Error as _;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder, Url};

use super::redirect::{place, target};
use super::reply::{Reply, Service};
use super::retry::RetryPolicy;
use super::stream::Body;
use super::transport::Transport;
use crate::error::{chain::with_causes, words::is_broken_off};
use crate::{Error, Result};

/// How much of an error's body is read, in bytes.
const MAX_ERROR: usize = 64 << 10;

/// Sees each piece of the body of a successful reply as it comes, and says when nothing of interest is
/// left to come.
pub(crate) type Watch = Box<dyn FnMut(&[u8]) -> ControlFlow<()> + Send>;

/// Nobody looks at a reply before it is whole.
pub(super) fn unwatched() -> Option<Watch> {
    None
}

/// A connection pool to one service, with what each request to it carries.
///
/// Its futures need the crate's own [runtime](super::run).
pub(crate) struct Client {
    pub(super) http: reqwest::Client,
    /// The way to what is not at the base URL.
    pub(super) transport: Transport,
    pub(super) base: Url,
    /// The key among them, marked as sensitive.
    pub(super) headers: HeaderMap,
    pub(super) service: Service,
    /// The longest reply that is read, in bytes.
    pub(super) max_reply: usize,
    /// The longest that one attempt may take, and of it the opening of the connection.
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) retry: RetryPolicy,
}

impl Client {
    /// The same with `advice` where nothing is at its base URL: what that should be.
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.service.advise(advice);
        self
    }

    /// Writes where the service is and a hash of `settings`, which tell apart two parts of one model. A
    /// hash, because gateways take keys in fields of the body.
    pub(crate) fn tell_settings(
        &self,
        f: &mut fmt::Formatter<'_>,
        settings: &impl fmt::Debug,
    ) -> fmt::Result {
        let hash = blake3::hash(format!("{settings:?}").as_bytes()).to_hex();
        write!(f, " at {}, settings {}", self.base_address(), &hash[..16])
    }

    /// The base URL without a login or a query, in which keys may stand.
    pub(crate) fn base_address(&self) -> String {
        let path = self.base.path().trim_end_matches('/');
        format!("{}{path}", self.base.origin().ascii_serialization())
    }

    /// The host of the base URL.
    pub(crate) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// The service, as errors name it.
    pub(crate) const fn service(&self) -> &Service {
        &self.service
    }

    /// What `read` makes of the JSON that `endpoint`, a path under the base URL, answers to the JSON
    /// `body`; asked again while its error is [transient](Error::is_transient) and the settings
    /// allow. `expected` says in errors what the reply should be.
    pub(crate) async fn post_json<T: Send>(
        &self,
        endpoint: &str,
        body: &str,
        expected: &str,
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        self.post(Error::is_transient, endpoint, body, expected, read).await
    }

    /// The same for work that must not be done twice: it is asked again only where the service says
    /// that it has not begun, or was not reached.
    pub(crate) async fn submit_json<T: Send>(
        &self,
        endpoint: &str,
        body: &str,
        expected: &str,
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        self.post(is_untaken, endpoint, body, expected, read).await
    }

    async fn post<T: Send>(
        &self,
        passes: fn(&Error) -> bool,
        endpoint: &str,
        body: &str,
        expected: &str,
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        let json = |request: RequestBuilder| {
            Ok(request.header(CONTENT_TYPE, "application/json").body(body.to_owned()))
        };
        let read = |reply: Reply| read(self.words(&reply, expected)?);
        self.attempts(passes, Method::POST, endpoint, json, &unwatched, read).await
    }

    /// The same as [`post_json`](Self::post_json) with what `with` puts into each attempt's request,
    /// while `watch`, made anew for each attempt, sees the reply as it comes. Links in the reply are as
    /// they came: who tells of its words hides the secrets in them.
    pub(crate) async fn post_watched<T: Send>(
        &self,
        endpoint: &str,
        with: impl Fn(RequestBuilder) -> Result<RequestBuilder> + Sync,
        expected: &str,
        watch: &(dyn Fn() -> Option<Watch> + Sync),
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        let read = |reply: Reply| read(reply.json(&self.service, expected)?);
        self.call(Method::POST, endpoint, with, watch, read).await
    }

    /// The JSON of a good reply, of which words are handed on, without the secrets.
    pub(super) fn words(&self, reply: &Reply, expected: &str) -> Result<Body> {
        Ok(reply.json(&self.service, expected)?.without(&self.service.secrets))
    }

    /// The same without a body, by GET.
    pub(crate) async fn get_json<T: Send>(
        &self,
        endpoint: &str,
        expected: &str,
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        let read = |reply: Reply| read(self.words(&reply, expected)?);
        self.call(Method::GET, endpoint, Ok, &unwatched, read).await
    }

    /// The same of a reply that may hold an error which is not one of this call, such as that of a job
    /// which is asked about.
    pub(crate) async fn get_state<T: Send>(
        &self,
        endpoint: &str,
        expected: &str,
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        let read = |mut reply: Reply| {
            reply.is_known_address = true;
            read(reply.body(&self.service, expected)?)
        };
        self.call(Method::GET, endpoint, Ok, &unwatched, read).await
    }

    /// Posts an empty JSON object once, to a service whose answer makes no difference.
    pub(crate) async fn notify(&self, endpoint: &str) {
        let request = self.http.post(self.url(endpoint)).header(CONTENT_TYPE, "application/json");
        let _ = self.send(request.headers(self.headers.clone()).body("{}"), None).await;
    }

    /// Where `endpoint` is.
    fn url(&self, endpoint: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(endpoint.split('/'));
        }
        url
    }

    /// What `read` makes of the reply to a request with what `with` puts into each attempt.
    pub(super) async fn call<T: Send>(
        &self,
        method: Method,
        endpoint: &str,
        with: impl Fn(RequestBuilder) -> Result<RequestBuilder> + Sync,
        watch: &(dyn Fn() -> Option<Watch> + Sync),
        read: impl Fn(Reply) -> Result<T> + Sync,
    ) -> Result<T> {
        self.attempts(Error::is_transient, method, endpoint, with, watch, read).await
    }

    /// The same, made again after errors that `passes`.
    async fn attempts<T: Send>(
        &self,
        passes: fn(&Error) -> bool,
        method: Method,
        endpoint: &str,
        with: impl Fn(RequestBuilder) -> Result<RequestBuilder> + Sync,
        watch: &(dyn Fn() -> Option<Watch> + Sync),
        read: impl Fn(Reply) -> Result<T> + Sync,
    ) -> Result<T> {
        let url = self.url(endpoint);
        let attempt = || async {
            let request = with(self.http.request(method.clone(), url.clone()))?;
            let request = request.headers(self.headers.clone());
            let mut reply = self.send(request, watch()).await?;
            reply.location = reply.location.map(|location| moved(&url, &location, endpoint));
            read(reply)
        };
        self.retry.run(passes, attempt).await
    }

    /// One attempt: the reply to `request`, whatever its status. Redirects are not followed, so that a
    /// key goes nowhere else.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        mut watch: Option<Watch>,
    ) -> Result<Reply> {
        let exchange = async {
            let mut response = request.send().await.map_err(|error| self.unreached(error))?;
            let mut reply = Reply::head(&response);
            let is_success = response.status().is_success();
            let most = if is_success { self.max_reply } else { MAX_ERROR };
            while let Some(chunk) = response.chunk().await.map_err(|error| self.unreached(error))? {
                reply.body.extend_from_slice(&chunk[..chunk.len().min(most - reply.body.len())]);
                if reply.body.len() == most {
                    reply.longer_than = Some(most);
                    break;
                }
                if is_success && watch.as_mut().is_some_and(|watch| watch(&chunk).is_break()) {
                    break;
                }
            }
            reply.decoded(&self.service, most)
        };
        let reply = tokio::time::timeout(self.timeout, exchange).await;
        reply.unwrap_or_else(|_| Err(self.timed_out("", self.timeout)))
    }

    /// An error of the transport, with neither a foreign type nor a secret in it.
    pub(super) fn unreached(&self, error: reqwest::Error) -> Error {
        if error.is_timeout() && error.is_connect() {
            return self.timed_out("connecting to ", self.connect_timeout);
        }
        let is_connected = !error.is_connect();
        let error = error.without_url();
        let reason = self.service.secrets.hide(&with_causes(&error, error.source()));
        if is_connected {
            return self.service.broke_off(reason);
        }
        Error::connection(&self.service.name, reason)
    }

    fn timed_out(&self, doing: &str, limit: Duration) -> Error {
        Error::Timeout { what: format!("{doing}{}", self.service.name), limit }
    }
}

/// Whether `error` is [transient](Error::is_transient), and of a service that was not reached or that
/// says it has not done what it was asked for.
fn is_untaken(error: &Error) -> bool {
    match error {
        Error::Connection { source, .. } => !is_broken_off(source),
        Error::Service { status, .. } => *status >= 400 && error.is_transient(),
        _ => false,
    }
}

/// Where `location` leads from `url`, and the base URL of `endpoint` there, if it is one.
fn moved(url: &Url, location: &str, endpoint: &str) -> String {
    let Ok(mut next) = target(url, location) else { return location.to_owned() };
    let base = next.path().trim_end_matches('/').strip_suffix(&format!("/{endpoint}"));
    let Some(base) = base.map(str::to_owned) else { return place(&next) };
    let told = place(&next);
    next.set_path(&base);
    let base = next.as_str().trim_end_matches('/');
    format!("{told}: set {base} as base_url")
}

impl fmt::Debug for Client {
    /// Without the URL, whose query may hold a key, and without the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.service.name)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

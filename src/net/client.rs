//! [`Client`]: a request to a service's reply, in bounded time and memory.

use std::error::Error as _;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::multipart::Form;
use reqwest::{Method, RequestBuilder, Url};

use super::reply::{Reply, Service};
use super::retry::RetryPolicy;
use super::stream::Body;
use super::transport::Transport;
use crate::error::chain::with_causes;
use crate::{Error, Result};

/// How much of an error's body is read, in bytes.
const MAX_ERROR: usize = 64 << 10;

/// Sees each piece of the body of a successful reply as it comes, and says when nothing of interest is
/// left to come.
pub(crate) type Watch = Box<dyn FnMut(&[u8]) -> ControlFlow<()> + Send>;

/// Nobody looks at a reply before it is whole.
fn unwatched() -> Option<Watch> {
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
        let json = |request: RequestBuilder| {
            Ok(request.header(CONTENT_TYPE, "application/json").body(body.to_owned()))
        };
        self.call(Method::POST, endpoint, json, expected, &unwatched, read).await
    }

    /// The same with a form of several parts (`multipart/form-data`), which `form` makes anew for each
    /// attempt.
    pub(crate) async fn post_form<T: Send>(
        &self,
        endpoint: &str,
        form: impl Fn() -> Result<Form> + Sync,
        expected: &str,
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        let sent = |request: RequestBuilder| Ok(request.multipart(form()?));
        self.call(Method::POST, endpoint, sent, expected, &unwatched, read).await
    }

    /// The same with what `with` puts into each attempt's request, while `watch`, made anew for each
    /// attempt, sees the reply as it comes.
    pub(crate) async fn post_watched<T: Send>(
        &self,
        endpoint: &str,
        with: impl Fn(RequestBuilder) -> Result<RequestBuilder> + Sync,
        expected: &str,
        watch: &(dyn Fn() -> Option<Watch> + Sync),
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        self.call(Method::POST, endpoint, with, expected, watch, read).await
    }

    /// The same without a body, by GET.
    pub(crate) async fn get_json<T: Send>(
        &self,
        endpoint: &str,
        expected: &str,
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        self.call(Method::GET, endpoint, Ok, expected, &unwatched, read).await
    }

    /// The same with what `with` puts into each attempt's request.
    async fn call<T: Send>(
        &self,
        method: Method,
        endpoint: &str,
        with: impl Fn(RequestBuilder) -> Result<RequestBuilder> + Sync,
        expected: &str,
        watch: &(dyn Fn() -> Option<Watch> + Sync),
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(endpoint.split('/'));
        }
        let attempt = || async {
            let request = with(self.http.request(method.clone(), url.clone()))?;
            let request = request.headers(self.headers.clone());
            let reply = self.send(request, watch()).await?;
            read(reply.json(&self.service, expected)?)
        };
        self.retry.run(Error::is_transient, attempt).await
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

impl fmt::Debug for Client {
    /// Without the URL, whose query may hold a key, and without the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.service.name)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

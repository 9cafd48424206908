//! One HTTP exchange: a conversation to the service's answer, in bounded time and memory.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, Url};

use super::reply::{self, Answer};
use super::request::{self, Dialect};
use crate::net::pictures::Pictures;
use crate::net::secrets::Secrets;
use crate::vlm::{ChatReply, ChatRequest};
use crate::{Error, Result, net};

/// The longest reply that is read, in bytes.
const MAX_REPLY: usize = 8 << 20;
/// How much of an error's body is read, in bytes.
const MAX_ERROR: usize = 64 << 10;

/// Everything one exchange needs.
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    pub(super) url: Url,
    /// The key among them, marked as sensitive.
    pub(super) headers: HeaderMap,
    /// The model and where it is, for errors.
    pub(super) service: String,
    pub(super) secrets: Secrets,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) dialect: Dialect,
    pub(super) pictures: Pictures,
}

impl Client {
    pub(super) fn model(&self) -> &str {
        &self.dialect.model
    }

    /// Sends the conversation once.
    pub(super) async fn ask(self: Arc<Self>, request: ChatRequest) -> Result<ChatReply> {
        let client = Arc::clone(&self);
        let body = net::run_blocking("encoding a request", move || {
            let body = request::body(&client.dialect, &client.pictures, &request)?;
            Ok(body.to_string())
        })
        .await?;
        let answer = tokio::time::timeout(self.timeout, self.exchange(body)).await;
        let answer = answer.unwrap_or_else(|_| Err(self.timed_out("", self.timeout)))?;
        reply::read(&answer, &self.service, &self.secrets)
    }

    async fn exchange(&self, body: String) -> Result<Answer> {
        let request = self.http.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let mut response = request.send().await.map_err(|error| self.transport(error))?;
        let mut answer = head(&response);
        let most = if response.status().is_success() { MAX_REPLY } else { MAX_ERROR };
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(error))? {
            answer.body.extend_from_slice(&chunk[..chunk.len().min(most - answer.body.len())]);
            if answer.body.len() == most {
                answer.longer_than = Some(most);
                break;
            }
        }
        Ok(answer)
    }

    /// An error of the transport, with neither a foreign type nor a secret in it.
    fn transport(&self, error: reqwest::Error) -> Error {
        if error.is_timeout() && error.is_connect() {
            return self.timed_out("connecting to ", self.connect_timeout);
        }
        let error = error.without_url();
        let mut causes = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes.dedup();
        let source = self.secrets.hide(&causes.join(": ")).into();
        Error::Connection { service: self.service.clone(), source }
    }

    fn timed_out(&self, doing: &str, limit: Duration) -> Error {
        Error::Timeout { what: format!("{doing}{}", self.service), limit }
    }
}

impl fmt::Debug for Client {
    /// Without the URL, whose query may hold a key, and without the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.service)
            .field("timeout", &self.timeout)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

/// Everything of an answer but its body.
fn head(response: &Response) -> Answer {
    let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    Answer {
        status: response.status().as_u16(),
        content_type: header(CONTENT_TYPE),
        location: header(LOCATION),
        retry_after: retry_after(response.headers()),
        body: Vec::new(),
        longer_than: None,
    }
}

/// The wait that a service asks for: seconds, an HTTP date, or `retry-after-ms`, which some send in
/// addition because it is finer.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |text: &str, unit: f64| {
        let seconds = text.parse::<f64>().ok().filter(|number| *number >= 0.0)? * unit;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    };
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    if let Some(wait) = text("retry-after-ms").and_then(|text| number(text, 1e-3)) {
        return Some(wait);
    }
    let text = text(RETRY_AFTER.as_str())?;
    number(text, 1.0).or_else(|| {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn asked(name: &'static str, value: &str) -> Option<Duration> {
        let name = HeaderName::from_static(name);
        retry_after(&HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]))
    }

    #[test]
    fn a_wait_is_read_in_every_form() {
        assert_eq!(asked("retry-after", "20"), Some(Duration::from_secs(20)));
        assert_eq!(asked("retry-after", " 1.5 "), Some(Duration::from_millis(1500)));
        assert_eq!(asked("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(asked("retry-after", "1e300"), Some(Duration::MAX));
        let past = asked("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(past, Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        let wait = asked("retry-after", &soon).unwrap().as_secs();
        assert!((80..=90).contains(&wait), "{wait} s");
        for nonsense in ["-1", "soon", "", "NaN"] {
            assert_eq!(asked("retry-after", nonsense), None, "{nonsense}");
        }
    }
}

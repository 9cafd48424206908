//! [`Reply`]: what a service answered to JSON, or to an error by its status, in whatever dialect it
//! says so.

use std::io;
use std::time::{Duration, SystemTime};

use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use serde_json::Value;

use super::encoding::decoded;
use super::error_body::{code, error_message, error_object, first_error, retry_delay};
use super::policy;
use super::quoted_pictures::without_pictures;
use super::secrets::Secrets;
use super::stream::{self, Body};
use crate::{Error, Result, lenient};

/// How much of a service's own words goes into an error, in characters.
pub(crate) const QUOTED: usize = 500;

/// Headers with the name of a request: OpenAI's, which vLLM has too, Anthropic's, and Azure's.
const REQUEST_IDS: [&str; 3] = ["x-request-id", "request-id", "apim-request-id"];

/// How much of a text is looked at for what is quoted of it, in characters.
const LOOKED_AT: usize = 64 << 10;

/// A service, as errors tell of it.
pub(crate) struct Service {
    /// What it is and where.
    pub(crate) name: String,
    /// What is left out of whatever is quoted from it.
    pub(crate) secrets: Secrets,
    /// What to do where nothing is at its base URL, if that looks wrong.
    pub(super) advice: Option<String>,
}

impl Service {
    /// A service that is called `name` and has no secrets.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), secrets: Secrets::default(), advice: None }
    }

    /// Says what to do where nothing is at its base URL, whatever that looks like.
    pub(super) fn advise(&mut self, advice: &str) {
        self.advice = Some(advice.to_owned());
    }

    /// `text` of the service as errors quote it: short, without secrets, and without pictures.
    fn quote(&self, text: &str) -> String {
        let start = text.char_indices().nth(LOOKED_AT).map_or(text, |(end, _)| &text[..end]);
        self.secrets.shorten(&without_pictures(start), QUOTED)
    }

    /// The error that the service tells of with `status` in words.
    pub(crate) fn failed(&self, status: u16, message: &str) -> Error {
        let message = self.quote(message);
        Error::Service { service: self.name.clone(), status, message, retry_after: None }
    }

    /// The error that a part of a body holds in a field `error`, or is. Its status is the code in it,
    /// or `status`.
    pub(crate) fn error_in(&self, body: &Value, status: u16) -> Option<Error> {
        let error = error_object(body)?;
        let mut message = error_message(body);
        if status < 300 && message.contains("endpoint") {
            message = self.advised(&message); // LM Studio's way to say 404.
        }
        Some(self.told(code(error).unwrap_or(status), &message, error, body))
    }

    /// The error of `status` in the words of `message`, by what its object `error` in a `body` says
    /// beside them: that a policy forbids the request, that no wait helps, as without credit, or how
    /// long to wait.
    fn told(&self, status: u16, message: &str, error: &Value, body: &Value) -> Error {
        if policy::declines(status, body, error, message) {
            let details = policy::details(error).map(|details| format!(" ({details})"));
            let message = format!("{message}{}", details.unwrap_or_default());
            return Error::refused(&self.name, self.quote(&message));
        }
        let failed = self.failed(status, message);
        // A bad request that says the same whatever is asked.
        let is_denied = matches!(status, 400 | 422) && policy::denies_access(error);
        let wait = (is_denied || policy::is_unpaid(error)).then_some(Duration::MAX);
        match wait.or_else(|| retry_delay(error)) {
            Some(wait) => failed.with_retry_after(wait),
            None => failed,
        }
    }

    /// The error of a reply that ended too early, for a `reason` without secrets.
    pub(crate) fn broke_off(&self, reason: String) -> Error {
        Error::connection(&self.name, io::Error::new(io::ErrorKind::UnexpectedEof, reason))
    }

    /// `message` of an address where the service is not, and what to do about it.
    fn advised(&self, message: &str) -> String {
        let advice = self.advice.iter().map(|advice| format!("; {advice}"));
        std::iter::once(self.secrets.shorten(message, QUOTED / 2)).chain(advice).collect()
    }

    /// The error of a reply that is not what was `expected`.
    pub(crate) fn invalid_reply(&self, expected: &str, found: &str) -> Error {
        Error::InvalidReply {
            service: self.name.clone(),
            expected: expected.into(),
            found: self.quote(found),
        }
    }
}

/// A reply as it came.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    status: u16,
    content_type: Option<String>,
    content_encoding: String,
    /// Where it sends to, as it came or as a URL.
    pub(super) location: Option<String>,
    /// Whether something is known to be at the address, so that a 404 says nothing of the base URL.
    pub(super) is_known_address: bool,
    retry_after: Option<Duration>,
    /// What the service calls the request, by which its owners find it.
    request_id: Option<String>,
    pub(super) body: Vec<u8>,
    /// Set where reading stopped after so many bytes.
    pub(super) longer_than: Option<usize>,
}

impl Reply {
    /// A reply without headers.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, ..Self::default() }
    }

    /// Everything of a reply but its body.
    pub(super) fn head(response: &Response) -> Self {
        let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let location = response.headers().get(LOCATION);
        Self {
            status: response.status().as_u16(),
            content_type: header(CONTENT_TYPE),
            content_encoding: header(CONTENT_ENCODING).unwrap_or_default(),
            location: location.map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned()),
            retry_after: retry_after(response.headers()),
            request_id: REQUEST_IDS
                .into_iter()
                .find_map(|name| Some(response.headers().get(name)?.to_str().ok()?.to_owned())),
            ..Self::default()
        }
    }

    const fn is_success(&self) -> bool {
        matches!(self.status, 200..300)
    }

    /// Where the reply sends to, if it does.
    pub(super) fn redirection(&self) -> Option<&str> {
        self.location.as_deref().filter(|_| matches!(self.status, 300..400))
    }

    /// The same reply with its body, of at most `most` bytes, decompressed.
    pub(crate) fn decoded(mut self, service: &Service, most: usize) -> Result<Self> {
        let body = std::mem::take(&mut self.body);
        let (body, error) = decoded(body, &self.content_encoding, most + 1);
        self.body = body;
        if self.body.len() > most {
            self.body.truncate(most);
            self.longer_than = Some(most);
        }
        match error {
            Some(error) if self.is_success() && self.longer_than.is_none() => {
                Err(service.broke_off(format!("its compressed body: {error}")))
            }
            _ => Ok(self), // Of an error, what can be read.
        }
    }

    /// The body as JSON. Where `service` says that it failed, by its status or in the body alone,
    /// that is the error.
    pub(crate) fn json(&self, service: &Service, expected: &str) -> Result<Body> {
        let body = self.body(service, expected)?;
        let values = match &body {
            Body::Whole(value) => std::slice::from_ref(value),
            Body::Stream(values, _) => values,
        };
        match values.iter().find_map(|value| service.error_in(value, self.status)) {
            Some(error) => Err(self.with_head(service, error)),
            None => Ok(body),
        }
    }

    /// The body as JSON, where the status is one of success, whatever it says.
    pub(super) fn body(&self, service: &Service, expected: &str) -> Result<Body> {
        if let (true, Some(longest)) = (self.is_success(), self.longer_than) {
            let found = format!("a body of more than {longest} bytes");
            return Err(service.invalid_reply(expected, &found));
        }
        let text = lenient::text(&self.body);
        let parsed = lenient::json::<Value>(&self.body);
        if !self.is_success() {
            return Err(self.failure(service, &text, parsed.ok().as_ref()));
        }
        if text.trim().is_empty() {
            return Err(self.with_head(service, service.failed(self.status, "an empty body")));
        }
        let error = match (parsed, stream::events(&text)) {
            (Ok(value), _) => return Ok(Body::Whole(value)),
            (Err(_), Some(stream)) => return Ok(stream),
            (Err(error), None) => error,
        };
        // A body without a length that ends in the middle.
        if error.is_eof() {
            return Err(service.broke_off(format!("its JSON ends after {} bytes", text.len())));
        }
        let kind = self.content_type.as_deref().unwrap_or("no content type");
        let said = match text.contains('\0') {
            true => format!("{} bytes that are no text", self.body.len()),
            false => plain_message(&text),
        };
        let mut found = format!("{said} ({kind})");
        if text.trim_start().starts_with('<') {
            found = service.advised(&found);
        }
        Err(service.invalid_reply(expected, &found))
    }

    /// The body as it is, of a file that errors call `what`.
    pub(super) fn bytes(self, service: &Service, what: &str) -> Result<Vec<u8>> {
        if !self.is_success() {
            let text = lenient::text(&self.body);
            let said = lenient::json::<Value>(&self.body).map(|body| error_message(&body));
            let said = said.unwrap_or_else(|_| plain_message(&text));
            let error = service.failed(self.status, &format!("{what}: {said}"));
            return Err(self.with_head(service, error));
        }
        match self.longer_than {
            Some(longest) => {
                let found = format!("more than {longest} bytes");
                Err(service.invalid_reply(what, &found))
            }
            None => Ok(self.body),
        }
    }

    /// The error of a reply with a status that is none of success.
    fn failure(&self, service: &Service, text: &str, parsed: Option<&Value>) -> Error {
        let mut message = match (parsed, &self.location) {
            (Some(body), _) => error_message(body),
            (None, Some(location)) => format!("redirected to {location}"),
            (None, None) => plain_message(text),
        };
        // Of a model that is not there, services say so.
        let is_elsewhere = matches!(self.status, 404 | 405) && !self.is_known_address;
        if is_elsewhere && !message.to_lowercase().contains("model") {
            message = service.advised(&message);
        }
        let body = parsed.unwrap_or(&Value::Null);
        let error = error_object(body).or_else(|| first_error(body)).unwrap_or(body);
        self.with_head(service, service.told(self.status, &message, error, body))
    }

    /// `error` with what the headers say: how the request is called, and the wait that they ask for, if
    /// they do and if it helps.
    fn with_head(&self, service: &Service, mut error: Error) -> Error {
        if let (
            Error::Service { message: words, .. } | Error::Refused { reason: words, .. },
            Some(id),
        ) = (&mut error, &self.request_id)
        {
            let id = service.secrets.shorten(id, QUOTED / 2);
            if !id.is_empty() && !words.contains(&id) {
                *words = format!("{words} (request {id})");
            }
        }
        match (&error, self.retry_after) {
            (Error::Service { retry_after: Some(Duration::MAX), .. }, _) | (_, None) => error,
            (_, Some(wait)) => error.with_retry_after(wait),
        }
    }
}

/// The wait that a service asks for: seconds, an HTTP date, or `retry-after-ms`, which some send in
/// addition because it is finer.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
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

/// What a body that is no JSON says: itself, or the title of a page.
fn plain_message(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "an empty body".into();
    }
    if !text.starts_with('<') {
        return text.to_owned();
    }
    let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    match title {
        Some((title, _)) => format!("an HTML page titled {:?}", title.trim()),
        None => "an HTML page".into(),
    }
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

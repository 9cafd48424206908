//! What went wrong to a reply in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use imagerag::Error;
use imagerag::pipeline::Stage;
use serde_json::{Value, json};

use super::images::TRACE;

/// What a client may do wrong, which no repetition mends.
const INVALID: &str = "invalid_request_error";
/// The longest that a client is asked to wait.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// A request that failed.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    message: Box<str>,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<Box<str>>,
    retry_after: Option<Duration>,
    /// Where the trace of what was done before is.
    pub(crate) trace: Option<Box<str>>,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        message: impl Into<Box<str>>,
    ) -> Self {
        let message = message.into();
        Self { status, message, kind, code: None, param: None, retry_after: None, trace: None }
    }

    /// 400: the request cannot be understood.
    pub(crate) fn invalid(message: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, message)
    }

    /// 400: the field `param` has a value that is not allowed.
    pub(crate) fn value(param: &str, expected: &str, found: impl std::fmt::Display) -> Self {
        Self::invalid(format!("{param}: expected {expected}, found {found}"))
            .with_code("invalid_value")
            .with_param(param)
    }

    /// 400: the field `param` is missing.
    pub(crate) fn missing(param: &str, expected: &str) -> Self {
        Self::invalid(format!("{param}: expected {expected}, found nothing"))
            .with_code("missing_required_parameter")
            .with_param(param)
    }

    /// 400: this server cannot do what the field `param` asks for.
    pub(crate) fn unsupported(param: &str, message: impl Into<Box<str>>) -> Self {
        Self::invalid(message).with_code("unsupported_parameter").with_param(param)
    }

    /// 401: the key is missing or another.
    pub(crate) fn unauthorized(found: &str) -> Self {
        let message = format!(
            "Authorization: expected `Bearer KEY` with the key of this server, which was started with \
             --api-key or IMAGERAG_API_KEY; found {found}"
        );
        Self::new(StatusCode::UNAUTHORIZED, INVALID, message).with_code("invalid_api_key")
    }

    /// 404: there is no such `what`.
    pub(crate) fn not_found(message: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, INVALID, message)
    }

    /// 413: the body has more than `most` bytes.
    pub(crate) fn too_large(most: usize) -> Self {
        let message = format!("the request's body: expected at most {most} bytes, found more");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID, message).with_code("request_too_large")
    }

    /// 408: the client has sent nothing for `patience`.
    pub(crate) fn too_slow(patience: Duration) -> Self {
        let seconds = patience.as_secs();
        let message =
            format!("the request's body: expected more of it within {seconds} s, found nothing");
        Self::new(StatusCode::REQUEST_TIMEOUT, INVALID, message).with_code("request_timeout")
    }

    /// 429: the bodies of other requests take up what may be held in memory.
    pub(crate) fn bodies_full() -> Self {
        let message = "the request's body: no room beside those of other requests: try again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message)
            .with_code("rate_limit_exceeded")
            .with_retry_after(Duration::from_secs(1))
    }

    /// 429: as many requests wait as may.
    pub(crate) fn queue_full(places: usize) -> Self {
        let message = format!("all {places} places of the queue are taken: try again later");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message)
            .with_code("rate_limit_exceeded")
            .with_retry_after(Duration::from_secs(1))
    }

    /// 503: the server is about to end.
    pub(crate) fn stopping() -> Self {
        let message = "the server is stopping: try again later, or elsewhere";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
            .with_code("server_stopping")
            .with_retry_after(Duration::from_secs(5))
    }

    /// 500: a fault of the server's.
    pub(crate) fn internal(message: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    pub(crate) const fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn with_param(mut self, param: &str) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The error with `sent` as its `param` in place of `name`.
    pub(crate) fn renamed(self, name: &str, sent: &str) -> Self {
        match self.param.as_deref() == Some(name) {
            true => self.with_param(sent),
            false => self,
        }
    }

    fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.min(MAX_WAIT));
        self
    }

    /// What a part failed with. `stage` is where in the loop; without a loop, a part was asked by itself.
    pub(crate) fn of(error: &Error, stage: Option<Stage>) -> Self {
        let said = match stage {
            Some(stage) if stage != Stage::Validate => format!("{stage} failed: {}", error.chain()),
            _ => error.chain().to_string(),
        };
        let server = |status| Self::new(status, "server_error", said.clone());
        match error {
            Error::InvalidInput { what, .. } if is_the_callers(stage) => {
                let invalid = Self::invalid(said).with_code("invalid_value");
                match param(what) {
                    Some(param) => invalid.with_param(param),
                    None => invalid,
                }
            }
            Error::Refused { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "image_generation_user_error", said)
                    .with_code("moderation_blocked")
            }
            Error::OutOfMemory { .. } => {
                server(StatusCode::INTERNAL_SERVER_ERROR).with_code("out_of_memory")
            }
            Error::Cancelled => Self::stopping(),
            Error::Unavailable { .. } => server(StatusCode::SERVICE_UNAVAILABLE),
            // A service behind this one that is too busy is not the caller's limit.
            Error::Service { status: 429 | 503, retry_after, .. } => {
                let error = server(StatusCode::SERVICE_UNAVAILABLE).with_code("upstream_busy");
                match retry_after {
                    Some(wait) if *wait < Duration::MAX => error.with_retry_after(*wait),
                    _ => error,
                }
            }
            // Repeating it would not mend it.
            Error::Service { status: 400 | 413 | 422, .. } => {
                Self::invalid(said).with_code("upstream_error")
            }
            Error::Service { .. }
            | Error::Connection { .. }
            | Error::InvalidReply { .. }
            | Error::AllFailed { .. } => {
                server(StatusCode::BAD_GATEWAY).with_code("upstream_error")
            }
            Error::Timeout { .. } => server(StatusCode::GATEWAY_TIMEOUT).with_code("timeout"),
            _ => server(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// The body.
    pub(crate) fn json(&self) -> Value {
        let Self { message, kind, code, param, .. } = self;
        let error = json!({ "message": message, "type": kind, "param": param, "code": code });
        match &self.trace {
            Some(trace) => json!({ "error": error, "trace": trace }),
            None => json!({ "error": error }),
        }
    }
}

/// Whether a value out of range, at this stage, came with the request.
const fn is_the_callers(stage: Option<Stage>) -> bool {
    use Stage::{Condition, Draft, Edit, Generate, Validate};
    matches!(stage, None | Some(Validate | Draft | Condition | Generate | Edit))
}

/// The field of a request that a part calls `what`.
fn param(what: &str) -> Option<&'static str> {
    Some(match what {
        "prompt" | "images that the prompt names" => "prompt",
        "negative prompt" => "negative_prompt",
        "steps" => "num_inference_steps",
        "guidance scale" => "guidance_scale",
        "width" | "height" | "size" | "image size" => "size",
        what if what.starts_with("caption of the caller's image") => "captions",
        "the caller's references" => "image",
        what if what.starts_with("references for") => "image",
        "picture" | "conditioning" => "image",
        _ => return None,
    })
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.json())).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let trace = self.trace.as_deref().map(HeaderValue::from_str);
        headers.extend(trace.and_then(Result::ok).map(|trace| (TRACE, trace)));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What a request ends with.
pub(crate) type ApiResult<T = Response> = Result<T, ApiError>;

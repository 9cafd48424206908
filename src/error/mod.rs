//! [`Error`]: every failure, with one variant for each thing that the caller can do about it.

mod access;
pub(crate) mod chain;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use chain::Chain;
use words::{numbered, shortened, unanswered, wait};

/// The source of an error from a library that stays out of our signatures.
///
/// ```
/// use imagerag::{BoxError, Error};
///
/// /// What a library of yours fails with, whatever its type.
/// fn failed(source: impl Into<BoxError>) -> Error {
///     Error::backend("my-model", source)
/// }
///
/// let chain = |error: Error| error.chain().to_string();
/// assert_eq!(chain(failed("no kernel")), "my-model failed: no kernel");
/// assert_eq!(chain(failed(std::fmt::Error)), format!("my-model failed: {}", std::fmt::Error));
/// ```
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Each variant names the thing, what was expected and what was found.
///
/// `Display` is one level: what failed. The cause is the `source()`, which has a `Display` of its
/// own. [`chain`](Self::chain) is all of it in one line.
///
/// A part of your own makes its errors with the constructors:
/// ```
/// use imagerag::Error;
///
/// let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
/// let error = Error::connection("my-service", reset);
/// assert_eq!(error.to_string(), "my-service could not be reached");
/// assert_eq!(error.chain().to_string(), "my-service could not be reached: connection reset");
/// assert!(error.is_transient());
/// ```
///
/// Each failure of a service has a constructor of its own, by what the caller can do about it:
/// ```
/// use std::time::Duration;
/// use imagerag::{Error, Result};
///
/// /// A number of stars, as a service of yours sends it.
/// fn stars(key: Option<&str>, status: u16, body: &str) -> Result<u8> {
///     const SERVICE: &str = "my-service"; // In a part: its `Display`.
///     if key.is_none() {
///         return Err(Error::unavailable(SERVICE, "set MY_SERVICE_KEY to your key"));
///     }
///     match status {
///         200 => body.parse().map_err(|_| Error::invalid_reply(SERVICE, "1 to 5", body)),
///         408 => Err(Error::timeout(SERVICE, Duration::from_secs(30))),
///         451 => Err(Error::refused(SERVICE, body)),
///         status => Err(Error::service(SERVICE, status, body)),
///     }
/// }
///
/// assert_eq!(stars(Some("key"), 200, "4")?, 4);
/// let error = stars(Some("key"), 200, "many").unwrap_err();
/// assert!(error.to_string().ends_with("expected 1 to 5, found many"), "{error}");
/// assert!(stars(Some("key"), 503, "").unwrap_err().is_transient());
/// assert!(!stars(Some("key"), 451, "policy").unwrap_err().is_transient());
/// assert!(stars(None, 200, "4").is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value the caller gave is out of its range. Change the call.
    #[error("{what}: expected {expected}, found {found}")]
    InvalidInput {
        /// The argument or setting, such as `steps` or `prompt`.
        what: String,
        /// The values that are allowed.
        expected: String,
        /// The value that was given.
        found: String,
    },

    /// The pipeline was built without a part it needs. Add the part.
    #[error("the pipeline needs a {part}: {hint}")]
    MissingPart {
        /// The part, such as `generator`.
        part: &'static str,
        /// The builder call that provides it.
        hint: &'static str,
    },

    /// Two parts that do not fit each other. Replace one of them.
    #[error("{left} does not fit {right}: expected {expected}, found {found}")]
    Incompatible {
        /// The part that consumes, by its `Display`.
        left: String,
        /// The part that provides, by its `Display`.
        right: String,
        /// What the first can take.
        expected: String,
        /// What the second gives.
        found: String,
    },

    /// A file or folder could not be read or written. Check the path.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// A file was read, and it does not hold what it should. Replace the file.
    #[error("{}: {what}: expected {expected}, found {found}", path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// The tensor, field or part of the file.
        what: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A device, library or network is not available on this machine.
    #[error("{what} is not available: {reason}")]
    Unavailable {
        /// The device, library or host.
        what: String,
        /// Why, and what to do about it.
        reason: String,
    },

    /// A remote service answered with an error.
    #[error("{service} answered {status}: {message}{}", wait(*retry_after))]
    Service {
        /// The service, by the `Display` of its part.
        service: String,
        /// The HTTP status code.
        status: u16,
        /// What the service said, shortened; never holds a key.
        message: String,
        /// How long the service asked callers to wait; [`Duration::MAX`] where no wait helps, as where
        /// the account is out of credit or a bad request is one for a key or model that is not known.
        retry_after: Option<Duration>,
    },

    /// A remote service could not be reached, or, where the source is a [`std::io::Error`] of the kind
    /// [`UnexpectedEof`](std::io::ErrorKind), broke off while it answered. The message says which.
    #[error("{service} {}", unanswered(source))]
    Connection {
        /// The service, by the `Display` of its part.
        service: String,
        /// What the transport said.
        source: BoxError,
    },

    /// Something took longer than it was allowed to.
    #[error("{what} took longer than {limit:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// The time that was allowed.
        limit: Duration,
    },

    /// A reply is complete but cannot be understood.
    #[error("{service} gave a reply that makes no sense: expected {expected}, found {found}")]
    InvalidReply {
        /// The service, by the `Display` of its part.
        service: String,
        /// What was asked for.
        expected: String,
        /// The reply, shortened.
        found: String,
    },

    /// A service understood the request and declines it, on grounds of its policy. The same request
    /// will be declined again: change the prompt or the images.
    #[error("{service} declines the request: {reason}")]
    Refused {
        /// The service, by the `Display` of its part.
        service: String,
        /// What the service said, shortened.
        reason: String,
    },

    /// A backend ran out of memory. Ask for less: a smaller image, VAE tiling, a 16-bit dtype,
    /// offload of networks, another device. The part still works, and its next call may succeed.
    #[error("{what} ran out of memory")]
    OutOfMemory {
        /// The backend and what it was doing.
        what: String,
        /// Size of the allocation that failed, in bytes, as exactly as the backend says.
        requested: Option<u64>,
        /// What the backend said, with the size and what is free.
        source: BoxError,
    },

    /// A backend failed while it worked: a failed kernel, a panic caught.
    #[error("{what} failed")]
    Backend {
        /// The backend and what it was doing.
        what: String,
        /// What the backend said.
        source: BoxError,
    },

    /// All parts that could have answered failed. Look at the error of each.
    #[error("every member of {what} failed: {}", numbered(errors))]
    AllFailed {
        /// The part that asks others, such as a [`Balance`](crate::middleware::Balance), by its
        /// `Display`.
        what: String,
        /// What the others said, in their order.
        errors: Vec<Self>,
    },

    /// The work was cancelled before it ended.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// An [`Error::InvalidInput`].
    pub fn invalid_input(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::InvalidInput {
            what: what.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// An [`Error::Io`] of the file at `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// An [`Error::InvalidFile`].
    pub fn invalid_file(
        path: impl AsRef<Path>,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::InvalidFile {
            path: path.as_ref().to_owned(),
            what: what.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// An [`Error::Incompatible`] of a part that consumes (`left`) and one that provides (`right`).
    pub fn incompatible(
        left: impl ToString,
        right: impl ToString,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        let (left, right, found) = (left.to_string(), right.to_string(), found.to_string());
        Self::Incompatible { left, right, expected: expected.into(), found }
    }

    /// An [`Error::Unavailable`].
    pub fn unavailable(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unavailable { what: what.into(), reason: reason.into() }
    }

    /// An [`Error::Service`]: `service`, a part by its `Display`, answered with the HTTP `status`.
    /// `message` is shortened to 2,000 characters; keep keys out of it.
    pub fn service(service: impl fmt::Display, status: u16, message: impl fmt::Display) -> Self {
        let (service, message) = (service.to_string(), shortened(&message.to_string()));
        Self::Service { service, status, message, retry_after: None }
    }

    /// The same error, with how long the service asked callers to wait. It changes nothing but an
    /// [`Error::Service`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use imagerag::Error;
    ///
    /// let busy = Error::service("my-service", 429, "slow down");
    /// let error = busy.with_retry_after(Duration::from_secs(2));
    /// assert!(matches!(error, Error::Service { retry_after: Some(_), .. }));
    /// ```
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        if let Self::Service { retry_after, .. } = &mut self {
            *retry_after = Some(wait);
        }
        self
    }

    /// An [`Error::Connection`] to `service`, a part by its `Display`. The kind `UnexpectedEof` of a
    /// [`std::io::Error`] says that the service was reached.
    ///
    /// ```
    /// let half = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    /// let error = imagerag::Error::connection("my-service", half);
    /// assert_eq!(error.to_string(), "my-service was reached, but its reply broke off");
    /// ```
    pub fn connection(service: impl fmt::Display, source: impl Into<BoxError>) -> Self {
        Self::Connection { service: service.to_string(), source: source.into() }
    }

    /// An [`Error::Timeout`] of `what`, such as a part by its `Display`, after `limit`.
    pub fn timeout(what: impl fmt::Display, limit: Duration) -> Self {
        Self::Timeout { what: what.to_string(), limit }
    }

    /// An [`Error::InvalidReply`] of `service`, a part by its `Display`. `found` is shortened to
    /// 2,000 characters.
    pub fn invalid_reply(
        service: impl fmt::Display,
        expected: impl Into<String>,
        found: impl fmt::Display,
    ) -> Self {
        let (service, found) = (service.to_string(), shortened(&found.to_string()));
        Self::InvalidReply { service, expected: expected.into(), found }
    }

    /// An [`Error::Refused`] by `service`, a part by its `Display`. `reason` is shortened to 2,000
    /// characters.
    pub fn refused(service: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Refused { service: service.to_string(), reason: shortened(&reason.to_string()) }
    }

    /// An [`Error::Backend`].
    pub fn backend(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Backend { what: what.into(), source: source.into() }
    }

    /// Writes the error and all its causes in one line: `a: b: c`.
    pub fn chain(&self) -> Chain<'_> {
        Chain::new(self)
    }

    /// How long to wait before the same call, where that was asked for. Of several parts that failed
    /// all must have asked, and the shortest wait counts.
    pub(crate) fn asked_wait(&self) -> Option<Duration> {
        match self {
            Self::Service { retry_after, .. } => *retry_after,
            Self::AllFailed { errors, .. } => {
                let waits: Option<Vec<Duration>> = errors.iter().map(Self::asked_wait).collect();
                waits?.into_iter().min()
            }
            _ => None,
        }
    }

    /// Whether the same call may succeed a little later: time-outs, broken connections, the statuses
    /// 408, 409, 425, 429 and 5xx, and 2xx of a service that reports success and gives an error or
    /// nothing; of these statuses none whose [`retry_after`](Error::Service::retry_after) is
    /// [`Duration::MAX`]. Where several parts failed, it is enough if this holds for one of them.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Connection { .. } => true,
            Self::Service { retry_after: Some(Duration::MAX), .. } => false,
            Self::Service { status, .. } => {
                matches!(status, 200..300 | 408 | 409 | 425 | 429 | 500..600)
            }
            Self::AllFailed { errors, .. } => errors.iter().any(Self::is_transient),
            _ => false,
        }
    }
}

/// # Errors
/// [`Error::InvalidInput`] when `value` is 0.
pub(crate) fn at_least_one(what: &str, value: usize) -> Result<()> {
    require(value > 0, what, "at least 1", value)
}

/// Refuses what is not valid as [`Error::InvalidInput`].
pub(crate) fn require(
    is_valid: bool,
    what: impl Into<String>,
    expected: impl Into<String>,
    found: impl ToString,
) -> Result<()> {
    if is_valid { Ok(()) } else { Err(Error::invalid_input(what, expected, found)) }
}

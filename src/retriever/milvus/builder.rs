//! [`MilvusBuilder`]: settings of a connection to Milvus.

use std::fmt;
use std::time::Duration;

use milvus::v2::prelude::{ClientV2, ConnectConfig, RetryConfig, TelemetryConfig};
use tokio::net::TcpStream;

use super::client::{About, Client};
use super::{Consistency, Milvus};
use crate::{Error, Result, net};

/// The port of Milvus where the address names none.
const PORT: u16 = 19_530;

/// Settings of a connection to Milvus.
///
/// ```no_run
/// # async fn connect() -> imagerag::Result<()> {
/// use std::time::Duration;
/// use imagerag::retriever::{Consistency, Milvus, MilvusBuilder};
///
/// fn cluster() -> MilvusBuilder {
///     Milvus::builder("https://milvus.internal").database("birds").timeout(Duration::from_secs(5))
/// }
///
/// let login = std::env::var("MILVUS_TOKEN").unwrap_or_default();
/// let writer = cluster().token(&login).patience(Duration::from_secs(60)).connect().await?;
/// // Searches need not see the last seconds.
/// let reader = cluster().token(login).consistency(Consistency::Bounded).connect().await?;
/// # Ok(())
/// # }
/// ```
pub struct MilvusBuilder {
    address: String,
    token: Option<String>,
    database: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
    patience: Duration,
    consistency: Consistency,
}

impl MilvusBuilder {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            token: None,
            database: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            patience: Duration::from_secs(10),
            consistency: Consistency::default(),
        }
    }

    /// Logs in with `name:password` or an API key. It is in no `Debug` and in no error.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The database; `default` unless it is set.
    #[must_use]
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.database = Some(name.into());
        self
    }

    /// How long connecting may take; 5 seconds unless it is set.
    #[must_use]
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long one attempt of a call may take; 30 seconds unless it is set.
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// For how long a call is retried while the server cannot be reached, for example because it
    /// restarts; 10 seconds by default. Zero tries once.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The consistency level of searches; [`Consistency`] names the default.
    #[must_use]
    pub const fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the address, the token or the database's name cannot be one;
    /// [`Error::Connection`] when no server listens there; [`Error::Timeout`] when the server does not
    /// answer; [`Error::Service`] when the login is refused.
    pub async fn connect(self) -> Result<Milvus> {
        let (address, host, port) = parse(&self.address)?;
        let limit = self.connect_timeout;
        let about = About { address, timeout: self.timeout, patience: self.patience };
        let consistency = self.consistency;
        net::run("connecting to Milvus", async move {
            let timed_out = || Error::Timeout { what: format!("connecting to {about}"), limit };
            // Milvus' own client says of a closed port what it says of a slow server.
            let reached = tokio::time::timeout(limit, TcpStream::connect((host, port))).await;
            reached.map_err(|_| timed_out())?.map_err(|error| about.unreachable(error))?;
            let config = self.config(&about.address);
            let sdk = tokio::time::timeout(limit, ClientV2::new(&config)).await;
            let sdk = sdk.map_err(|_| timed_out())?.map_err(|error| match about.error(error) {
                Error::Timeout { .. } => timed_out(),
                other => other,
            })?;
            Ok(Milvus { client: Client { sdk, about }, consistency })
        })
        .await
    }

    /// The same settings in the words of Milvus' own client, which is to try everything once.
    fn config(&self, address: &str) -> ConnectConfig {
        let mut config = ConnectConfig::new()
            .uri(address)
            .connect_timeout(self.connect_timeout)
            .rpc_timeout(self.timeout)
            .retry(RetryConfig::new().max_attempts(1))
            .telemetry(TelemetryConfig::new().enabled(false));
        if let Some(token) = &self.token {
            config = config.token(token);
        }
        if let Some(database) = &self.database {
            config = config.database(database);
        }
        config
    }
}

impl fmt::Debug for MilvusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MilvusBuilder")
            .field("database", &self.database)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("patience", &self.patience)
            .field("consistency", &self.consistency)
            .finish_non_exhaustive()
    }
}

/// The address with its port, its host, and the port.
fn parse(given: &str) -> Result<(String, String, u16)> {
    // What was given is not quoted: it may hold a login.
    let invalid = |found: &str| {
        let expected = "http://HOST:PORT or https://HOST:PORT, the login as a token";
        Error::invalid_input("address of Milvus", expected, found)
    };
    let (scheme, rest) = given.trim().split_once("://").ok_or_else(|| invalid("no scheme"))?;
    let usual = match scheme {
        "http" => PORT,
        "https" => 443,
        _ => return Err(invalid("another scheme")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) || authority.contains(char::is_whitespace) {
        return Err(invalid("more than a host and a port"));
    }
    // The colons of [::1] are no port's.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| invalid("a port that is no number"))?)
        }
        _ => (authority, usual),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.is_empty() {
        return Err(invalid("no host"));
    }
    Ok((format!("{scheme}://{host}:{port}"), bare.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (given, address, host, port) in [
            ("http://localhost:19530", "http://localhost:19530", "localhost", 19_530),
            ("http://milvus/", "http://milvus:19530", "milvus", 19_530),
            ("https://zillizcloud.com", "https://zillizcloud.com:443", "zillizcloud.com", 443),
            ("http://[::1]:7", "http://[::1]:7", "::1", 7),
            ("http://[::1]", "http://[::1]:19530", "::1", 19_530),
        ] {
            assert_eq!(parse(given).unwrap(), (address.into(), host.into(), port), "{given}");
        }
        for wrong in [
            "",
            "localhost:19530",
            "ftp://x:1",
            "http://",
            "http://x:port",
            "http://x/y",
            "http://a b",
        ] {
            assert!(matches!(parse(wrong), Err(Error::InvalidInput { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn no_login_is_told() {
        let error = parse("http://root:secret@localhost:19530").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        let builder = MilvusBuilder::new("http://root:secret@localhost".into()).token("secret");
        assert!(!format!("{builder:?}").contains("secret"));
    }
}

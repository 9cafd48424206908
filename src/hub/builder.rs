//! Settings and the environment to a [`Hub`], checked before anything is fetched.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hf_hub::{HFClient, HFError};

use super::Hub;
use super::fetch::Fetch;
use super::progress::{DownloadProgress, Listener};
use crate::error::require;
use crate::net::secrets::Secrets;
use crate::{Error, Result};

/// Settings of a [`Hub`]; what is not set comes from the environment.
///
/// ```no_run
/// use std::time::Duration;
/// use imagerag::hub::{Hub, HubBuilder};
///
/// /// The company's mirror, with a cache that all machines share.
/// fn mirror() -> HubBuilder {
///     Hub::builder()
///         .endpoint("https://hub.internal")
///         .cache("/mnt/models")
///         .stall_timeout(Duration::from_secs(20))
/// }
///
/// let hub = mirror().token(std::env::var("MIRROR_TOKEN").unwrap_or_default()).build()?;
/// let cached = mirror().offline(true).build()?; // Takes what is there.
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct HubBuilder {
    endpoint: Option<String>,
    token: Option<String>,
    cache: Option<PathBuf>,
    stall: Option<Duration>,
    retries: Option<usize>,
    variant: Option<String>,
    offline: Option<bool>,
    listener: Option<Listener>,
}

impl HubBuilder {
    /// Where the hub is; `HF_ENDPOINT`, and else `https://huggingface.co`, by default.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// The token for private and gated repositories; `HF_TOKEN`, and else the one that was stored by
    /// logging in, by default.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The folder that downloads go to; `HF_HUB_CACHE`, and else `hub` in `HF_HOME`, by default.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// How long nothing may move before a download is given up; one minute by default.
    pub const fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall = Some(timeout);
        self
    }

    /// How often a request that failed in passing is tried again; 5 times by default.
    pub const fn max_retries(mut self, retries: usize) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Fetches the weights in full precision where the `fp16` variant is there too. Off by default.
    pub fn full_precision(mut self, yes: bool) -> Self {
        self.variant = yes.then(String::new);
        self
    }

    /// Fetches this variant of the weights, such as `bf16` or `non_ema`, where a repository has
    /// several; `fp16` by default. Where it is not there, the weights without a variant are fetched,
    /// and else the most precise variant.
    pub fn variant(mut self, variant: impl Into<String>) -> Self {
        self.variant = Some(variant.into());
        self
    }

    /// Uses the cache alone; `HF_HUB_OFFLINE` by default.
    pub const fn offline(mut self, yes: bool) -> Self {
        self.offline = Some(yes);
        self
    }

    /// Told how far a download is. Called from the thread that downloads, so it should return soon.
    pub fn on_progress(
        mut self,
        listener: impl Fn(&DownloadProgress) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// The hub. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an endpoint that is no `http` or `https` URL or a time of zero;
    /// [`Error::Unavailable`] when the machine has no certificates to check `https` with.
    pub fn build(self) -> Result<Hub> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let stall = self.stall.unwrap_or(Duration::from_secs(60));
        require(!stall.is_zero(), "stall timeout", "more than 0 s", "0 s")?;
        let token = self.token.filter(|token| !token.is_empty());
        // The client finds the token by itself; what is known here is kept out of errors.
        let stored = || std::fs::read_to_string(hf_hub::hf_home().join("token")).ok();
        let known_token = token.clone().or_else(|| variable("HF_TOKEN")).or_else(stored);
        let mut secrets = Secrets::default();
        secrets.add(known_token.as_deref().unwrap_or("").trim());
        let mut client = HFClient::builder()
            .user_agent(concat!("imagerag/", env!("CARGO_PKG_VERSION")))
            .retry_max_attempts(self.retries.unwrap_or(5));
        if let Some(endpoint) = self.endpoint {
            client = client.endpoint(endpoint);
        }
        if let Some(token) = token {
            client = client.token(token);
        }
        if let Some(cache) = self.cache {
            client = client.cache_dir(cache);
        }
        let endpoint = |found: String| Error::invalid_input("HF_ENDPOINT", "an http(s) URL", found);
        let client = client.build().map_err(|error| match error {
            HFError::Url(error) => endpoint(error.to_string()),
            other => Error::Unavailable { what: "https".into(), reason: other.to_string() },
        })?;
        if !["http://", "https://"].iter().any(|scheme| client.endpoint().starts_with(scheme)) {
            return Err(endpoint(client.endpoint().to_owned()));
        }
        let truthy = |value: String| {
            !matches!(value.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off")
        };
        Ok(Hub(Fetch {
            client,
            secrets,
            looked_here: false,
            stall,
            variant: self.variant.unwrap_or_else(|| "fp16".into()),
            offline: self.offline.unwrap_or_else(|| variable("HF_HUB_OFFLINE").is_some_and(truthy)),
            listener: self.listener,
        }))
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, cache, .. } = self;
        f.debug_struct("HubBuilder")
            .field("endpoint", endpoint)
            .field("cache", cache)
            .finish_non_exhaustive()
    }
}

//! [`SdServerBuilder`]: settings of an [`SdServer`], checked before anything is sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::lock::Mutex;

use super::request::{Lora, References, SdGuidance, Settings};
use super::{NAME, ROOT, SdServer, Shared};
use crate::Result;
use crate::error::{at_least_one, require};
use crate::net::config::{Api, ClientConfig, Key, json_fields};
use crate::net::settings::client_settings;

const API: Api = Api {
    // The port that sd-server listens on unless it is told.
    default_url: "http://localhost:1234",
    base_url_variable: "SD_SERVER_BASE_URL",
    api_key_variable: "SD_SERVER_API_KEY",
    key: Key::Bearer,
    endpoint: ROOT,
    max_reply: 128 << 20,
};

/// Settings of an [`SdServer`]; each setter names its default.
///
/// ```
/// use std::time::Duration;
/// use imagerag::generator::{References, SdGuidance, SdServer};
///
/// // FLUX.1 Kontext on a machine without a GPU.
/// let generator = SdServer::builder()
///     .base_url("http://10.0.0.5:1234")
///     .references(References::RefImages)
///     .guidance(SdGuidance::Distilled)
///     .sampler("euler")
///     .lora("style.safetensors", 0.8)
///     .field("vae_tiling_params", r#"{"enabled": true}"#)
///     .job_timeout(Duration::from_secs(4 * 3600))
///     .build()?;
/// assert_eq!(generator.to_string(), "sd-server");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct SdServerBuilder {
    client: ClientConfig,
    settings: Settings,
    fields: Vec<(String, String)>,
    concurrency: usize,
    job_timeout: Duration,
    poll_interval: Duration,
}

impl SdServer {
    /// Settings of a server.
    pub fn builder() -> SdServerBuilder {
        SdServerBuilder {
            client: ClientConfig::default(),
            settings: Settings::default(),
            fields: Vec::new(),
            concurrency: 2,
            job_timeout: Duration::from_secs(3600),
            poll_interval: Duration::from_secs(1),
        }
    }
}

impl SdServerBuilder {
    /// The root of the server. By default the environment variable `SD_SERVER_BASE_URL`, or
    /// `http://localhost:1234` if that is not set.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.client.base_url = Some(url.into());
        self
    }

    /// The key, sent as `Authorization: Bearer …`, for a proxy before the server, which itself asks
    /// for none; with an empty key nothing is sent. By default the environment variable
    /// `SD_SERVER_API_KEY`, or no key if that is not set.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.client.api_key = Some(key.into());
        self
    }

    /// The longest that one exchange with the server may take, from opening the connection to the
    /// last byte; 2 minutes by default. Drawing is not part of one: see
    /// [`job_timeout`](Self::job_timeout).
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.client.timeout = timeout;
        self
    }

    client_settings!();

    /// The longest that an image may take, from its place in the server's queue to the end, more
    /// than 0; one hour by default. The job is cancelled then.
    pub const fn job_timeout(mut self, timeout: Duration) -> Self {
        self.job_timeout = timeout;
        self
    }

    /// The longest wait between two questions about a job; one second by default. The first waits
    /// are shorter.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// How many images of one call wait in the server's queue at a time, at least 1; 2 by default,
    /// so that the server never waits for the next. It draws one at a time.
    pub const fn concurrency(mut self, images: usize) -> Self {
        self.concurrency = images;
        self
    }

    /// How references are given to the model; [`References::Auto`] by default.
    pub const fn references(mut self, references: References) -> Self {
        self.settings.references = references;
        self
    }

    /// The weight of the reference of an IP-Adapter, at least 0: 0 means none, 1 as trained. The
    /// paper uses 0.5. By default what the server was started with, or 1.
    pub const fn ip_adapter_strength(mut self, strength: f64) -> Self {
        self.settings.ip_adapter_strength = Some(strength);
        self
    }

    /// What a request's guidance scale means to the model; [`SdGuidance::Auto`] by default.
    pub const fn guidance(mut self, guidance: SdGuidance) -> Self {
        self.settings.guidance = guidance;
        self
    }

    /// The sampler, such as `euler` or `dpm++2m`. By default what the server was started with, or
    /// the model's.
    pub fn sampler(mut self, name: impl Into<String>) -> Self {
        self.settings.sampler = Some(name.into());
        self
    }

    /// The scheduler of the noise, such as `discrete` or `karras`. By default what the server was
    /// started with, or the model's.
    pub fn scheduler(mut self, name: impl Into<String>) -> Self {
        self.settings.scheduler = Some(name.into());
        self
    }

    /// A LoRA of the server's folder (`--lora-model-dir`), by its path under it or its name, and
    /// its weight: 1 as trained. May be called several times. None by default.
    pub fn lora(mut self, name: impl Into<String>, weight: f64) -> Self {
        self.settings.loras.push(Lora { name: name.into(), weight });
        self
    }

    /// The most pixels, width times height, of a reference that is sent, at least 1; larger ones
    /// are scaled down, and [`Drawn::note`](crate::generator::Drawn::note) says so. 1,048,576 by
    /// default: the server scales references to the size of the image.
    pub const fn max_reference_pixels(mut self, pixels: u64) -> Self {
        self.settings.max_reference_pixels = pixels;
        self
    }

    /// A further field of every job, as JSON: `field("clip_skip", "2")`. It is put before what is
    /// set here, field by field: `field("sample_params", r#"{"eta": 1.0}"#)` changes nothing else
    /// of the sampler.
    pub fn field(mut self, name: impl Into<String>, json: impl Into<String>) -> Self {
        self.fields.push((name.into(), json.into()));
        self
    }

    /// The generator. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for an address or a proxy that is no
    /// `http` or `https` URL, a key or header that HTTP cannot carry, a certificate that is not in
    /// PEM, a field that is no JSON, or a number out of its range;
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the machine has no certificates to
    /// check `https` with.
    pub fn build(mut self) -> Result<SdServer> {
        let settings = &mut self.settings;
        let strength = settings.ip_adapter_strength;
        let fits = strength.is_none_or(|strength| (0.0..f64::INFINITY).contains(&strength));
        let found = strength.unwrap_or_default();
        require(fits, "strength of the IP-Adapter", "a finite number of at least 0", found)?;
        for lora in &settings.loras {
            let what = format!("weight of the LoRA {:?}", lora.name);
            require(lora.weight.is_finite(), what, "a finite number", lora.weight)?;
        }
        require(settings.max_reference_pixels > 0, "pixels of a reference", "at least 1", 0)?;
        at_least_one("requests at a time", self.concurrency)?;
        for (what, time) in
            [("job time-out", self.job_timeout), ("poll interval", self.poll_interval)]
        {
            require(!time.is_zero(), what, "more than 0 s", "0 s")?;
        }
        settings.fields = json_fields(&self.fields)?;
        let client = self.client.build(&API, NAME)?;
        Ok(SdServer(Arc::new(Shared {
            client: client.with_advice(
                "is base_url right? it is the root of an sd-server, such as http://localhost:1234",
            ),
            settings: self.settings,
            concurrency: self.concurrency,
            job_timeout: self.job_timeout,
            poll_interval: self.poll_interval,
            capabilities: Mutex::new(None),
        })))
    }
}

impl fmt::Debug for SdServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdServerBuilder").finish_non_exhaustive()
    }
}

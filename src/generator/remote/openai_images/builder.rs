//! [`OpenAiImagesBuilder`]: settings of an [`OpenAiImages`], checked before anything is sent.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value};

use super::profile::ImagesProfile;
use super::request::{Defaults, GENERATIONS};
use super::{OpenAiImages, Shared};
use crate::error::{at_least_one, require};
use crate::net::config::{Api, ClientConfig, Key};
use crate::net::settings::client_settings;
use crate::{Error, Result};

const API: Api = Api {
    default_url: "https://api.openai.com/v1",
    base_url_variable: "OPENAI_BASE_URL",
    api_key_variable: "OPENAI_API_KEY",
    key: Key::Bearer,
    endpoint: GENERATIONS,
    // An image of 8.3 megapixels as PNG in base64 has up to 33 MB, and a stream has several.
    max_reply: 128 << 20,
};

/// The most partial images of a stream: OpenAI's reference of `partial_images`.
const MAX_PARTIAL_IMAGES: u8 = 3;

/// Settings of an [`OpenAiImages`]; each setter names its default.
///
/// ```
/// use imagerag::generator::{ImagesProfile, OpenAiImages};
///
/// // vLLM-Omni on this machine: the profile is known by the address.
/// let local = OpenAiImages::builder("Qwen/Qwen-Image-Edit-2511")
///     .base_url("http://localhost:8091/v1")
///     .true_cfg_scale(true)
///     .field("lora", r#"{"name": "watercolour", "path": "/loras/watercolour"}"#)
///     .build()?;
/// assert_eq!(local.profile(), ImagesProfile::SelfHosted);
///
/// // OpenAI.
/// let hosted = OpenAiImages::builder("gpt-image-2")
///     .base_url("https://api.openai.com/v1")
///     .api_key("sk-...")
///     .quality("low")
///     .build()?;
/// assert_eq!(hosted.profile(), ImagesProfile::OpenAi);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct OpenAiImagesBuilder {
    model: String,
    client: ClientConfig,
    profile: Option<ImagesProfile>,
    settings: Map<String, Value>,
    input_fidelity: Option<String>,
    fields: Vec<(String, String)>,
    true_cfg_scale: bool,
    max_references: usize,
    max_reference_pixels: u64,
    partial_images: u8,
    concurrency: usize,
    adapt_parameters: bool,
}

impl OpenAiImages {
    /// Settings for the model called `model`, such as `gpt-image-2` or `Qwen/Qwen-Image-Edit-2511`.
    pub fn builder(model: impl Into<String>) -> OpenAiImagesBuilder {
        OpenAiImagesBuilder {
            model: model.into(),
            client: ClientConfig { timeout: Duration::from_secs(300), ..ClientConfig::default() },
            profile: None,
            settings: Map::new(),
            input_fidelity: None,
            fields: Vec::new(),
            true_cfg_scale: false,
            max_references: 16,
            max_reference_pixels: 8_294_400,
            partial_images: 2,
            concurrency: 4,
            adapt_parameters: true,
        }
    }
}

impl OpenAiImagesBuilder {
    /// The URL of the service, without `/images/generations`; what follows a `?` in it, such as Azure's
    /// `api-version`, is sent with each request. By default the environment variable
    /// `OPENAI_BASE_URL`, or OpenAI itself if that is not set.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.client.base_url = Some(url.into());
        self
    }

    /// The key, sent as `Authorization: Bearer …`; with an empty key nothing is sent. By default
    /// the environment variable `OPENAI_API_KEY`, or no key if that is not set. Azure's key goes into
    /// [`header`](Self::header), as `api-key`.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.client.api_key = Some(key.into());
        self
    }

    /// The longest that one attempt may take, from opening the connection to the last byte;
    /// 5 minutes by default. OpenAI draws for up to some minutes at the highest quality.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.client.timeout = timeout;
        self
    }

    client_settings!();

    /// Which fields the service takes. By default it is [`ImagesProfile::OpenAi`] for the hosts
    /// `api.openai.com`, `openai.azure.com`, `services.ai.azure.com`, `cognitiveservices.azure.com` and
    /// those below them, and anywhere for models that are called `gpt-image…`, `chatgpt-image…` or
    /// `dall-e…`, also with a provider before it, as in `openai/gpt-image-2`;
    /// [`ImagesProfile::SdServer`] for the model `sd-cpp-local`; and [`ImagesProfile::SelfHosted`] for
    /// all others.
    pub const fn profile(mut self, profile: ImagesProfile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// The `quality` of every image, such as `low`, `medium`, `high` or, from `gpt-image-2.5` on, `max`:
    /// higher takes longer and costs more. By default it is left to the service.
    pub fn quality(mut self, quality: impl Into<String>) -> Self {
        self.settings.insert("quality".into(), quality.into().into());
        self
    }

    /// How strictly OpenAI looks for what its policy forbids: `auto`, or `low`, which lets more pass. By
    /// default it is left to the service.
    pub fn moderation(mut self, moderation: impl Into<String>) -> Self {
        self.settings.insert("moderation".into(), moderation.into().into());
        self
    }

    /// How closely `gpt-image-1` and `gpt-image-1.5` look at references: `high` or `low`. It is not sent
    /// to any other model, which would refuse it, nor where there are no references.
    pub fn input_fidelity(mut self, fidelity: impl Into<String>) -> Self {
        self.input_fidelity = Some(fidelity.into());
        self
    }

    /// A further field of every request, as JSON: `field("background", "\"opaque\"")`. It replaces a
    /// field of that name that would be sent, and is never left out. Where references make the request a
    /// form, the field is one of the form, and an object or a list is its JSON. With
    /// [`ImagesProfile::SdServer`] it is one of the native arguments, such as `lora`.
    pub fn field(mut self, name: impl Into<String>, json: impl Into<String>) -> Self {
        self.fields.push((name.into(), json.into()));
        self
    }

    /// Sends the guidance of requests as `true_cfg_scale`, which Qwen-Image reads, instead of
    /// `guidance_scale`. Off by default; it matters to [`ImagesProfile::SelfHosted`] only.
    pub const fn true_cfg_scale(mut self, yes: bool) -> Self {
        self.true_cfg_scale = yes;
        self
    }

    /// The most references of a request, at least 1; more are an error before anything is sent. 16 by
    /// default, which is OpenAI's limit; models of other servers take fewer, and the server says so.
    pub const fn max_references(mut self, references: usize) -> Self {
        self.max_references = references;
        self
    }

    /// The most pixels, width times height, of a reference that is sent, at least 1; larger ones are
    /// scaled down, and [`Drawn::note`](crate::generator::Drawn::note) says so. 8,294,400 by default, as
    /// many as the largest image of OpenAI's models has. A PNG file of more than 50 MB, OpenAI's limit,
    /// is scaled down whatever this says.
    pub const fn max_reference_pixels(mut self, pixels: u64) -> Self {
        self.max_reference_pixels = pixels;
        self
    }

    /// How many partial images OpenAI is asked for where a listener
    /// [wants previews](crate::generator::Progress::wants_previews), in 0 to 3; OpenAI charges for each.
    /// 2 by default; with 0, nothing is streamed.
    pub const fn partial_images(mut self, images: u8) -> Self {
        self.partial_images = images;
        self
    }

    /// The most requests of one call that are on their way at the same time, at least 1; 4 by default.
    pub const fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// Whether a request is repeated without a field that the service says it does not know. On by
    /// default; turned off, the refusal is the error.
    ///
    /// The prompt, the model, references and what [`field`](Self::field) sets are never left out, and
    /// neither is a field whose value alone is refused, such as a size. If the repetition succeeds, it
    /// is remembered for later requests of this generator and its clones, for requests with and without
    /// references by themselves. [`Drawn::note`](crate::generator::Drawn::note) says what was left out.
    pub const fn adapt_parameters(mut self, yes: bool) -> Self {
        self.adapt_parameters = yes;
        self
    }

    /// The generator. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an empty model, an address or a proxy that is no `http` or `https`
    /// URL, a key or header that HTTP cannot carry, a certificate that is not in PEM, a field that is
    /// no JSON, or a number out of its range; [`Error::Unavailable`] when the machine has no
    /// certificates to check `https` with.
    pub fn build(self) -> Result<OpenAiImages> {
        let model = &self.model;
        require(!model.trim().is_empty(), "model", "a name", format!("{model:?}"))?;
        at_least_one("references of a request", self.max_references)?;
        at_least_one("requests at a time", self.concurrency)?;
        require(self.max_reference_pixels > 0, "pixels of a reference", "at least 1", 0)?;
        let expected = format!("0 to {MAX_PARTIAL_IMAGES}");
        let fits = self.partial_images <= MAX_PARTIAL_IMAGES;
        require(fits, "partial images", expected, self.partial_images)?;
        let fields = self.fields()?;
        let client = self.client.build(&API, model)?;
        let profile = self.profile.unwrap_or_else(|| ImagesProfile::of(client.host(), &self.model));
        Ok(OpenAiImages(Arc::new(Shared {
            client,
            concurrency: self.concurrency,
            refused: Mutex::new(BTreeSet::new()),
            adapts: self.adapt_parameters,
            defaults: Defaults {
                model: self.model,
                profile,
                max_references: self.max_references,
                max_reference_pixels: self.max_reference_pixels,
                partial_images: self.partial_images,
                true_cfg_scale: self.true_cfg_scale,
                input_fidelity: self.input_fidelity,
                settings: self.settings,
                fields,
            },
        })))
    }

    fn fields(&self) -> Result<Map<String, Value>> {
        let field = |(name, json): &(String, String)| {
            let value = serde_json::from_str(json).map_err(|error| {
                Error::invalid_input(format!("field {name:?}"), "a JSON value", error)
            })?;
            Ok((name.clone(), value))
        };
        self.fields.iter().map(field).collect()
    }
}

impl fmt::Debug for OpenAiImagesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiImagesBuilder").field("model", &self.model).finish_non_exhaustive()
    }
}

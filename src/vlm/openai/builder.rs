//! [`OpenAiVlmBuilder`]: settings of an [`OpenAiVlm`], checked before anything is sent.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value};

use super::parameters::Parameters;
use super::request::Defaults;
use super::{ENDPOINT, OpenAiVlm, Shared};
use crate::Result;
use crate::error::require;
use crate::net::config::{Api, ClientConfig, Key, json_fields};
use crate::net::pictures::Pictures;
use crate::net::settings::client_settings;

pub(super) const API: Api = Api {
    default_url: "https://api.openai.com/v1",
    base_url_variable: "OPENAI_BASE_URL",
    api_key_variable: "OPENAI_API_KEY",
    key: Key::Bearer,
    endpoint: ENDPOINT,
    max_reply: 8 << 20,
};

/// Settings of an [`OpenAiVlm`]; each setter names its default.
///
/// ```
/// use std::time::Duration;
/// use imagerag::vlm::{OpenAiVlm, OpenAiVlmBuilder};
///
/// /// What all models on this server share.
/// fn on_our_server(model: &str) -> OpenAiVlmBuilder {
///     OpenAiVlm::builder(model)
///         .base_url("http://localhost:8000/v1")
///         .timeout(Duration::from_secs(60))
///         .max_retries(4)
/// }
///
/// let vlm = on_our_server("Qwen/Qwen2.5-VL-7B-Instruct").max_image_side(768).build()?;
/// assert_eq!(vlm.to_string(), "Qwen/Qwen2.5-VL-7B-Instruct");
///
/// // A reasoning model of OpenAI's, which has settings of its own. Without the last two, the first
/// // request would be repeated as the model wants it.
/// let thinker = OpenAiVlm::builder("o4-mini")
///     .api_key("sk-...")
///     .field("reasoning_effort", "\"low\"")
///     .max_completion_tokens(true)
///     .send_temperature(false)
///     .build()?;
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct OpenAiVlmBuilder {
    model: String,
    client: ClientConfig,
    fields: Vec<(String, String)>,
    max_image_side: u32,
    jpeg_quality: u8,
    max_tokens: Option<u32>,
    max_completion_tokens: bool,
    send_temperature: bool,
    structured_output: bool,
    adapt_parameters: bool,
}

impl OpenAiVlm {
    /// Settings for the model called `model`, such as `gpt-4o-2024-08-06`.
    pub fn builder(model: impl Into<String>) -> OpenAiVlmBuilder {
        OpenAiVlmBuilder {
            model: model.into(),
            client: ClientConfig::default(),
            fields: Vec::new(),
            max_image_side: 1024,
            jpeg_quality: 90,
            max_tokens: None,
            max_completion_tokens: false,
            send_temperature: true,
            structured_output: false,
            adapt_parameters: true,
        }
    }
}

impl OpenAiVlmBuilder {
    /// The URL of the service, without `/chat/completions`. By default the environment variable
    /// `OPENAI_BASE_URL`, or OpenAI itself if that is not set.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.client.base_url = Some(url.into());
        self
    }

    /// The key, sent as `Authorization: Bearer …`; with an empty key nothing is sent. By default
    /// the environment variable `OPENAI_API_KEY`, or no key if that is not set.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.client.api_key = Some(key.into());
        self
    }

    /// A further field of every request's body, as JSON: `field("reasoning_effort", "\"low\"")`.
    pub fn field(mut self, name: impl Into<String>, json: impl Into<String>) -> Self {
        self.fields.push((name.into(), json.into()));
        self
    }

    /// The longest that one attempt may take, from opening the connection to the last byte;
    /// 2 minutes by default.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.client.timeout = timeout;
        self
    }

    client_settings!();

    /// The longest side of a picture that is sent, in pixels, at least 1; larger pictures are
    /// scaled down. 1024 by default, which is about one megapixel and 1,300 tokens of Qwen2.5-VL.
    pub const fn max_image_side(mut self, pixels: u32) -> Self {
        self.max_image_side = pixels;
        self
    }

    /// The quality of the JPEGs that are sent, in 1 to 100; higher is finer and larger. 90 by
    /// default.
    pub const fn jpeg_quality(mut self, quality: u8) -> Self {
        self.jpeg_quality = quality;
        self
    }

    /// The longest reply to a request that does not set
    /// [`max_tokens`](crate::vlm::ChatRequest::max_tokens), in tokens, at least 1; the questions of the
    /// loop do not. By default it is left to the model. Reasoning models need room for their
    /// thoughts.
    pub const fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Sends the limit of the reply's length as `max_completion_tokens`, which OpenAI's reasoning
    /// models need, instead of `max_tokens`, which all others understand. Off by default; without
    /// it, a model that refuses `max_tokens` costs one more request.
    pub const fn max_completion_tokens(mut self, yes: bool) -> Self {
        self.max_completion_tokens = yes;
        self
    }

    /// Whether the temperature is sent. On by default. Turn it off for models that accept only
    /// their own temperature, if the one request that they refuse is to be saved. The repetitions of [`GuidedCot`](crate::critic::GuidedCot) are then
    /// all at that temperature.
    pub const fn send_temperature(mut self, yes: bool) -> Self {
        self.send_temperature = yes;
        self
    }

    /// Whether the [JSON schema](crate::vlm::ChatRequest::json_schema) of a request is sent, as
    /// `response_format`: structured output, which makes a model keep to the form that its reply
    /// is read by. Off by default. A service that refuses it is asked without, as
    /// [`adapt_parameters`](Self::adapt_parameters) says.
    ///
    /// ```
    /// # use imagerag::vlm::OpenAiVlm;
    /// let vlm = OpenAiVlm::builder("Qwen/Qwen2.5-VL-7B-Instruct")
    ///     .base_url("http://localhost:8000/v1")
    ///     .structured_output(true)
    ///     .build()?;
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    pub const fn structured_output(mut self, yes: bool) -> Self {
        self.structured_output = yes;
        self
    }

    /// Whether a request is repeated as the service wants it where it refuses a parameter. On by
    /// default; turned off, the refusal is the error.
    ///
    /// A temperature that the model does not take is left out, and so are a JSON schema and the request
    /// for log-probabilities; of those, fewer alternatives are asked for first where there are too many.
    /// `max_tokens` and `max_completion_tokens` stand in for each other, and if the model takes
    /// neither, both are left out. Each happens at most once in a request. If the repetition
    /// succeeds, it is remembered for later requests of this client and its clones, except that of a
    /// temperature out of the service's range only this one temperature is. Nothing that
    /// [`field`](Self::field) sets is changed, nor is a limit that is too large.
    ///
    /// An [`Exchange`](crate::vlm::Exchange) in the trace has the temperature that was asked for.
    pub const fn adapt_parameters(mut self, yes: bool) -> Self {
        self.adapt_parameters = yes;
        self
    }

    /// What may change a reply, in words, without the values of `fields`.
    fn told(&self, fields: &Map<String, Value>) -> String {
        let Self { max_image_side, jpeg_quality, max_tokens, .. } = self;
        let mut told = format!("pictures of {max_image_side} pixels in JPEG {jpeg_quality}");
        if let Some(tokens) = max_tokens {
            told += &format!(", at most {tokens} tokens");
        }
        if !self.send_temperature {
            told += ", no temperature";
        }
        if self.structured_output {
            told += ", structured output";
        }
        if !fields.is_empty() {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            let text = Value::from(fields.clone()).to_string();
            let hash = blake3::hash(text.as_bytes()).to_hex();
            told += &format!(", fields {} ({})", names.join(", "), &hash[..16]);
        }
        told
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for an empty model, an address or a proxy that is no `http` or `https`
    /// URL, a key or header that HTTP cannot carry, a certificate that is not in PEM, a field that is
    /// no JSON, or a number out of its range; [`Error::Unavailable`](crate::Error::Unavailable) when the machine has no
    /// certificates to check `https` with.
    pub fn build(self) -> Result<OpenAiVlm> {
        let (model, quality) = (&self.model, self.jpeg_quality);
        require(!model.trim().is_empty(), "model", "a name", format!("{model:?}"))?;
        require(self.max_image_side > 0, "longest image side", "at least 1 pixel", 0)?;
        require(self.max_tokens != Some(0), "longest reply in tokens", "at least 1", 0)?;
        require((1..=100).contains(&quality), "JPEG quality", "1 to 100", quality)?;
        let fields = json_fields(&self.fields)?;
        Ok(OpenAiVlm(Arc::new(Shared {
            settings: self.told(&fields),
            client: self.client.build(&API, &self.model)?,
            pictures: Pictures::new(self.max_image_side, self.jpeg_quality),
            parameters: Mutex::new(Parameters::new(
                self.send_temperature,
                self.max_completion_tokens,
                self.structured_output,
            )),
            adapts: self.adapt_parameters,
            defaults: Defaults { fields, model: self.model, max_tokens: self.max_tokens },
        })))
    }
}

impl fmt::Debug for OpenAiVlmBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiVlmBuilder").field("model", &self.model).finish_non_exhaustive()
    }
}

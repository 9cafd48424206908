//! [`RemoteEmbedderBuilder`]: settings of a [`RemoteEmbedder`], checked before anything is sent.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::pictures::PictureFormat;
use super::templates::Templates;
use super::{EmbeddingApi, RemoteEmbedder, Shared};
use crate::error::{at_least_one, require};
use crate::net::config::ClientConfig;
use crate::net::settings::client_settings;
use crate::{Embedder, Error, Result};

/// Settings of a [`RemoteEmbedder`]; each setter names its default. [`connect`](Self::connect) and
/// [`build`](Self::build) make the embedder.
///
/// ```
/// use imagerag::embedder::{EmbeddingApi, RemoteEmbedder};
///
/// let cohere = RemoteEmbedder::builder("embed-v4.0")
///     .api(EmbeddingApi::Cohere)
///     .api_key("...")
///     .dimensions(512)
///     .build()?;
/// assert_eq!(cohere.to_string(), "embed-v4.0 (512 dimensions)");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RemoteEmbedderBuilder {
    model: String,
    api: EmbeddingApi,
    client: ClientConfig,
    fields: Vec<(String, String)>,
    dim: Option<usize>,
    dimensions: Option<usize>,
    text_template: Option<String>,
    text_messages: Option<String>,
    image_messages: Option<String>,
    max_batch: Option<usize>,
    max_batch_bytes: Option<usize>,
    max_concurrency: Option<usize>,
    max_image_side: Option<u32>,
    jpeg_quality: u8,
    png: bool,
}

impl RemoteEmbedder {
    /// Settings for the model called `model`, such as `jina-clip-v2`.
    pub fn builder(model: impl Into<String>) -> RemoteEmbedderBuilder {
        RemoteEmbedderBuilder {
            model: model.into(),
            api: EmbeddingApi::default(),
            client: ClientConfig::default(),
            fields: Vec::new(),
            dim: None,
            dimensions: None,
            text_template: None,
            text_messages: None,
            image_messages: None,
            max_batch: None,
            max_batch_bytes: None,
            max_concurrency: None,
            max_image_side: None,
            jpeg_quality: 90,
            png: false,
        }
    }
}

impl RemoteEmbedderBuilder {
    /// How the service wants its inputs; [`EmbeddingApi::Vllm`] by default. The defaults of the base
    /// URL, the key and the limits are those of the service.
    pub const fn api(mut self, api: EmbeddingApi) -> Self {
        self.api = api;
        self
    }

    /// The URL of the service, without `/embeddings` or the service's name for that. By default an
    /// environment variable, such as `JINA_BASE_URL`, or the service itself.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.client.base_url = Some(url.into());
        self
    }

    /// The key, sent as `Authorization: Bearer …`, to Gemini as `x-goog-api-key`; with an empty key
    /// nothing is sent. By default an environment variable, such as `JINA_API_KEY`.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.client.api_key = Some(key.into());
        self
    }

    /// A further field of every request's body, as JSON, or another value of one that is there:
    /// `field("task", "\"text-matching\"")`. `null` leaves a field out.
    pub fn field(mut self, name: impl Into<String>, json: impl Into<String>) -> Self {
        self.fields.push((name.into(), json.into()));
        self
    }

    /// Values of an embedding of the model, at least 1. With it, [`build`](Self::build) asks nothing.
    /// Embeddings with another number of values are errors.
    pub const fn dim(mut self, values: usize) -> Self {
        self.dim = Some(values);
        self
    }

    /// Asks the service for embeddings of so many values, at least 1, where it can cut them
    /// (Matryoshka embeddings). By default the model's own number.
    pub const fn dimensions(mut self, values: usize) -> Self {
        self.dimensions = Some(values);
        self
    }

    /// What stands around each text, with `{text}` where the text is. By default nothing. Models that
    /// read instructions have one for queries in their description.
    ///
    /// ```
    /// # use imagerag::embedder::{EmbeddingApi, RemoteEmbedder};
    /// let gemini = RemoteEmbedder::builder("gemini-embedding-2")
    ///     .api(EmbeddingApi::Gemini)
    ///     .text_template("task: search result | query: {text}")
    ///     .dim(3072)
    ///     .build()?;
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    pub fn text_template(mut self, template: impl Into<String>) -> Self {
        self.text_template = Some(template.into());
        self
    }

    /// The messages with a text for vLLM, as JSON with `{text}` where the text is. By default one
    /// message of the user with the text alone. Other services do not have them.
    pub fn text_messages(mut self, json: impl Into<String>) -> Self {
        self.text_messages = Some(json.into());
        self
    }

    /// The messages with a picture for vLLM, as JSON with `{image}` where its data URL is. By default
    /// one message of the user with the picture alone. Other services do not have them.
    ///
    /// ```
    /// # use imagerag::embedder::RemoteEmbedder;
    /// // vLLM's example for this model has a text beside the picture.
    /// let qwen = RemoteEmbedder::builder("Qwen/Qwen3-VL-Embedding-2B")
    ///     .image_messages(r#"[{"role": "user", "content": [
    ///         {"type": "image_url", "image_url": {"url": "{image}"}},
    ///         {"type": "text", "text": "<|vision_start|><|image_pad|><|vision_end|>"}]}]"#)
    ///     .dim(2048)
    ///     .build()?;
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    pub fn image_messages(mut self, json: impl Into<String>) -> Self {
        self.image_messages = Some(json.into());
        self
    }

    /// The most inputs of one request, at least 1. By default 1 for vLLM, 8 for infinity, 32 for
    /// Cohere and Voyage, and 16 for the others. vLLM takes one in any case.
    pub const fn max_batch(mut self, inputs: usize) -> Self {
        self.max_batch = Some(inputs);
        self
    }

    /// The most bytes of the inputs of one request as they are sent, pictures in base64, at least 1.
    /// An input that is longer alone is sent alone. 8 to 32 MB by default.
    pub const fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.max_batch_bytes = Some(bytes);
        self
    }

    /// The most requests at a time, of all calls of this embedder and its clones together, at least 1.
    /// By default 16 for vLLM, and 4 for the others.
    pub const fn max_concurrency(mut self, requests: usize) -> Self {
        self.max_concurrency = Some(requests);
        self
    }

    /// The longest side of a picture that is sent, in pixels, at least 1; larger pictures are scaled
    /// down. By default 512 for Jina and infinity, whose encoders look at 512 pixels or fewer, and 1024
    /// for the others.
    pub const fn max_image_side(mut self, pixels: u32) -> Self {
        self.max_image_side = Some(pixels);
        self
    }

    /// The quality of the JPEGs that are sent, in 1 to 100; higher is finer and larger. 90 by default.
    pub const fn jpeg_quality(mut self, quality: u8) -> Self {
        self.jpeg_quality = quality;
        self
    }

    /// Sends pictures as PNG, which loses nothing and is some ten times as large. Off by default.
    pub const fn png(mut self, yes: bool) -> Self {
        self.png = yes;
        self
    }

    /// The longest that one attempt may take, from opening the connection to the last byte; 2 minutes
    /// by default.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.client.timeout = timeout;
        self
    }

    client_settings!();

    /// The embedder, after it was asked for the embedding of a short text, from which its dimension is
    /// known.
    ///
    /// # Errors
    /// Those of [`build`](Self::build), and those of the service;
    /// [`Error::InvalidReply`] when the embedding has another dimension than [`dim`](Self::dim) or
    /// [`dimensions`](Self::dimensions) says.
    pub async fn connect(self) -> Result<RemoteEmbedder> {
        let embedder = self.embedder()?;
        let first = embedder.embed_texts(&["a photo"]).await?;
        if let [first] = &first[..] {
            // That of the first answer, if it is not known already.
            let _ = embedder.0.dim.set(first.dim());
        }
        Ok(embedder)
    }

    /// The embedder. Nothing is sent yet, so the dimension must be given, by [`dim`](Self::dim) or
    /// [`dimensions`](Self::dimensions).
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when no dimension is given, or two that differ, for an empty model, an
    /// address or a proxy that is no `http` or `https` URL, a key or header that HTTP cannot carry, a
    /// certificate that is not in PEM, a field or messages that are no JSON, a template without the
    /// place of its input, or a number out of its range; [`Error::Unavailable`] when the machine has no
    /// certificates to check `https` with.
    pub fn build(self) -> Result<RemoteEmbedder> {
        let expected = "dim, or connect in place of build";
        require(
            self.dim.or(self.dimensions).is_some(),
            "values of an embedding",
            expected,
            "none",
        )?;
        self.embedder()
    }

    fn embedder(self) -> Result<RemoteEmbedder> {
        let (model, quality) = (&self.model, self.jpeg_quality);
        require(!model.trim().is_empty(), "model", "a name", format!("{model:?}"))?;
        require((1..=100).contains(&quality), "JPEG quality", "1 to 100", quality)?;
        if let (Some(dim), Some(dimensions)) = (self.dim, self.dimensions) {
            let expected = format!("{dimensions}, to which the service is to cut embeddings");
            require(dim == dimensions, "values of an embedding", expected, dim)?;
        }
        let dialect = self.api.dialect();
        let limits = dialect.limits();
        let is_single = limits.batch == 1;
        let batch = if is_single { 1 } else { self.max_batch.unwrap_or(limits.batch) };
        let batch_bytes = self.max_batch_bytes.unwrap_or(limits.bytes);
        let concurrency = self.max_concurrency.unwrap_or(limits.concurrency);
        let max_side = self.max_image_side.unwrap_or(limits.image_side);
        let dim = self.dim.or(self.dimensions);
        for (what, value) in [
            ("values of an embedding", dim.unwrap_or(1)),
            ("inputs of a request", self.max_batch.unwrap_or(1)),
            ("bytes of a request", batch_bytes),
            ("requests at a time", concurrency),
            ("longest image side", max_side as usize),
        ] {
            at_least_one(what, value)?;
        }
        let (texts, images) = (self.text_messages.as_deref(), self.image_messages.as_deref());
        Ok(RemoteEmbedder(Arc::new(Shared {
            client: self.client.build(dialect.api(), &self.model)?,
            api: self.api,
            dialect,
            fields: fields(&self.fields)?,
            templates: Arc::new(Templates::new(self.text_template, texts, images)?),
            pictures: PictureFormat { max_side, quality: (!self.png).then_some(quality) },
            dimensions: self.dimensions,
            dim: dim.map_or_else(OnceLock::new, OnceLock::from),
            batch,
            batch_bytes,
            concurrency,
            slots: Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS)),
            model: self.model,
        })))
    }
}

fn fields(fields: &[(String, String)]) -> Result<Map<String, Value>> {
    let field = |(name, json): &(String, String)| {
        let value = serde_json::from_str(json).map_err(|error| {
            Error::invalid_input(format!("field {name:?}"), "a JSON value", error)
        })?;
        Ok((name.clone(), value))
    };
    fields.iter().map(field).collect()
}

impl fmt::Debug for RemoteEmbedderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEmbedderBuilder")
            .field("api", &self.api)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

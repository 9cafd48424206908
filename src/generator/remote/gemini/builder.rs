//! [`GeminiImagesBuilder`]: settings of a [`GeminiImages`], checked before anything is sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::model::{self, Model};
use super::request::Settings;
use super::{GeminiImages, Shared};
use crate::Result;
use crate::error::{at_least_one, require};
use crate::net::config::{Api, ClientConfig, Key, environment, json_fields};
use crate::net::settings::client_settings;

const API: Api = Api {
    default_url: "https://generativelanguage.googleapis.com/v1beta",
    base_url_variable: "GEMINI_BASE_URL",
    api_key_variable: "GEMINI_API_KEY",
    key: Key::Header("x-goog-api-key"),
    endpoint: "models/*:generateContent",
    max_reply: 128 << 20,
};

/// Settings of a [`GeminiImages`]; each setter names its default.
///
/// ```
/// use std::time::Duration;
/// use imagerag::generator::GeminiImages;
///
/// let generator = GeminiImages::builder("gemini-3-pro-image")
///     .api_key("AIza...")
///     .image_size("2K")
///     .field("tools", r#"[{"google_search": {}}]"#)
///     .timeout(Duration::from_secs(600))
///     .build()?;
/// assert_eq!(generator.to_string(), "gemini-3-pro-image");
///
/// // Vertex AI, with a token in place of a key.
/// let vertex = "https://aiplatform.googleapis.com/v1/projects/my-project/locations/global/publishers/google";
/// let generator = GeminiImages::builder("gemini-2.5-flash-image")
///     .base_url(vertex)
///     .api_key("")
///     .header("Authorization", "Bearer ya29...")
///     .build()?;
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct GeminiImagesBuilder {
    model: String,
    client: ClientConfig,
    fields: Vec<(String, String)>,
    aspect_ratio: Option<String>,
    image_size: Option<String>,
    max_references: Option<usize>,
    max_reference_pixels: u64,
    jpeg_quality: u8,
    concurrency: usize,
}

impl GeminiImages {
    /// Settings for the model called `model`, such as `gemini-3.1-flash-image`.
    pub fn builder(model: impl Into<String>) -> GeminiImagesBuilder {
        GeminiImagesBuilder {
            model: model.into(),
            client: ClientConfig { timeout: Duration::from_secs(300), ..ClientConfig::default() },
            fields: Vec::new(),
            aspect_ratio: None,
            image_size: None,
            max_references: None,
            max_reference_pixels: 2_359_296,
            jpeg_quality: 95,
            concurrency: 4,
        }
    }
}

impl GeminiImagesBuilder {
    /// The URL of the service, without `/models/…`. By default the environment variable
    /// `GEMINI_BASE_URL`, or Google's if that is not set.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.client.base_url = Some(url.into());
        self
    }

    /// The key, sent as `x-goog-api-key`; with an empty key nothing is sent. By default the
    /// environment variable `GEMINI_API_KEY`, or else `GOOGLE_API_KEY`, or no key if neither is
    /// set.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.client.api_key = Some(key.into());
        self
    }

    /// A further field of every request's body, as JSON: `field("safetySettings", "[…]")`. It is
    /// put before what is set here, field by field: `field("generationConfig", r#"{"temperature":
    /// 0.5}"#)` keeps the rest of it.
    pub fn field(mut self, name: impl Into<String>, json: impl Into<String>) -> Self {
        self.fields.push((name.into(), json.into()));
        self
    }

    /// The longest that one attempt may take, from opening the connection to the last byte; 5
    /// minutes by default.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.client.timeout = timeout;
        self
    }

    client_settings!();

    /// How many images of one call are asked for at the same time, at least 1; 4 by default.
    pub const fn concurrency(mut self, images: usize) -> Self {
        self.concurrency = images;
        self
    }

    /// The aspect ratio of every image, such as `16:9`, whatever size a request asks for. By
    /// default the nearest to that size, and the model's own choice without one.
    pub fn aspect_ratio(mut self, ratio: impl Into<String>) -> Self {
        self.aspect_ratio = Some(ratio.into());
        self
    }

    /// The size of every image, such as `2K`, whatever size a request asks for. By default the
    /// nearest to that size in area, and the model's own without one.
    pub fn image_size(mut self, size: impl Into<String>) -> Self {
        self.image_size = Some(size.into());
        self
    }

    /// The most references of a request; by default what the table of [`GeminiImages`] says of the
    /// model.
    pub const fn max_references(mut self, references: usize) -> Self {
        self.max_references = Some(references);
        self
    }

    /// The most pixels, width times height, of a reference that is sent, at least 1; larger ones
    /// are scaled down, and [`Drawn::note`](crate::generator::Drawn::note) says so. 2,359,296 by
    /// default, those of 1,536 x 1,536.
    pub const fn max_reference_pixels(mut self, pixels: u64) -> Self {
        self.max_reference_pixels = pixels;
        self
    }

    /// The quality of the JPEGs that references are sent as, in 1 to 100; higher is finer and
    /// larger. 95 by default.
    pub const fn jpeg_quality(mut self, quality: u8) -> Self {
        self.jpeg_quality = quality;
        self
    }

    /// The generator. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for an empty model, an address or a
    /// proxy that is no `http` or `https` URL, a key or header that HTTP cannot carry, a
    /// certificate that is not in PEM, a field that is no JSON, an aspect ratio that is not as
    /// `16:9`, or a number out of its range; [`Error::Unavailable`](crate::Error::Unavailable) when
    /// the machine has no certificates to check `https` with.
    pub fn build(mut self) -> Result<GeminiImages> {
        let model = self.model.trim().trim_start_matches("models/").to_owned();
        require(!model.is_empty(), "model", "a name", format!("{:?}", self.model))?;
        require(self.max_reference_pixels > 0, "pixels of a reference", "at least 1", 0)?;
        let quality = self.jpeg_quality;
        require((1..=100).contains(&quality), "JPEG quality", "1 to 100", quality)?;
        at_least_one("requests at a time", self.concurrency)?;
        if let Some(ratio) = &self.aspect_ratio {
            require(model::ratio(ratio).is_some(), "aspect ratio", "such as 16:9", ratio)?;
        }
        if let Some(size) = &self.image_size {
            require(!size.trim().is_empty(), "image size", "such as 1K", format!("{size:?}"))?;
        }
        if self.client.api_key.is_none() && environment(API.api_key_variable).is_none() {
            self.client.api_key = environment("GOOGLE_API_KEY");
        }
        let known = Model::of(&model);
        let client = self.client.build(&API, &model)?;
        Ok(GeminiImages(Arc::new(Shared {
            client,
            settings: Settings {
                fields: json_fields(&self.fields)?,
                max_references: self.max_references.unwrap_or(known.references),
                known,
                model,
                aspect_ratio: self.aspect_ratio,
                image_size: self.image_size,
                max_reference_pixels: self.max_reference_pixels,
                jpeg_quality: self.jpeg_quality,
            },
            concurrency: self.concurrency,
        })))
    }
}

impl fmt::Debug for GeminiImagesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeminiImagesBuilder").field("model", &self.model).finish_non_exhaustive()
    }
}

//! A generator and an embedder of one's own, over HTTP.

use std::fmt;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use futures::future::try_join_all;
use imagerag::conditioner::{Conditioning, ConditioningKind};
use imagerag::embedder::{Embedded, Embedding};
use imagerag::generator::{Drawn, GenerateRequest};
use imagerag::{Embedder, Error, Generator, Image, Price, Result, Usage, async_trait};
use serde_json::{Value, json};

const GENERATOR: &str = "sketch";
pub(crate) const EMBEDDER: &str = "atlas";
/// The longest that one reply may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A JSON service, with the name that traces and errors call it by.
#[derive(Clone, Debug)]
struct Service {
    name: &'static str,
    url: String,
    client: reqwest::Client,
}

impl Service {
    /// The service whose requests go to `address`/`path`.
    fn new(name: &'static str, address: &str, path: &str) -> Self {
        let url = format!("{}/{path}", address.trim_end_matches('/'));
        Self { name, url, client: reqwest::Client::new() }
    }

    /// Sends `body`. Each failure is an [`Error`] of its own kind, so that what may pass is tried
    /// again and what will not is told.
    async fn post(&self, body: Value) -> Result<Value> {
        let failed = |error: reqwest::Error| match error.is_timeout() {
            true => Error::timeout(self.name, LIMIT),
            false => Error::connection(self.name, error.without_url()),
        };
        let sent = self.client.post(&self.url).timeout(LIMIT).json(&body).send();
        let reply = sent.await.map_err(failed)?;
        let status = reply.status();
        let text = reply.text().await.map_err(failed)?;
        let reply: Result<Value> =
            serde_json::from_str(&text).map_err(|_| self.invalid("JSON", &text));
        let words = reply.as_ref().ok().and_then(|reply| reply["error"].as_str());
        let words = words.unwrap_or(&text);
        match status.as_u16() {
            200 => reply,
            403 => Err(Error::refused(self.name, words)),
            other => Err(Error::service(self.name, other, words)),
        }
    }

    fn invalid(&self, expected: &str, found: impl fmt::Display) -> Error {
        Error::invalid_reply(self.name, expected, found)
    }
}

/// What a part costs, in dollars, by its name in the trace.
pub(crate) fn price(part: &str) -> Price {
    match part {
        // The name of the generator stands in those of what wraps it.
        part if part.contains(GENERATOR) => Price { per_image: 0.04, ..Price::default() },
        EMBEDDER => Price { per_million_prompt_tokens: 0.02, ..Price::default() },
        _ => Price {
            per_million_prompt_tokens: 2.5,
            per_million_completion_tokens: 10.0,
            ..Price::default()
        },
    }
}

/// Pictures as JSON carries them.
fn encoded(images: &[Image]) -> Result<Vec<String>> {
    images.iter().map(|image| Ok(BASE64_STANDARD.encode(image.encode_png()?))).collect()
}

/// Draws: `POST /draw` with a prompt, a seed, a size and pictures gives a picture.
#[derive(Clone, Debug)]
pub(crate) struct HttpGenerator(Service);

impl HttpGenerator {
    pub(crate) fn new(address: &str) -> Self {
        Self(Service::new(GENERATOR, address, "draw"))
    }

    async fn draw(&self, request: &GenerateRequest) -> Result<Drawn> {
        let images = match &request.conditioning {
            Conditioning::Images(images) => encoded(images)?,
            _ => Vec::new(),
        };
        let GenerateRequest { prompt, seed, width, height, .. } = request;
        let mut body = json!({ "prompt": prompt, "seed": seed, "images": images });
        (body["width"], body["height"]) = (json!(width), json!(height));
        let reply = self.0.post(body).await?;
        let png = reply["image"].as_str().and_then(|png| BASE64_STANDARD.decode(png).ok());
        let png = png.ok_or_else(|| self.0.invalid("a picture in base64", &reply))?;
        let image = Image::decode_reply(self, &png)?;
        Ok(Drawn::from(image).with_usage(Usage::images(1)))
    }
}

impl fmt::Display for HttpGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

#[async_trait]
impl Generator for HttpGenerator {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        for request in requests {
            request.validate()?;
            request.validate_conditioning(self.accepts())?;
        }
        try_join_all(requests.iter().map(|request| self.draw(request))).await
    }
}

/// Embeds: `POST /embed` with texts or pictures gives one vector each.
#[derive(Clone, Debug)]
pub(crate) struct HttpEmbedder {
    service: Service,
    dim: usize,
}

impl HttpEmbedder {
    /// Asks the service once, for the dimension of its space.
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let asked = Self { service: Service::new(EMBEDDER, address, "embed"), dim: 0 };
        let probe = asked.embed(json!({ "texts": ["a bird"] })).await?;
        Ok(Self { dim: probe.first().map_or(0, Embedding::dim), ..asked })
    }

    async fn embed(&self, body: Value) -> Result<Embedded> {
        let reply = self.service.post(body).await?;
        let vectors: Vec<Vec<f32>> = serde_json::from_value(reply["embeddings"].clone())
            .map_err(|error| self.service.invalid("a list of vectors", error))?;
        let embeddings: Result<Vec<_>> = vectors.into_iter().map(Embedding::new).collect();
        let usage = Usage::tokens(reply["tokens"].as_u64().unwrap_or(0), 0);
        Ok(Embedded::from(embeddings?).with_usage(usage))
    }
}

impl fmt::Display for HttpEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service.name)
    }
}

#[async_trait]
impl Embedder for HttpEmbedder {
    fn dim(&self) -> usize {
        self.dim
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        self.embed(json!({ "texts": texts })).await
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        self.embed(json!({ "images": encoded(images)? })).await
    }
}

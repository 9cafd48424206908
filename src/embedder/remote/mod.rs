//! [`RemoteEmbedder`]: texts and images to vectors by a service.

mod api;
mod batch;
mod builder;
mod cohere;
mod dialect;
mod gemini;
mod infinity;
mod jina;
mod kept;
mod openai;
mod pictures;
mod reply;
mod templates;
mod vllm;
mod voyage;

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::FutureExt;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::{Batching, Embedded, Embedder, PartlyEmbedded};
use crate::net::client::Client;
use crate::{Image, Result, net};
use batch::Inputs;
use dialect::Dialect;
use kept::Kept;
use pictures::PictureFormat;
use templates::Templates;

pub use api::EmbeddingApi;
pub use builder::RemoteEmbedderBuilder;

/// The longest reply that is read, in bytes: 1,000 vectors of 1,024 values as text are 22 MB.
const MAX_REPLY: usize = 32 << 20;

/// An embedder behind a service that puts texts and images into one space, such as Jina, Cohere,
/// Voyage or Gemini, or a server of your own, such as vLLM or infinity.
///
/// | Service | [`api`](RemoteEmbedderBuilder::api) | `base_url` | key |
/// |---|---|---|---|
/// | vLLM (`vllm serve … --runner pooling`) | `Vllm`, the default | `http://localhost:8000/v1`, the default | none, or `VLLM_API_KEY` |
/// | infinity | `Infinity` | `http://localhost:7997`, the default | none, or `INFINITY_API_KEY` |
/// | Jina | `Jina` | the default | `JINA_API_KEY` |
/// | Cohere | `Cohere` | the default | `CO_API_KEY` |
/// | Voyage | `Voyage` | the default | `VOYAGE_API_KEY` |
/// | Gemini | `Gemini` | the default | `GEMINI_API_KEY` |
/// | LiteLLM and other gateways | `OpenAi` | `http://localhost:4000/v1` | the gateway's |
///
/// - Texts are embedded as queries and images as documents, where the service tells them apart.
/// - Pictures are scaled down to what encoders look at and sent as JPEG; see
///   [`max_image_side`](RemoteEmbedderBuilder::max_image_side) and
///   [`png`](RemoteEmbedderBuilder::png).
/// - Inputs are sent in batches of bounded number and length, some at a time. A batch that is
///   refused is halved and sent again, down to one input, which the error names if others can be
///   embedded. What is refused because of the key, the account or the model is not sent again.
/// - Transient errors are retried and `Retry-After` is honoured, as by
///   [`OpenAiVlm`](crate::vlm::OpenAiVlm); the key is as safe as there, and any executor will do.
/// - Replies are read in whatever order and form they come: numbered, as numbers, as numbers in
///   strings, or in base64. A vector that is missing, doubled, of another dimension than
///   [`dim`](Embedder::dim), not finite or 0 is an error.
/// - A text that is too long is cut by the service, or by half until the service takes it, inside its
///   [template](RemoteEmbedderBuilder::text_template). Nothing tells that it was cut.
/// - [`Embedded::usage`] is the sum of the tokens that the service tells of.
///
/// Clones share the connections and the limit on requests at a time. `Display` is the model, with the
/// dimension where the service is asked to cut vectors; `{:#}` adds all settings that change an
/// embedding. Neither has the address: two servers of one model are one embedder.
///
/// ```no_run
/// # async fn compare() -> imagerag::Result<()> {
/// use imagerag::embedder::{EmbedderExt, EmbeddingApi, RemoteEmbedder};
///
/// // The key is in JINA_API_KEY. `connect` asks for one embedding, to learn the dimension.
/// let jina = RemoteEmbedder::builder("jina-clip-v2").api(EmbeddingApi::Jina).connect().await?;
/// let image = jina.embed_image(&imagerag::Image::open("quetzal.jpg")?).await?;
/// println!("{:.3}", jina.embed_text("a photo of a quetzal").await?.similarity(&image));
///
/// // A server of your own. Nothing is sent, because the dimension is given.
/// let clip = RemoteEmbedder::builder("openai/clip-vit-base-patch32")
///     .base_url("http://gpu-box:8000/v1")
///     .dim(512)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RemoteEmbedder(Arc<Shared>);

/// What the calls share, on whichever thread they are made.
struct Shared {
    client: Client,
    api: EmbeddingApi,
    dialect: &'static dyn Dialect,
    model: String,
    /// What the service is asked to cut vectors to.
    dimensions: Option<usize>,
    /// Values of an embedding, once they are known.
    dim: OnceLock<usize>,
    /// Further fields of the body, as they are; those that are null are left out.
    fields: Map<String, Value>,
    templates: Arc<Templates>,
    pictures: PictureFormat,
    kept: Kept,
    /// Inputs of a request, and their length in bytes.
    batch: usize,
    batch_bytes: usize,
    /// Requests at a time.
    concurrency: usize,
    slots: Semaphore,
}

impl RemoteEmbedder {
    async fn embed(&self, inputs: Inputs) -> Result<Embedded> {
        net::run(&self.to_string(), Arc::clone(&self.0).embed(inputs)).await
    }
}

#[async_trait]
impl Embedder for RemoteEmbedder {
    fn dim(&self) -> usize {
        self.0.dim.get().copied().unwrap_or(0) // Set by whatever makes one.
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        self.embed(Inputs::Texts(texts.iter().map(ToString::to_string).collect())).await
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        self.embed(Inputs::Images(images.to_vec())).await
    }

    async fn embed_images_partly(&self, images: &[Image]) -> PartlyEmbedded {
        let inputs = Inputs::Images(images.to_vec());
        let embed = Arc::clone(&self.0).embed_partly(inputs).map(Ok);
        let outcome = net::run(&self.to_string(), embed).await;
        outcome.unwrap_or_else(|error| PartlyEmbedded::failed(images.len(), error))
    }

    fn preprocess(&self, image: &Image) -> Image {
        self.0.pictures.fit(image).unwrap_or_else(|_| image.clone())
    }

    fn batching(&self) -> Batching {
        Batching { images: self.0.batch, calls: self.0.concurrency }
    }
}

impl fmt::Display for RemoteEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { api, model, dimensions, fields, templates, pictures, .. } = &*self.0;
        f.write_str(model)?;
        if let Some(dimensions) = dimensions {
            write!(f, " ({dimensions} dimensions)")?;
        }
        if f.alternate() {
            write!(f, " by {api}, images as {pictures}")?;
            templates.told().iter().try_for_each(|template| write!(f, ", {template}"))?;
            fields.iter().try_for_each(|(name, value)| write!(f, ", {name}: {value}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("client", &self.client)
            .field("api", &self.api)
            .field("model", &self.model)
            .field("dim", &self.dim)
            .finish_non_exhaustive()
    }
}

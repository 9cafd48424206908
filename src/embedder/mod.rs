//! [`Embedder`]: turns texts and images into vectors of one space.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use futures::executor::block_on;
//! use imagerag::embedder::{Embedder, EmbedderExt};
//! use imagerag::testing::{FakeEmbedder, solid};
//!
//! let embedder = FakeEmbedder; // A `ClipEmbedder`, for instance.
//! let image = solid(640, 480, [200, 0, 0]);
//! let found = block_on(embedder.embed_image(&image))?;
//! assert_eq!(found.dim(), embedder.dim());
//! let texts = block_on(embedder.embed_texts(&["a red car", "a blue car"]))?;
//! assert!(found.similarity(&texts[0]) > found.similarity(&texts[1]));
//!
//! // Many images that wait to be embedded need less memory once they are prepared.
//! let waiting = [image, solid(320, 200, [0, 0, 200])].map(|image| embedder.preprocess(&image));
//! let embedded = block_on(embedder.embed_images(&waiting))?;
//! let query = block_on(embedder.embed_text("a blue car"))?;
//! assert!(query.similarity(&embedded[1]) > query.similarity(&embedded[0]));
//! # Ok::<(), imagerag::Error>(())
//! ```

mod batching;
#[cfg(all(test, feature = "tch"))]
mod checks;
#[cfg(feature = "tch")]
mod clip;
#[cfg(feature = "tch")]
mod dino;
mod embedded;
mod embedding;
mod image_embedder;
#[cfg(feature = "tch")]
mod image_features;
#[cfg(feature = "tch")]
mod open;
mod partly;
pub(crate) mod probe;
#[cfg(feature = "openai")]
mod remote;
#[cfg(feature = "tch")]
mod siglip;
#[cfg(feature = "tch")]
mod two_towers;

use std::fmt::{Debug, Display};
use std::future::Future;

use async_trait::async_trait;

use crate::Result;
use crate::forward::{forward_part, only};
use crate::image::Image;

pub use batching::Batching;
#[cfg(feature = "tch")]
pub use clip::ClipEmbedder;
#[cfg(feature = "tch")]
pub use dino::DinoEmbedder;
pub use embedded::Embedded;
pub(crate) use embedded::check_dim;
pub use embedding::Embedding;
pub use image_embedder::ImageEmbedder;
#[cfg(feature = "tch")]
pub use image_features::ImageFeatures;
#[cfg(feature = "tch")]
pub use open::{open_embedder, open_image_embedder};
pub(crate) use partly::Gathered;
pub use partly::PartlyEmbedded;
#[cfg(feature = "openai")]
pub use remote::{EmbeddingApi, RemoteEmbedder, RemoteEmbedderBuilder};
#[cfg(feature = "tch")]
pub use siglip::SiglipEmbedder;

/// Embeds texts and images into one space, in which cosine similarity says how well they match.
///
/// One of your own, with the suite that checks it:
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::embedder::{Embedded, Embedder, Embedding};
/// use imagerag::testing::conformance;
/// use imagerag::{Image, Result, async_trait};
///
/// /// Embeds by first bytes. A real one asks a network or a service.
/// #[derive(Debug)]
/// struct FirstByte; // It has a `Display` too, by which traces and errors call it.
/// # impl std::fmt::Display for FirstByte {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("FirstByte")
/// #     }
/// # }
///
/// #[async_trait]
/// impl Embedder for FirstByte {
///     fn dim(&self) -> usize {
///         2
///     }
///
///     async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
///         let byte = |text: &&str| text.bytes().next().unwrap_or(0);
///         texts.iter().map(|text| Embedding::new([f32::from(byte(text)), 99.0])).collect()
///     }
///
///     async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
///         images.iter().map(|image| Embedding::new([f32::from(image.pixels()[0]), 99.0])).collect()
///     }
/// }
///
/// futures::executor::block_on(conformance::embedder(&FirstByte));
/// ```
///
/// # Contract
/// - One embedding of [`dim`](Self::dim) values per input, in the order of the inputs; no input
///   gives none.
/// - The same input gives the same embedding, whatever else is in the batch. Inputs that differ have
///   embeddings that differ.
/// - Every text has an embedding, also an empty one. If a service refuses empty texts, send it a
///   blank or a full stop instead.
/// - Two embedders with equal `Display` and [`dim`](Self::dim) give the same embeddings, but for
///   rounding. So name the model, such as `Acme(text-image-3)`: an open `Gallery` asks only the
///   first of them for the embeddings that tell whether it made the gallery's vectors. Where the
///   name is shared, as that of an architecture is by its checkpoints, the form `{:#}` tells them
///   apart.
///
/// The suite `testing::conformance::embedder` sends an empty text, one of 2,000 characters, an emoji
/// with a Chinese character, and images of 7 x 3 and 40 x 90 pixels, each of one color.
#[async_trait]
pub trait Embedder: Display + Debug + Send + Sync + 'static {
    /// Number of values of an embedding.
    fn dim(&self) -> usize;

    /// Embeds texts, with which images are searched: the query side, where an encoder tells the two
    /// sides apart. A text that is too long for the encoder is cut.
    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded>;

    /// Embeds images of any size, which are searched for: the document side.
    async fn embed_images(&self, images: &[Image]) -> Result<Embedded>;

    /// Embeds images of which some may be refused, as [`embed_images`](Self::embed_images) does, and
    /// tells what became of each: whoever embeds many, such as a `Gallery`, then loses and pays twice for
    /// nothing when one of them fails. By default all are embedded or none is; a service that answers some
    /// before it fails says so here.
    async fn embed_images_partly(&self, images: &[Image]) -> PartlyEmbedded {
        match self.embed_images(images).await {
            Ok(embedded) => embedded.into(),
            Err(error) => PartlyEmbedded::failed(images.len(), error),
        }
    }

    /// Resizes and crops `image` to the network's input. The result has the same embedding as
    /// `image` and is usually much smaller: keep it instead of the image where many wait to be
    /// embedded. It may run on any thread, while [`embed_images`](Self::embed_images) runs. By
    /// default it returns the image itself.
    fn preprocess(&self, image: &Image) -> Image {
        image.clone()
    }

    /// How many images a call of [`embed_images`](Self::embed_images) is best given by someone who has
    /// many, and how many such calls at a time. By default 64 images in one call.
    fn batching(&self) -> Batching {
        Batching::default()
    }
}

forward_part!(Embedder {
    fn dim(&self) -> usize {
        (**self).dim()
    }
    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        (**self).embed_texts(texts).await
    }
    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        (**self).embed_images(images).await
    }
    async fn embed_images_partly(&self, images: &[Image]) -> PartlyEmbedded {
        (**self).embed_images_partly(images).await
    }
    fn preprocess(&self, image: &Image) -> Image {
        (**self).preprocess(image)
    }
    fn batching(&self) -> Batching {
        (**self).batching()
    }
});

/// Embeds one text or one image. Every [`Embedder`] implements this trait.
pub trait EmbedderExt: Embedder {
    /// Embeds `text`.
    ///
    /// # Errors
    /// Those of [`Embedder::embed_texts`]; [`Error::Backend`](crate::Error::Backend) when that does
    /// not give exactly one embedding of [`dim`](Embedder::dim) values.
    fn embed_text(&self, text: &str) -> impl Future<Output = Result<Embedding>> + Send {
        async move { one(self, self.embed_texts(&[text]).await?) }
    }

    /// Embeds `image`.
    ///
    /// # Errors
    /// Those of [`Embedder::embed_images`]; [`Error::Backend`](crate::Error::Backend) when that
    /// does not give exactly one embedding of [`dim`](Embedder::dim) values.
    fn embed_image(&self, image: &Image) -> impl Future<Output = Result<Embedding>> + Send {
        async move { one(self, self.embed_images(std::slice::from_ref(image)).await?) }
    }
}

impl<E: Embedder + ?Sized> EmbedderExt for E {}

/// The embedding that `embedder` gave for one input.
pub(crate) fn one(embedder: &(impl Embedder + ?Sized), embedded: Embedded) -> Result<Embedding> {
    check_dim(embedder, &embedded)?;
    only(embedder, "embedding", embedded.embeddings)
}

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

#[cfg(all(test, feature = "tch"))]
mod checks;
#[cfg(feature = "tch")]
mod clip;
mod embedded;
mod embedding;
#[cfg(feature = "tch")]
mod open;
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

#[cfg(feature = "tch")]
pub use clip::ClipEmbedder;
pub use embedded::Embedded;
pub use embedding::Embedding;
#[cfg(feature = "tch")]
pub use open::open_embedder;
#[cfg(feature = "tch")]
pub use siglip::SiglipEmbedder;

/// Embeds texts and images into one space, in which cosine similarity says how well they match.
///
/// # Contract
/// - One embedding of [`dim`](Self::dim) values per input, in the order of the inputs; no input
///   gives none.
/// - The same input gives the same embedding, whatever else is in the batch.
/// - Two embedders with equal `Display` and [`dim`](Self::dim) give the same embeddings, but for
///   rounding. So name the model, such as `Acme(text-image-3)`: an open `Gallery` asks only the
///   first of them for the embeddings that tell whether it made the gallery's vectors. Where the
///   name is shared, as that of an architecture is by its checkpoints, the form `{:#}` tells them
///   apart.
#[async_trait]
pub trait Embedder: Display + Debug + Send + Sync + 'static {
    /// Number of values of an embedding.
    fn dim(&self) -> usize;

    /// Embeds texts. A text that is too long for the encoder is cut.
    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded>;

    /// Embeds images of any size.
    async fn embed_images(&self, images: &[Image]) -> Result<Embedded>;

    /// Resizes and crops `image` to the network's input. The result has the same embedding as
    /// `image` and is usually much smaller: keep it instead of the image where many wait to be
    /// embedded. It may run on any thread, while [`embed_images`](Self::embed_images) runs. By
    /// default it returns the image itself.
    fn preprocess(&self, image: &Image) -> Image {
        image.clone()
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
    fn preprocess(&self, image: &Image) -> Image {
        (**self).preprocess(image)
    }
});

/// Embeds one text or one image. Every [`Embedder`] implements this trait.
pub trait EmbedderExt: Embedder {
    /// Embeds `text`.
    ///
    /// # Errors
    /// Those of [`Embedder::embed_texts`]; [`Error::Backend`](crate::Error::Backend) when that does
    /// not give exactly one embedding.
    fn embed_text(&self, text: &str) -> impl Future<Output = Result<Embedding>> + Send {
        async move { only(self, "embedding", self.embed_texts(&[text]).await?.embeddings) }
    }

    /// Embeds `image`.
    ///
    /// # Errors
    /// Those of [`Embedder::embed_images`]; [`Error::Backend`](crate::Error::Backend) when that
    /// does not give exactly one embedding.
    fn embed_image(&self, image: &Image) -> impl Future<Output = Result<Embedding>> + Send {
        async move {
            only(
                self,
                "embedding",
                self.embed_images(std::slice::from_ref(image)).await?.embeddings,
            )
        }
    }
}

impl<E: Embedder + ?Sized> EmbedderExt for E {}

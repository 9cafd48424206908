//! [`Embedder`]: texts and images to vectors of one space.

#[cfg(feature = "tch")]
mod clip;
mod embedding;
#[cfg(feature = "tch")]
mod open;
#[cfg(feature = "tch")]
mod siglip;
#[cfg(feature = "tch")]
mod two_towers;

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::Result;
use crate::forward::forward_part;
use crate::image::Image;

#[cfg(feature = "tch")]
pub use clip::ClipEmbedder;
pub use embedding::Embedding;
#[cfg(feature = "tch")]
pub use open::open_embedder;
#[cfg(feature = "tch")]
pub use siglip::SiglipEmbedder;

/// Embeds texts and images into one space, where likeness is cosine similarity.
///
/// # Contract
/// - One embedding of [`dim`](Self::dim) values an input, in order; no input gives none.
/// - The same input gives the same embedding, whatever else is in the batch.
#[async_trait]
pub trait Embedder: Display + Debug + Send + Sync + 'static {
    /// Values an embedding.
    fn dim(&self) -> usize;

    /// Embeds texts; over-long ones are cut.
    async fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>>;

    /// Embeds images of any size.
    async fn embed_images(&self, images: &[Image]) -> Result<Vec<Embedding>>;

    /// What of `image` the embedder looks at: resized and cropped as its network wants it, and
    /// embedded to the same vector. Runs on any thread, beside [`embed_images`](Self::embed_images);
    /// whoever embeds many images keeps these instead of the whole pictures. By default the image
    /// itself.
    fn preprocess(&self, image: &Image) -> Image {
        image.clone()
    }
}

forward_part!(Embedder {
    fn dim(&self) -> usize {
        (**self).dim()
    }
    async fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>> {
        (**self).embed_texts(texts).await
    }
    async fn embed_images(&self, images: &[Image]) -> Result<Vec<Embedding>> {
        (**self).embed_images(images).await
    }
    fn preprocess(&self, image: &Image) -> Image {
        (**self).preprocess(image)
    }
});

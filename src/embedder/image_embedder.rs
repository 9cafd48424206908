//! [`ImageEmbedder`]: turns images alone into vectors, as DINO does.

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use super::{Embedder, Embedding};
use crate::Result;
use crate::image::Image;

/// Embeds images into a space in which cosine similarity says how much two of them look alike. Every
/// [`Embedder`] is one; DINO, which knows no texts, is only this.
#[async_trait]
pub trait ImageEmbedder: Display + Debug + Send + Sync + 'static {
    /// One embedding per image, in the order of the images.
    ///
    /// # Errors
    /// Those of the model.
    async fn image_embeddings(&self, images: &[Image]) -> Result<Vec<Embedding>>;

    /// How images become the model's input, in words, where that can be chosen and its name does not tell.
    fn preprocessing(&self) -> Option<String> {
        None
    }
}

#[async_trait]
impl<E: Embedder> ImageEmbedder for E {
    async fn image_embeddings(&self, images: &[Image]) -> Result<Vec<Embedding>> {
        Ok(self.embed_images(images).await?.embeddings)
    }
}

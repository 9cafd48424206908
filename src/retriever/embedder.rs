//! [`Embedder`]: texts and images to vectors of one space.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;

use crate::forward::forward_part;
use crate::image::Image;
use crate::{Error, Result};

/// A vector of length 1. The dot product of two is their cosine similarity, in [-1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(Arc<[f32]>);

impl Embedding {
    /// `values`, scaled to length 1.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `values` is empty, all zero, or holds a value that is not
    /// finite.
    pub fn new(values: impl Into<Vec<f32>>) -> Result<Self> {
        let mut values = values.into();
        let norm = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        if !norm.is_finite() || norm == 0.0 {
            return Err(Error::invalid_input(
                "embedding",
                "finite values that are not all 0",
                format!("{} values of norm {norm}", values.len()),
            ));
        }
        for value in &mut values {
            *value = (f64::from(*value) / norm) as f32;
        }
        Ok(Self(values.into()))
    }

    /// Number of values.
    pub fn dim(&self) -> usize {
        self.0.len()
    }

    /// The values; their squares sum to 1.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// Cosine similarity, in [-1, 1]; higher is closer. Vectors of different length share no
    /// space: their similarity is 0.
    pub fn similarity(&self, other: &Self) -> f32 {
        if self.dim() != other.dim() {
            return 0.0;
        }
        self.0.iter().zip(other.0.iter()).map(|(a, b)| a * b).sum::<f32>().clamp(-1.0, 1.0)
    }
}

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
    fn prepare(&self, image: &Image) -> Image {
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
    fn prepare(&self, image: &Image) -> Image {
        (**self).prepare(image)
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_length_one() {
        let embedding = Embedding::new([3.0, 4.0]).unwrap();
        assert_eq!(embedding.values(), [0.6, 0.8]);
        assert!((embedding.similarity(&embedding) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn refuses_values_without_a_direction() {
        for values in [vec![], vec![0.0, 0.0], vec![f32::NAN, 1.0], vec![f32::INFINITY]] {
            assert!(Embedding::new(values).is_err());
        }
    }
}

//! [`Fingerprint`]: identifies an encoder by its embeddings of one text and one picture.

use std::fmt;

use crate::embedder::probe::SAME;
use crate::embedder::{Embedder, EmbedderExt, Embedding};
use crate::error::at_least_one;
use crate::{Error, Image, Result};

/// Identifies the encoder of a gallery by its embeddings of one fixed text and one fixed picture. A
/// name would say nothing of weights, tokenizer and preprocessing.
///
/// The picture is fine-grained and not square, so that another resampling, cropping or
/// normalisation changes its embedding. The text has capitals, an accent and digits, so that
/// another tokenizer changes its embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Fingerprint {
    pub(crate) encoder: String,
    pub(crate) dim: usize,
    /// Of [`TEXT`] and of [`picture`].
    pub(crate) probes: Option<[Embedding; 2]>,
}

const TEXT: &str = "A photograph of 2 Café-blue zebras, at dawn";

impl Fingerprint {
    /// The fingerprint of `embedder`.
    ///
    /// # Errors
    /// Those of the embedder; [`Error::Backend`] when it gives a wrong number of embeddings, or of
    /// another dimension than it says.
    pub async fn of<E: Embedder + ?Sized>(embedder: &E) -> Result<Self> {
        let text = embedder.embed_text(TEXT).await?;
        let picture = embedder.embed_image(&picture()?).await?;
        let (encoder, dim) = (embedder.to_string(), embedder.dim());
        Ok(Self { encoder, dim, probes: Some([text, picture]) })
    }

    /// The fingerprint of an encoder that is not at hand, for vectors of `dim` values. Only its
    /// name is compared.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `dim` is 0.
    pub fn named(encoder: impl Into<String>, dim: usize) -> Result<Self> {
        at_least_one("dimension", dim)?;
        Ok(Self { encoder: encoder.into(), dim, probes: None })
    }

    /// The fingerprint of `embedder` as far as its text tells, with the picture of this one.
    pub(crate) async fn renewed_text<E: Embedder + ?Sized>(&self, embedder: &E) -> Result<Self> {
        let Some([_, picture]) = self.probes.clone() else { return Ok(self.clone()) };
        let text = embedder.embed_text(TEXT).await?;
        let (encoder, dim) = (embedder.to_string(), embedder.dim());
        Ok(Self { encoder, dim, probes: Some([text, picture]) })
    }

    /// The encoder, by its `Display`.
    pub fn encoder(&self) -> &str {
        &self.encoder
    }

    /// Number of values of an embedding.
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Compares this fingerprint of a gallery with that of the encoder that you want to use on it.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when they are not of one encoder; it names both.
    pub fn check(&self, other: &Self) -> Result<()> {
        let differ = |expected: String, found: String| {
            let left = format!("the gallery, embedded by {}", self.encoder);
            Err(Error::incompatible(left, &other.encoder, expected, found))
        };
        if self.dim != other.dim {
            return differ(format!("{} values an embedding", self.dim), other.dim.to_string());
        }
        let (Some(ours), Some(theirs)) = (&self.probes, &other.probes) else {
            if self.encoder == other.encoder {
                return Ok(());
            }
            return differ(self.encoder.clone(), other.encoder.clone());
        };
        for (what, (ours, theirs)) in ["text", "picture"].into_iter().zip(ours.iter().zip(theirs)) {
            let similarity = ours.similarity(theirs);
            if similarity < SAME {
                return differ(
                    format!("the embedding it gave the probe {what} (cosine at least {SAME})"),
                    format!("cosine {similarity:.4}: other weights or other preprocessing"),
                );
            }
        }
        Ok(())
    }
}

/// A picture of fine, irregular detail in all three channels.
pub(crate) fn picture() -> Result<Image> {
    const WIDTH: u32 = 96;
    const HEIGHT: u32 = 64;
    let pixels: Vec<u8> = (0..HEIGHT)
        .flat_map(|y| (0..WIDTH).map(move |x| (x, y)))
        .flat_map(|(x, y)| [x * x + 3 * y * y, x * y + 5 * x, (x / 8 + y / 8) % 2 * 200 + x])
        .map(|value| (value % 256) as u8)
        .collect();
    Image::new(WIDTH, HEIGHT, pixels)
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} values", self.encoder, self.dim)
    }
}

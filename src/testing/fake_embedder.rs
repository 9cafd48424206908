//! [`FakeEmbedder`]: a space of colours, where "red" is close to red pictures.

use async_trait::async_trait;

use super::fake_conditioner::mean_colour;
use super::{colour_of, pause};
use crate::embedder::{Batching, Embedded, Embedder, Embedding, PartlyEmbedded};
use crate::{Image, Result};

/// Embeds an image as its mean colour and a text as the colour it names, else as a colour that
/// depends on the text alone.
///
/// ```
/// use futures::executor::block_on;
/// use imagerag::EmbedderExt;
/// use imagerag::testing::{FakeEmbedder, solid};
///
/// let image = block_on(FakeEmbedder.embed_image(&solid(8, 8, [200, 0, 0])))?;
/// let text = block_on(FakeEmbedder.embed_text("a red car"))?;
/// assert!(text.similarity(&image) > 0.99);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeEmbedder;

/// Colours that a text can name, with values in [0, 1].
const COLOURS: [(&str, [f32; 3]); 7] = [
    ("red", [1.0, 0.0, 0.0]),
    ("green", [0.0, 1.0, 0.0]),
    ("blue", [0.0, 0.0, 1.0]),
    ("yellow", [1.0, 1.0, 0.0]),
    ("magenta", [1.0, 0.0, 1.0]),
    ("cyan", [0.0, 1.0, 1.0]),
    ("white", [1.0, 1.0, 1.0]),
];

/// Keeps black pictures from having no direction.
const OFFSET: f32 = 1.0 / 512.0;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Embedder for FakeEmbedder {
    fn dim(&self) -> usize {
        3
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        pause().await;
        texts
            .iter()
            .map(|text| {
                let named = COLOURS.iter().find(|(name, _)| {
                    text.split(|c: char| !c.is_alphanumeric())
                        .any(|word| word.eq_ignore_ascii_case(name))
                });
                let rgb = named.map_or_else(
                    || colour_of(text).map(|value| f32::from(value) / 255.0),
                    |(_, rgb)| *rgb,
                );
                Embedding::new(rgb.map(|value| value + OFFSET))
            })
            .collect()
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        pause().await;
        images
            .iter()
            .map(|image| Embedding::new(mean_colour(image).map(|value| value + OFFSET)))
            .collect()
    }

    async fn embed_images_partly(&self, images: &[Image]) -> PartlyEmbedded {
        match self.embed_images(images).await {
            Ok(embedded) => embedded.into(),
            Err(error) => PartlyEmbedded::failed(images.len(), error),
        }
    }

    fn preprocess(&self, image: &Image) -> Image {
        image.clone()
    }

    fn batching(&self) -> Batching {
        Batching::default()
    }
}

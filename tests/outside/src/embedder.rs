//! An embedder: pictures by their mean colour, texts by the colour that they name.

use imagerag::embedder::{Embedded, Embedding};
use imagerag::{Embedder, Image, Result, Usage, async_trait};

use crate::{hash, mean};

/// Sees colours.
#[derive(Clone, Copy, Debug)]
pub struct Eye;

const COLOURS: [(&str, [f32; 3]); 3] =
    [("red", [255.0, 0.0, 0.0]), ("green", [0.0, 255.0, 0.0]), ("blue", [0.0, 0.0, 255.0])];

#[async_trait]
impl Embedder for Eye {
    fn dim(&self) -> usize {
        3
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        let embed = |text: &&str| {
            let named = COLOURS.iter().find(|(name, _)| text.contains(name));
            let rgb = named.map_or([f32::from(hash(text)), 99.0, 9.0], |(_, rgb)| *rgb);
            Embedding::new(rgb.map(|channel| channel + 1.0))
        };
        let embeddings: Embedded = texts.iter().map(embed).collect::<Result<_>>()?;
        Ok(embeddings.with_usage(Usage::tokens(texts.len() as u64, 0)))
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        let embed = |image| Embedding::new(mean(image).map(|channel| channel + 1.0));
        images.iter().map(embed).collect()
    }
}

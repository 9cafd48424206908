//! A retriever and an embedder for tests that say what they were asked.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use imagerag::embedder::{Embedded, Embedding};
use imagerag::reference::{Caption, Provenance, Reference, Source};
use imagerag::retriever::RetrieveRequest;
use imagerag::testing::solid;
use imagerag::vlm::ChatReply;
use imagerag::{Embedder, Image, Result, Retriever};

/// Finds the same images for every caption: source, score and stored caption of each.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    name: &'static str,
    found: Vec<(&'static str, f32, Option<&'static str>)>,
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Shelf {
    pub(crate) fn new(
        name: &'static str,
        found: &[(&'static str, f32, Option<&'static str>)],
    ) -> Self {
        Self { name, found: found.to_vec(), asked: Arc::default() }
    }

    /// Images with scores that fall from 0.9 by 0.1.
    pub(crate) fn plain(name: &'static str, sources: &[&'static str]) -> Self {
        let scored = sources.iter().enumerate().map(|(n, s)| (*s, 0.9 - 0.1 * n as f32, None));
        Self::new(name, &scored.collect::<Vec<_>>())
    }

    pub(crate) fn asked(&self) -> Vec<usize> {
        self.asked.lock().unwrap().clone()
    }
}

/// A picture for each source; "copy of x" looks like "x".
pub(crate) fn picture(source: &str) -> Image {
    let name = source.strip_prefix("copy of ").unwrap_or(source);
    let sum = name.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    solid(4, 4, [sum, 100, name.len() as u8])
}

fn reference(
    caption: &Caption,
    name: &str,
    found: (&str, f32, Option<&str>),
    rank: usize,
) -> Reference {
    let mut provenance = Provenance::new(Source::Uri(found.0.to_owned()), name, found.1, rank);
    provenance.metadata.caption = found.2.map(str::to_owned);
    Reference { picture: picture(found.0).into(), caption: caption.clone(), provenance }
}

#[async_trait]
impl Retriever for Shelf {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let RetrieveRequest { captions, limit, .. } = request;
        self.asked.lock().unwrap().push(*limit);
        let list = |caption: &Caption| {
            let found = self.found.iter().take(*limit).enumerate();
            found.map(|(rank, found)| reference(caption, self.name, *found, rank)).collect()
        };
        Ok(captions.iter().map(list).collect())
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Embeds an image as the share of red in its pixels, and counts what it is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redness {
    pub(crate) texts: Arc<Mutex<Vec<String>>>,
    pub(crate) images: Arc<Mutex<Vec<Image>>>,
    pub(crate) empty: bool,
}

impl fmt::Display for Redness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redness")
    }
}

#[async_trait]
impl Embedder for Redness {
    fn dim(&self) -> usize {
        2
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        self.texts.lock().unwrap().extend(texts.iter().map(|text| (*text).to_owned()));
        texts.iter().map(|_| Embedding::new([1.0, 0.0])).collect()
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        if self.empty {
            return Ok(Embedded::default());
        }
        self.images.lock().unwrap().extend(images.iter().cloned());
        let embed = |image: &Image| {
            let red = f32::from(image.pixels()[0]) / 255.0;
            Embedding::new([red, (1.0 - red * red).sqrt()])
        };
        images.iter().map(embed).collect()
    }
}

/// A reply in which the model declines.
pub(crate) fn refusing(text: &str) -> ChatReply {
    let mut reply = ChatReply::new("");
    reply.refusal = Some(text.to_owned());
    reply
}

//! [`FakeRetriever`]: a shelf of labelled images, found by the words of their label.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{lock, pause};
use crate::reference::{Caption, Provenance, Reference, Source};
use crate::retriever::{RetrieveRequest, Retriever};
use crate::{Image, Result};

/// Finds images by the words that caption and label share: their number over the number of words in
/// either (Jaccard), in (0, 1]. A label that shares none is not found.
#[derive(Clone, Debug, Default)]
pub struct FakeRetriever {
    shelf: Vec<(String, Image)>,
    captions: Arc<Mutex<Vec<Caption>>>,
}

impl FakeRetriever {
    /// A retriever of `images` with their labels; a label is also the image's source.
    pub fn new<S: Into<String>>(images: impl IntoIterator<Item = (S, Image)>) -> Self {
        let shelf = images.into_iter().map(|(label, image)| (label.into(), image)).collect();
        Self { shelf, captions: Arc::default() }
    }

    /// Every caption that was looked for so far; clones share them.
    pub fn captions(&self) -> Vec<Caption> {
        lock(&self.captions).clone()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Retriever for FakeRetriever {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let RetrieveRequest { captions, limit, .. } = request;
        lock(&self.captions).extend(captions.iter().cloned());
        pause().await;
        Ok(captions.iter().map(|caption| self.find(caption, *limit)).collect())
    }
}

impl FakeRetriever {
    fn find(&self, caption: &Caption, limit: usize) -> Vec<Reference> {
        let wanted = words(&caption.text);
        let mut found: Vec<(f32, &String, &Image)> = self
            .shelf
            .iter()
            .map(|(label, image)| {
                let held = words(label);
                let (shared, either) =
                    (wanted.intersection(&held).count(), wanted.union(&held).count());
                (shared as f32 / either.max(1) as f32, label, image)
            })
            .filter(|(score, ..)| *score > 0.0)
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0)); // Stable: ties stay in the order of the shelf.
        found
            .into_iter()
            .take(limit)
            .enumerate()
            .map(|(rank, (score, label, image))| Reference {
                picture: image.clone().into(),
                caption: caption.clone(),
                provenance: Provenance::new(Source::Uri(label.clone()), self, score, rank),
            })
            .collect()
    }
}

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_lowercase).collect()
}

impl fmt::Display for FakeRetriever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeRetriever({} images)", self.shelf.len())
    }
}

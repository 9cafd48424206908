//! [`Mmr`]: candidates that look alike to an order where each of the first ones adds something.

use std::fmt;

use async_trait::async_trait;

use super::{Ranking, Reranker};
use crate::embedder::{Embedder, Embedding};
use crate::image::Image;
use crate::reference::Reference;
use crate::{Error, Result};

/// Maximal marginal relevance (Carbonell and Goldstein, 1998): the next reference is the one that is
/// the closest to the caption and the least like those before it. For pipelines that take several
/// references for a caption; the first one is the closest, as without it.
///
/// The score is relevance · (cosine similarity to the caption) − (1 − relevance) · (the largest
/// cosine similarity to a reference before it, at least 0), in [-1, 1].
#[derive(Clone, Debug)]
pub struct Mmr<E> {
    embedder: E,
    relevance: f32,
}

impl<E: Embedder> Mmr<E> {
    /// An order by `embedder`. A `relevance` of 1 asks for closeness to the caption alone, 0 for
    /// difference alone; 0.5 is usual.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `relevance` is not in [0, 1].
    pub fn new(embedder: E, relevance: f32) -> Result<Self> {
        if !(0.0..=1.0).contains(&relevance) {
            return Err(Error::invalid_input("relevance", "0 to 1", relevance));
        }
        Ok(Self { embedder, relevance })
    }

    /// The score of each of `images`, taken one after the other.
    fn scores(&self, caption: &Embedding, images: &[Embedding]) -> Vec<f32> {
        let relevance: Vec<f32> =
            images.iter().map(|image| self.relevance * image.similarity(caption)).collect();
        let mut likeness = vec![0.0_f32; images.len()]; // To the closest of those that are taken.
        let mut scores: Vec<Option<f32>> = vec![None; images.len()];
        for _ in images {
            let score = |n: usize| relevance[n] - (1.0 - self.relevance) * likeness[n];
            // `max_by` takes the last of equals: turned round, the first.
            let left = (0..images.len()).rev().filter(|&n| scores[n].is_none());
            let Some(best) = left.max_by(|&a, &b| score(a).total_cmp(&score(b))) else { break };
            scores[best] = Some(score(best));
            for (likeness, image) in likeness.iter_mut().zip(images) {
                *likeness = likeness.max(image.similarity(&images[best]));
            }
        }
        scores.into_iter().flatten().collect()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Embedder> Reranker for Mmr<E> {
    async fn rank(&self, lists: &[Vec<Reference>]) -> Result<Vec<Ranking>> {
        // 1. Every caption and every candidate, embedded together.
        let firsts = lists.iter().filter_map(|list| list.first());
        let texts: Vec<&str> = firsts.map(|first| first.caption.text.as_str()).collect();
        let images: Vec<Image> = lists.iter().flatten().map(|one| one.image.clone()).collect();
        let captions = self.embedder.embed_texts(&texts).await?;
        let embedded = self.embedder.embed_images(&images).await?;
        if (captions.len(), embedded.len()) != (texts.len(), images.len()) {
            return Err(Error::backend(
                self.embedder.to_string(),
                format!(
                    "expected {} and {} embeddings, found {} and {}",
                    texts.len(),
                    images.len(),
                    captions.len(),
                    embedded.len()
                ),
            ));
        }

        // 2. List by list.
        let (mut captions, mut rest) = (captions.iter(), embedded.as_slice());
        let rank = |list: &Vec<Reference>| {
            let (images, others) = rest.split_at(list.len());
            rest = others;
            let caption = if list.is_empty() { None } else { captions.next() };
            let scores = caption.map_or(vec![], |caption| self.scores(caption, images));
            Ranking { scores, note: None }
        };
        Ok(lists.iter().map(rank).collect())
    }
}

impl<E: fmt::Display> fmt::Display for Mmr<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MMR({}, {})", self.embedder, self.relevance)
    }
}

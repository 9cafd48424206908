//! [`Mmr`]: orders candidates so that the first ones differ from each other.

use std::fmt;

use async_trait::async_trait;
use futures::future::try_join_all;

use super::{Ranking, RerankRequest, Reranker};
use crate::embedder::{Embedder, Embedding, check_dim};
use crate::image::Image;
use crate::reference::Reference;
use crate::{Error, Result};

/// The score of a picture that cannot be read and may be passed over: the lowest there is.
const UNREAD: f32 = -1.0;

/// Maximal marginal relevance (Carbonell and Goldstein, 1998): each next reference is close to the
/// caption and unlike those before it. It is for pipelines that take several references per
/// caption; the first reference is the closest one, as without it.
///
/// The score is λ · (cosine similarity to the caption) − (1 − λ) · (the largest cosine similarity
/// to a reference before it, at least 0), in [-1, 1]. λ is the argument `relevance` of
/// [`new`](Self::new).
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::reference::Caption;
/// use imagerag::retriever::{Mmr, Rerank, RetrieveRequest, Retriever};
/// use imagerag::testing::{FakeEmbedder, FakeRetriever, solid};
///
/// // Two pictures are nearly the same.
/// let shelf = FakeRetriever::new([
///     ("red car", solid(8, 8, [200, 0, 0])),
///     ("red car again", solid(8, 8, [201, 0, 0])),
///     ("red car at night", solid(8, 8, [90, 60, 60])),
/// ]);
/// let retriever = Rerank::new(shelf, Mmr::new(FakeEmbedder, 0.3)?, 3)?;
/// let request = RetrieveRequest::new([Caption::concept("red car")], 2);
/// let found = block_on(retriever.retrieve(&request))?;
/// assert_eq!(found[0][1].provenance.source.to_string(), "red car at night");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mmr<E> {
    embedder: E,
    relevance: f32,
}

impl<E: Embedder> Mmr<E> {
    /// Compares with `embedder`. `relevance` is λ: 1 looks only at the similarity to the caption, 0
    /// only at the difference; 0.5 is usual.
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
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        // 1. Every caption and every candidate, embedded together.
        let asked = request.each().filter(|(_, list)| !list.is_empty());
        let texts: Vec<&str> = asked.map(|(caption, _)| caption.text.as_str()).collect();
        let all = request.lists.iter().flatten().map(Reference::readable_image);
        let read: Vec<Option<Image>> = try_join_all(all).await?;
        let images: Vec<Image> = read.iter().flatten().cloned().collect();
        let captions = self.embedder.embed_texts(&texts).await?;
        let embedded = self.embedder.embed_images(&images).await?;
        for embedded in [&captions, &embedded] {
            request.log.record_usage("re-ranking", &self.embedder, embedded.usage);
        }
        let (expected, found) = ((texts.len(), images.len()), (captions.len(), embedded.len()));
        if found != expected {
            let expected = format!("expected {} and {} embeddings", expected.0, expected.1);
            let problem = format!("{expected}, found {} and {}", found.0, found.1);
            return Err(Error::backend(self.embedder.to_string(), problem));
        }
        check_dim(&self.embedder, &captions)?;
        check_dim(&self.embedder, &embedded)?;

        // 2. List by list.
        let (mut captions, mut embedded) = (captions.iter(), embedded.into_iter());
        let mut read = read.iter();
        let rank = |list: &Vec<Reference>| {
            let read: Vec<bool> = read.by_ref().take(list.len()).map(Option::is_some).collect();
            let there = read.iter().filter(|is_read| **is_read).count();
            let images: Vec<Embedding> = embedded.by_ref().take(there).collect();
            let caption = if list.is_empty() { None } else { captions.next() };
            let mut scores = caption.map_or(vec![], |c| self.scores(c, &images)).into_iter();
            let score = |is_read| if is_read { scores.next() } else { None };
            let scores = read.into_iter().map(score).map(|s| s.unwrap_or(UNREAD)).collect();
            Ranking { scores, note: None }
        };
        Ok(request.lists.iter().map(rank).collect())
    }
}

impl<E: fmt::Display> fmt::Display for Mmr<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MMR(")?;
        self.embedder.fmt(f)?; // `{:#}` is for the part inside too.
        write!(f, ", {})", self.relevance)
    }
}

//! [`PartlyEmbedded`]: images, of which some may be refused or not reached, to what became of each.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Embedded, Embedder, Embedding, check_dim};
use crate::forward::check_count;
use crate::{Error, Image, Result, Usage};

/// What became of each image of a call of [`Embedder::embed_images_partly`].
///
/// An image that has no embedding and is not among the refused was not reached, and
/// [`error`](Self::error) says why.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct PartlyEmbedded {
    /// The embedding of each image that has one, in the order of the images.
    pub embeddings: Vec<Option<Embedding>>,
    /// Images that cannot be embedded while others can: their places, counted from 0, and the reasons.
    pub refused: Vec<(usize, Error)>,
    /// What a paid service charges for all of this.
    pub usage: Option<Usage>,
    /// Why other images have no embedding.
    pub error: Option<Error>,
}

impl PartlyEmbedded {
    /// None of so many `images` is embedded, because of `error`.
    pub fn failed(images: usize, error: Error) -> Self {
        Self { embeddings: vec![None; images], error: Some(error), ..Self::default() }
    }

    /// Takes in what became of the images behind these.
    pub(crate) fn append(&mut self, next: Self) {
        let before = self.embeddings.len();
        self.embeddings.extend(next.embeddings);
        self.refused.extend(next.refused.into_iter().map(|(at, error)| (before + at, error)));
        if let Some(usage) = next.usage {
            *self.usage.get_or_insert_default() += usage;
        }
        self.error = self.error.take().or(next.error);
    }
}

impl From<Embedded> for PartlyEmbedded {
    fn from(embedded: Embedded) -> Self {
        let embeddings = embedded.embeddings.into_iter().map(Some).collect();
        Self { embeddings, usage: embedded.usage, ..Self::default() }
    }
}

/// What several calls, of one embedder or of several, gave for some images together.
#[derive(Debug)]
pub(crate) struct Gathered(Mutex<PartlyEmbedded>);

impl Gathered {
    pub(crate) fn new(images: usize) -> Self {
        let embeddings = vec![None; images];
        Self(Mutex::new(PartlyEmbedded { embeddings, ..PartlyEmbedded::default() }))
    }

    /// Asks `embedder` for those of `images` that are neither embedded nor refused so far.
    ///
    /// # Errors
    /// Why some of them still are not; [`Error::Backend`] where it gives another number of embeddings,
    /// or other ones, than it should.
    pub(crate) async fn ask<E: Embedder + ?Sized>(
        &self,
        embedder: &E,
        images: &[Image],
    ) -> Result<()> {
        let answer = self.answer(embedder, images).await?;
        self.take(embedder, answer)
    }

    /// What `embedder` answers to that, before it is taken.
    pub(crate) async fn answer<E: Embedder + ?Sized>(
        &self,
        embedder: &E,
        images: &[Image],
    ) -> Result<Answer> {
        let places = self.missing();
        if places.is_empty() {
            return Ok(Answer { places, found: PartlyEmbedded::default() });
        }
        let asked: Vec<Image> = places.iter().map(|at| images[*at].clone()).collect();
        let found = embedder.embed_images_partly(&asked).await;
        check_count(embedder, "embeddings", asked.len(), found.embeddings.len())?;
        for embedding in found.embeddings.iter().flatten() {
            check_dim(embedder, std::slice::from_ref(embedding))?;
        }
        Ok(Answer { places, found })
    }

    /// Adds what `embedder` answered.
    pub(crate) fn take<E: Embedder + ?Sized>(&self, embedder: &E, answer: Answer) -> Result<()> {
        let Answer { places, found } = answer;
        {
            let mut all = self.lock();
            for (at, embedding) in places.iter().zip(found.embeddings) {
                all.embeddings[*at] = embedding;
            }
            let refused = found.refused.into_iter();
            all.refused.extend(refused.filter_map(|(at, error)| Some((*places.get(at)?, error))));
            if let Some(usage) = found.usage {
                *all.usage.get_or_insert_default() += usage;
            }
        }
        let problem = "some images have neither an embedding nor a reason";
        match found.error {
            Some(error) => Err(error),
            None if self.missing().is_empty() => Ok(()),
            None => Err(Error::backend(embedder.to_string(), problem)),
        }
    }

    /// Everything, where the last call ended with `outcome`.
    pub(crate) fn end(self, outcome: Result<()>) -> PartlyEmbedded {
        let all = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        PartlyEmbedded { error: outcome.err(), ..all }
    }

    /// The places of images that are neither embedded nor refused.
    fn missing(&self) -> Vec<usize> {
        let all = self.lock();
        let is_missing = |at: &usize| {
            all.embeddings[*at].is_none() && all.refused.iter().all(|(refused, _)| refused != at)
        };
        (0..all.embeddings.len()).filter(is_missing).collect()
    }

    fn lock(&self) -> MutexGuard<'_, PartlyEmbedded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an embedder answered for the images at some places.
#[derive(Debug)]
pub(crate) struct Answer {
    places: Vec<usize>,
    found: PartlyEmbedded,
}

impl Answer {
    /// The first image that has an embedding, by its place, with that.
    pub(crate) fn first(&self) -> Option<(usize, &Embedding)> {
        let mut all = self.places.iter().zip(&self.found.embeddings);
        all.find_map(|(at, embedding)| Some((*at, embedding.as_ref()?)))
    }
}

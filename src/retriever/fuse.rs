//! [`Fuse`]: the lists of several retrievers to one list.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;

use super::{Caption, Finding, Reference, Retriever, one_list_each};
use crate::{Error, Result};

/// What keeps the first places of reciprocal rank fusion from outweighing everything else; 60 as in
/// Cormack et al., 2009.
const RRF_K: f32 = 60.0;

/// Asks several retrievers at once and merges what they find; the paper takes the top 3 of CLIP and
/// of SigLIP. An image that several find is one reference: images are the same where their sources
/// or their pixels are equal. Equal scores stay in the order of the retrievers.
///
/// Who found a reference, with which score and at which rank, is in
/// [`Provenance::found_by`](super::Provenance::found_by).
#[derive(Clone, Debug)]
pub struct Fuse {
    retrievers: Vec<Arc<dyn Retriever>>,
    weights: Vec<f32>,
    depth: usize,
    by: By,
    tolerant: bool,
}

#[derive(Clone, Copy, Debug)]
enum By {
    Rank,
    Score,
}

impl Fuse {
    /// Reciprocal rank fusion of the best `depth` of each retriever: the score is the sum over the
    /// retrievers that found the image of weight / (60 + place), the first place being 1. With two
    /// retrievers of weight 1 it is at most 2/61.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is no retriever or `depth` is 0.
    pub fn by_rank(
        retrievers: impl IntoIterator<Item = Arc<dyn Retriever>>,
        depth: usize,
    ) -> Result<Self> {
        Self::new(retrievers, depth, By::Rank)
    }

    /// Fusion of the best `depth` of each retriever by score: the weighted mean over all retrievers
    /// of the scores scaled to [0, 1] list by list, from the lowest of the list to the highest. An
    /// image that was not found counts 0; in a list of one, or of equal scores, each counts 1. In
    /// [0, 1].
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is no retriever or `depth` is 0.
    pub fn by_score(
        retrievers: impl IntoIterator<Item = Arc<dyn Retriever>>,
        depth: usize,
    ) -> Result<Self> {
        Self::new(retrievers, depth, By::Score)
    }

    fn new(
        retrievers: impl IntoIterator<Item = Arc<dyn Retriever>>,
        depth: usize,
        by: By,
    ) -> Result<Self> {
        let retrievers: Vec<_> = retrievers.into_iter().collect();
        for (what, count) in [("retrievers", retrievers.len()), ("depth", depth)] {
            if count == 0 {
                return Err(Error::invalid_input(what, "at least 1", count));
            }
        }
        let weights = vec![1.0; retrievers.len()];
        Ok(Self { retrievers, weights, depth, by, tolerant: false })
    }

    /// How much each retriever counts, in their order; 1 each by default.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there are not as many weights as retrievers, or one is not
    /// finite and above 0.
    pub fn with_weights(mut self, weights: impl Into<Vec<f32>>) -> Result<Self> {
        self.weights = weights.into();
        let sum: f32 = self.weights.iter().sum();
        if self.weights.len() != self.retrievers.len()
            || !sum.is_finite()
            || self.weights.iter().any(|weight| *weight <= 0.0)
        {
            return Err(Error::invalid_input(
                "weights",
                format!("{} finite numbers above 0", self.retrievers.len()),
                format!("{:?}", self.weights),
            ));
        }
        Ok(self)
    }

    /// Goes on with the others where a retriever fails; which one and why is then in the note of
    /// each reference. Without it one failure is the failure of all, and with it that of every one.
    #[must_use]
    pub const fn tolerating_failures(mut self) -> Self {
        self.tolerant = true;
        self
    }

    /// What each retriever finds, with its weight, and which ones failed.
    async fn ask(&self, captions: &[Caption]) -> Result<(Vec<(f32, Vec<Vec<Reference>>)>, String)> {
        let asked = self.retrievers.iter().map(|r| r.retrieve(captions, self.depth));
        let (mut found, mut failed, mut first) = (Vec::new(), Vec::new(), None);
        for ((retriever, &weight), lists) in
            self.retrievers.iter().zip(&self.weights).zip(join_all(asked).await)
        {
            match lists.and_then(|lists| one_list_each(retriever, captions, lists)) {
                Ok(lists) => found.push((weight, lists)),
                Err(error) if !self.tolerant => return Err(error),
                Err(error) => {
                    failed.push(format!("{retriever} failed: {error}"));
                    first.get_or_insert(error);
                }
            }
        }
        match first.filter(|_| found.is_empty()) {
            Some(error) => Err(error),
            None => Ok((found, failed.join("; "))),
        }
    }

    /// What each reference of `list` adds to its score for a weight of 1.
    fn shares(&self, list: &[Reference]) -> Vec<f32> {
        match self.by {
            By::Rank => (1..=list.len()).map(|place| 1.0 / (RRF_K + place as f32)).collect(),
            By::Score => {
                let scores = list.iter().map(|reference| reference.provenance.score);
                let finite = scores.clone().filter(|score| score.is_finite());
                let lowest = finite.clone().fold(f32::INFINITY, f32::min);
                let range = finite.fold(f32::NEG_INFINITY, f32::max) - lowest;
                let share = |score: f32| match score.is_finite() {
                    true if range > 0.0 => (score - lowest) / range,
                    finite => f32::from(u8::from(finite)),
                };
                scores.map(share).collect()
            }
        }
    }

    /// The lists of one caption, each with its weight, merged.
    fn merge(&self, lists: Vec<(f32, Vec<Reference>)>, limit: usize, note: &str) -> Vec<Reference> {
        let scale: f32 = match self.by {
            By::Rank => 1.0,
            By::Score => 1.0 / self.weights.iter().sum::<f32>(),
        };
        let mut merged: Vec<(f32, Reference)> = Vec::new();
        for (weight, mut list) in lists {
            list.truncate(self.depth);
            let shares = self.shares(&list);
            let before = merged.len();
            let mut counted = vec![false; before];
            for (share, mut found) in shares.into_iter().zip(list) {
                let finding = Finding::of(&found.provenance);
                let added = weight * share * scale;
                let same = |(_, known): &(f32, Reference)| known.shows_the_same(&found);
                match merged.iter().position(same) {
                    None => {
                        found.provenance.found_by.push(finding);
                        merged.push((added, found));
                    }
                    Some(at) => {
                        // The same image twice in one list counts once, at its best place.
                        if at < before && !std::mem::replace(&mut counted[at], true) {
                            let (score, known) = &mut merged[at];
                            *score += added;
                            known.provenance.found_by.append(&mut found.provenance.found_by);
                            known.provenance.found_by.push(finding);
                        }
                    }
                }
            }
        }
        merged.sort_by(|a, b| b.0.total_cmp(&a.0)); // Stable: ties stay in the retrievers' order.
        merged.truncate(limit);
        let name = self.to_string();
        let place = |(rank, (score, mut reference)): (usize, (f32, Reference))| {
            let provenance = &mut reference.provenance;
            (provenance.score, provenance.rank) = (score, rank);
            provenance.retriever.clone_from(&name);
            provenance.note = Some(note.to_owned()).filter(|note| !note.is_empty());
            reference
        };
        merged.into_iter().enumerate().map(place).collect()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Retriever for Fuse {
    async fn retrieve(&self, captions: &[Caption], limit: usize) -> Result<Vec<Vec<Reference>>> {
        if captions.is_empty() || limit == 0 {
            return Ok(vec![Vec::new(); captions.len()]);
        }
        let (found, note) = self.ask(captions).await?;
        let mut by_caption = vec![Vec::new(); captions.len()];
        for (weight, lists) in found {
            for (of_caption, list) in by_caption.iter_mut().zip(lists) {
                of_caption.push((weight, list));
            }
        }
        Ok(by_caption.into_iter().map(|lists| self.merge(lists, limit, &note)).collect())
    }
}

impl fmt::Display for Fuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            By::Rank => "rank",
            By::Score => "score",
        };
        let names: Vec<String> = self.retrievers.iter().map(ToString::to_string).collect();
        write!(f, "Fuse({}, by {by})", names.join(", "))
    }
}

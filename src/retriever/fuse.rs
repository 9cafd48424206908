//! [`Fuse`]: merges the lists of several retrievers into one.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;

use super::{RetrieveRequest, Retriever, one_list_each};
use crate::error::at_least_one;
use crate::reference::{Finding, Provenance, Reference};
use crate::{Error, Result};

/// What keeps the first places of reciprocal rank fusion from outweighing everything else; 60 as in
/// Cormack et al., 2009.
const RRF_K: f32 = 60.0;

/// Asks several retrievers at once and merges their lists; the paper takes the top 3 of CLIP and of
/// SigLIP. An image that several retrievers find becomes one reference. Two images are the same if
/// their sources or their pictures are equal; nothing is decoded to find out. Where retrievers say
/// different licenses of one image, it has none, and its note says so. Equal scores stay in the order
/// of the retrievers.
///
/// [`Provenance::found_by`](crate::reference::Provenance::found_by) says which retrievers found a reference,
/// with which scores and ranks.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use std::sync::Arc;
/// use futures::executor::block_on;
/// use imagerag::reference::Caption;
/// use imagerag::retriever::{Fuse, RetrieveRequest, Retriever};
/// use imagerag::testing::{FakeRetriever, solid};
///
/// let ours = FakeRetriever::new([("a quetzal at dawn", solid(8, 8, [0, 140, 70]))]);
/// let archive = FakeRetriever::new([("a quetzal", solid(8, 8, [0, 90, 40]))]);
/// let each: [Arc<dyn Retriever>; 2] = [Arc::new(ours), Arc::new(archive)];
/// // Ours count twice, and an archive that cannot be reached holds up nothing.
/// let both = Fuse::by_score(each, 10)?.with_weights([2.0, 1.0])?.tolerating_failures();
/// let request = RetrieveRequest::new([Caption::concept("a quetzal")], 2);
/// let found = block_on(both.retrieve(&request))?;
/// let sources = found[0].iter().map(|reference| reference.provenance.source.to_string());
/// assert_eq!(sources.collect::<Vec<_>>(), ["a quetzal at dawn", "a quetzal"]);
/// # Ok::<(), imagerag::Error>(())
/// ```
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
    /// Reciprocal rank fusion of the best `depth` of each retriever. The score is the sum of weight
    /// / (60 + rank) over the retrievers that found the image, ranks counted from 1. With two
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

    /// Fusion of the best `depth` of each retriever by score. The scores of each list are scaled to
    /// [0, 1], from its lowest to its highest score; if all are equal, to 1. The result is the
    /// weighted mean over all retrievers, in [0, 1]; a retriever that did not find the image counts
    /// as 0.
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
        at_least_one("retrievers", retrievers.len())?;
        at_least_one("depth", depth)?;
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
            let expected = format!("{} finite numbers above 0", self.retrievers.len());
            return Err(Error::invalid_input("weights", expected, format!("{:?}", self.weights)));
        }
        Ok(self)
    }

    /// If a retriever fails, goes on with the others, and says which one failed and why in the note
    /// of each reference. If all fail, the error of the last one is returned. Without this setting,
    /// the first error is returned.
    #[must_use]
    pub const fn tolerating_failures(mut self) -> Self {
        self.tolerant = true;
        self
    }

    /// What each reference of `list` adds to its score for a weight of 1.
    fn shares(&self, list: &[Reference]) -> Vec<f32> {
        match self.by {
            By::Rank => (1..=list.len()).map(|place| 1.0 / (RRF_K + place as f32)).collect(),
            By::Score => min_max(list.iter().map(|reference| reference.provenance.score)),
        }
    }

    /// Adds what one retriever found to what the ones before it did.
    fn merge(&self, merged: &mut Vec<(f32, Reference)>, weight: f32, mut list: Vec<Reference>) {
        list.truncate(self.depth);
        let shares = self.shares(&list);
        let mut counted = Vec::new();
        for (share, mut found) in shares.into_iter().zip(list) {
            let finding = Finding::of(&found.provenance);
            let inside = std::mem::take(&mut found.provenance.found_by);
            let note = found.provenance.note.take();
            let same = |(_, known): &(f32, Reference)| known.shows_the_same(&found);
            let at = match merged.iter().position(same) {
                Some(at) => {
                    settle_license(&mut merged[at].1.provenance, &found.provenance);
                    at
                }
                None => {
                    merged.push((0.0, found));
                    merged.len() - 1
                }
            };
            if counted.contains(&at) {
                continue; // The same image twice in one list counts once, at its best place.
            }
            counted.push(at);
            let (score, known) = &mut merged[at];
            *score += weight * share;
            known.provenance.found_by.extend(inside.into_iter().chain([finding]));
            known.provenance.add_note(note.as_deref());
        }
    }

    /// The best `limit` of what was found, in order.
    fn rank(
        &self,
        mut merged: Vec<(f32, Reference)>,
        limit: usize,
        note: Option<&str>,
    ) -> Vec<Reference> {
        merged.sort_by(|a, b| b.0.total_cmp(&a.0)); // Stable: ties stay in the retrievers' order.
        merged.truncate(limit);
        let scale = match self.by {
            By::Rank => 1.0,
            By::Score => 1.0 / self.weights.iter().sum::<f32>(),
        };
        let name = self.to_string();
        let place = |(rank, (score, mut reference)): (usize, (f32, Reference))| {
            reference.provenance.place(&name, score * scale, rank);
            reference.provenance.add_note(note);
            reference
        };
        merged.into_iter().enumerate().map(place).collect()
    }
}

/// Takes the license from `known` where `other`, of the same picture, says a different one. A finding
/// without a license contradicts none.
fn settle_license(known: &mut Provenance, other: &Provenance) {
    if let (Some(one), Some(two)) = (&known.metadata.license, &other.metadata.license)
        && one != two
    {
        let said = format!("{one} by {}, {two} by {}", known.retriever, other.retriever);
        known.metadata.license = None;
        known.add_note(Some(&format!("it has no license, because several are said: {said}")));
    }
}

/// `scores` scaled to [0, 1]. All are 1 where all are equal; one that is no number counts as the
/// lowest.
fn min_max(scores: impl Iterator<Item = f32> + Clone) -> Vec<f32> {
    let finite = scores.clone().filter(|score| score.is_finite()).map(f64::from);
    let lowest = finite.clone().fold(f64::INFINITY, f64::min);
    let range = finite.fold(f64::NEG_INFINITY, f64::max) - lowest;
    let scale = |score: f32| match score.is_finite() {
        true if range > 0.0 => ((f64::from(score) - lowest) / range) as f32,
        true => 1.0,
        false => 0.0,
    };
    scores.map(scale).collect()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Retriever for Fuse {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let RetrieveRequest { captions, limit, .. } = request;
        if captions.is_empty() || *limit == 0 {
            return Ok(vec![Vec::new(); captions.len()]);
        }
        let mut merged = vec![Vec::new(); captions.len()];
        // Always to the same depth: a smaller limit must give the best of the same list.
        let deep = request.clone().with_limit(self.depth);
        let asked = self.retrievers.iter().map(|r| r.retrieve(&deep));
        let mut failed = Vec::new();
        for ((retriever, weight), lists) in
            self.retrievers.iter().zip(&self.weights).zip(join_all(asked).await)
        {
            match lists.and_then(|lists| one_list_each(retriever, captions, lists)) {
                Ok(lists) => {
                    for (merged, list) in merged.iter_mut().zip(lists) {
                        self.merge(merged, *weight, list);
                    }
                }
                Err(error) if self.tolerant && failed.len() + 1 < self.retrievers.len() => {
                    failed.push(format!("{retriever} failed: {}", error.chain()));
                }
                Err(error) => return Err(error),
            }
        }
        let note = (!failed.is_empty()).then(|| failed.join("; "));
        Ok(merged.into_iter().map(|found| self.rank(found, *limit, note.as_deref())).collect())
    }
}

impl fmt::Display for Fuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            By::Rank => "rank",
            By::Score => "score",
        };
        f.write_str("Fuse(")?;
        for retriever in &self.retrievers {
            fmt::Display::fmt(retriever, f)?; // `{:#}` is for the parts inside too.
            f.write_str(", ")?;
        }
        if f.alternate() {
            let Self { weights, depth, tolerant, .. } = self;
            write!(f, "weights {weights:?}, depth {depth}, tolerant {tolerant}, ")?;
        }
        write!(f, "by {by})")
    }
}

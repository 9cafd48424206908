//! Candidates to references: in the order of the service, or in that of an embedder.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{Either, join_all, select};
use futures_timer::Delay;

use super::Web;
use super::candidate::Candidate;
use super::pictures::missing;
use crate::embedder::{Embedder, Embedding, check_dim};
use crate::forward::check_count;
use crate::reference::{Caption, Picture, Provenance, Reference, Source};
use crate::retriever::RetrieveRequest;
use crate::{Error, Result, pool};

/// The score of a picture that could not be had: the lowest there is.
const MISSING: f32 = -1.0;
/// Pictures that are in memory and embedded together.
const BATCH: usize = 16;

/// More time than this is no limit, and more than clocks can tell.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A picture that was downloaded, with its embedding, or why there is none.
type Outcome = Result<(Arc<[u8]>, Embedding)>;

/// A picture, or what stands for one that could not be had.
struct Found {
    score: f32,
    picture: Picture,
    /// Why it could not be had.
    problem: Option<String>,
    /// Where it is, the first by the order of the service in front.
    copies: Vec<Candidate>,
}

impl Web {
    /// The references of one caption in the order of the service. Nothing is downloaded.
    pub(super) fn in_order(
        self: &Arc<Self>,
        name: &str,
        caption: &Caption,
        candidates: Vec<Candidate>,
        limit: usize,
    ) -> Vec<Reference> {
        let each = candidates.into_iter().take(limit).enumerate();
        each.map(|(rank, candidate)| {
            let picture = self.picture(&candidate);
            reference(name, caption, candidate, picture, 1.0 / (rank + 1) as f32, rank)
        })
        .collect()
    }

    /// The references of every caption, the most similar to it first and those that could not be had
    /// last.
    pub(super) async fn by_similarity(
        self: &Arc<Self>,
        name: &str,
        request: &RetrieveRequest,
        found: Vec<Vec<Candidate>>,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<Vec<Vec<Reference>>> {
        let outcomes = self.embedded(request, found.iter().flatten(), embedder).await?;
        if outcomes.is_empty() {
            return Ok(vec![Vec::new(); request.captions.len()]);
        }
        let queries = request.embeddings(embedder).await?;
        let lists = request.captions.iter().zip(&queries).zip(found);
        let list = |((caption, query), candidates): ((&Caption, &Embedding), Vec<Candidate>)| {
            let mut all: Vec<Found> = Vec::new();
            for candidate in candidates {
                let (score, picture, problem) = match &outcomes[&candidate.url] {
                    Ok((bytes, embedding)) => {
                        (embedding.similarity(query), self.decodable(Arc::clone(bytes)), None)
                    }
                    Err(reason) => {
                        let reason = reason.chain().to_string();
                        (MISSING, missing(&candidate, reason.clone()), Some(reason))
                    }
                };
                all.push(Found { score, picture, problem, copies: vec![candidate] });
            }
            // Equal scores stay in the order of the service.
            all.sort_by(|one, other| other.score.total_cmp(&one.score));
            let mut list: Vec<Found> = Vec::new();
            for found in all {
                // The same file at two addresses is one picture.
                match list.iter_mut().find(|other| other.picture == found.picture) {
                    Some(known) => known.copies.extend(found.copies),
                    None => list.push(found),
                }
            }
            let settled = list.into_iter().filter_map(|found| {
                let Found { score, picture, problem, copies } = found;
                let candidate = copies.first()?.with_copies(&copies);
                // It may have lost its license.
                self.filter
                    .matches(&candidate.metadata)
                    .then_some((candidate, picture, score, problem))
            });
            let placed = settled.take(request.limit).enumerate();
            placed
                .map(|(rank, (candidate, picture, score, problem))| {
                    let mut found = reference(name, caption, candidate, picture, score, rank);
                    found.provenance.add_note(problem.as_deref());
                    found
                })
                .collect()
        };
        Ok(lists.map(list).collect())
    }

    /// Each of `candidates` once, by its address, downloaded and embedded.
    async fn embedded<'a>(
        self: &Arc<Self>,
        request: &RetrieveRequest,
        candidates: impl Iterator<Item = &'a Candidate>,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<HashMap<String, Outcome>> {
        let begun = Instant::now();
        let mut all: Vec<(String, String)> = Vec::new();
        for candidate in candidates {
            if all.iter().all(|(url, _)| *url != candidate.url) {
                all.push((candidate.url.clone(), candidate.download.clone()));
            }
        }
        let mut outcomes = HashMap::new();
        for batch in all.chunks(BATCH) {
            let left = self.time_limit.saturating_sub(begun.elapsed());
            let loads = batch.iter().map(|(_, address)| self.prepared(address, embedder, left));
            let (mut ready, mut images) = (Vec::new(), Vec::new());
            for ((url, _), outcome) in batch.iter().zip(join_all(loads).await) {
                match outcome {
                    Ok((bytes, image)) => {
                        ready.push((url.clone(), bytes));
                        images.push(image);
                    }
                    Err(error) => drop(outcomes.insert(url.clone(), Err(error))),
                }
            }
            if images.is_empty() {
                continue;
            }
            let embedded = embedder.embed_images(&images).await?;
            request.log.record_usage("embedding candidates", embedder, embedded.usage);
            check_count(embedder, "embeddings", images.len(), embedded.len())?;
            check_dim(embedder, &embedded)?;
            for ((url, bytes), embedding) in ready.into_iter().zip(embedded.embeddings) {
                outcomes.insert(url, Ok((bytes, embedding)));
            }
        }
        Ok(outcomes)
    }

    /// The file at `address`, and its picture as small as `embedder` needs it, if that takes no longer
    /// than the time that is `left` to all.
    async fn prepared(
        self: &Arc<Self>,
        address: &str,
        embedder: &Arc<dyn Embedder>,
        left: Duration,
    ) -> Result<(Arc<[u8]>, crate::Image)> {
        let download = async {
            let (bytes, image) = self.downloaded(address).await?;
            let embedder = Arc::clone(embedder);
            let prepare = move || Ok(embedder.preprocess(&image));
            Ok((bytes, pool::run("preparing a picture", prepare).await?))
        };
        match select(Box::pin(download), Delay::new(left.min(LONGEST))).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(Error::timeout("downloading the candidates", self.time_limit)),
        }
    }
}

fn reference(
    name: &str,
    caption: &Caption,
    candidate: Candidate,
    picture: Picture,
    score: f32,
    rank: usize,
) -> Reference {
    let mut provenance = Provenance::new(Source::Uri(candidate.url), name, score, rank)
        .with_metadata(candidate.metadata);
    provenance.note = candidate.note;
    Reference { picture, caption: caption.clone(), provenance }
}

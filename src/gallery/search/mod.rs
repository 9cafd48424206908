//! [`Gallery::search`]: the images of a gallery that are closest to a query and pass a filter.

pub(in crate::gallery) mod approximate;
pub(in crate::gallery) mod index_note;
mod retriever;
#[cfg(feature = "faiss")]
mod saved_index;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::Serialize;

use super::store::record::Entry;
use super::store::snapshot::Snapshot;
use super::{Gallery, Reader};
use crate::embedder::Embedding;
use crate::index::{Hits, IdSet, Neighbor};
use crate::reference::Filter;
use crate::{Error, Result, pool};

pub use retriever::{Fetch, GalleryRetriever};

/// Options of [`Gallery::search`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SearchOptions {
    /// The most images per query.
    pub limit: usize,
    /// Which images may be found; every one by default.
    pub filter: Filter,
    /// Leaves out an image whose cosine similarity to a better one is at least this, in (0, 1]. By
    /// default `None`, which leaves out none.
    pub near_duplicates: Option<f32>,
}

impl SearchOptions {
    /// The best `limit` of all images.
    pub fn new(limit: usize) -> Self {
        Self { limit, filter: Filter::all(), near_duplicates: None }
    }

    /// Only images that `filter` lets through.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Leaves out an image whose cosine similarity to a better one is at least `threshold`,
    /// in (0, 1]. clip-retrieval takes 0.94.
    #[must_use]
    pub const fn without_near_duplicates(mut self, threshold: f32) -> Self {
        self.near_duplicates = Some(threshold);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |threshold: &f32| !(*threshold > 0.0 && *threshold <= 1.0);
        let Some(found) = self.near_duplicates.filter(wrong) else { return Ok(()) };
        Err(Error::invalid_input("near_duplicates", "a cosine similarity in (0, 1]", found))
    }
}

/// An image that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Found {
    /// The image.
    pub entry: Entry,
    /// Cosine similarity to the query, in [-1, 1]; higher is closer.
    pub score: f32,
}

impl fmt::Display for Found {
    /// The score and the image.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} {}", self.score, self.entry)
    }
}

/// What works beside the polling thread, for its errors.
const WORK: &str = "searching a gallery";
/// Filters, and sets of ids, of which what came of them is kept.
pub(super) const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8).unwrap();

impl Reader {
    fn select(&mut self, filter: &Filter) -> Result<Arc<IdSet>> {
        let Self { catalog, snapshot, selected } = self;
        let select = || snapshot.select(catalog, filter);
        selected.try_get_or_insert(format!("{filter:?}"), select).map(Arc::clone)
    }
}

impl Gallery {
    /// The images whose embeddings are closest to each query, sorted by falling score, then by
    /// rising id.
    ///
    /// The first search takes longer, because it compares the vectors with their checksums. After
    /// an addition, the next search checks the new vectors.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a query of another dimension or a threshold outside its range;
    /// [`Error::InvalidFile`] when a file of the gallery is damaged;
    /// [`Error::Unavailable`] when the gallery changes faster than it can be searched.
    pub async fn search(
        &self,
        queries: &[Embedding],
        options: &SearchOptions,
    ) -> Result<Vec<Vec<Found>>> {
        options.check()?;
        /// Searches that are given up because images that were found are gone by then.
        const TRIES: usize = 8;
        for _ in 0..TRIES {
            let (gallery, filter) = (self.clone(), options.filter.clone());
            let (snapshot, ids) = pool::run(WORK, move || {
                let mut reader = gallery.reader()?;
                let ids = reader.select(&filter)?;
                Ok((Arc::clone(&reader.snapshot), ids))
            })
            .await?;
            let limit = options.limit.min(ids.len());
            let mut found = Vec::with_capacity(queries.len());
            match options.near_duplicates {
                None => found = self.nearest(&snapshot, queries, &ids, limit).await?,
                Some(threshold) => {
                    for query in queries {
                        found.push(self.distinct(&snapshot, query, &ids, limit, threshold).await?);
                    }
                }
            }
            let (gallery, filter) = (self.clone(), options.filter.clone());
            let described = move || gallery.described(&snapshot, found, &filter);
            if let Some(found) = pool::run(WORK, described).await? {
                return Ok(found);
            }
        }
        let reason = "the images found were changed each time; try again";
        Err(Error::unavailable(format!("searching {self}"), reason))
    }

    /// The `limit` nearest of `ids`, none of which is as close to a better one as `threshold`.
    async fn distinct(
        &self,
        snapshot: &Arc<Snapshot>,
        query: &Embedding,
        ids: &Arc<IdSet>,
        limit: usize,
        threshold: f32,
    ) -> Result<Vec<Neighbor>> {
        let mut wide = limit;
        loop {
            let found = self.nearest(snapshot, std::slice::from_ref(query), ids, wide).await?;
            let snapshot = Arc::clone(snapshot);
            let kept = pool::run(WORK, move || {
                let mut kept: Vec<(Neighbor, Embedding)> = Vec::new();
                for neighbor in found.into_iter().flatten() {
                    let row = snapshot.vectors.row(neighbor.id)?;
                    let new = kept.iter().all(|(_, better)| row.similarity(better) < threshold);
                    if new && kept.len() < limit {
                        kept.push((neighbor, row));
                    }
                }
                Ok(kept)
            });
            let kept = kept.await?;
            if kept.len() == limit || wide >= ids.len() {
                return Ok(kept.into_iter().map(|(neighbor, _)| neighbor).collect());
            }
            wide = wide.saturating_mul(4).min(ids.len());
        }
    }

    /// Looks the neighbors up; none where one has gone or changed since.
    fn described(
        &self,
        snapshot: &Snapshot,
        found: Hits,
        filter: &Filter,
    ) -> Result<Option<Vec<Vec<Found>>>> {
        let reader = self.lock();
        let moment = reader.catalog.moment()?;
        if reader.catalog.state()?.generation != snapshot.state.generation {
            return Ok(None);
        }
        let look_up = |Neighbor { id, score }| {
            let entry = reader.catalog.entry(id)?;
            let entry = entry.filter(|entry| filter.matches(&entry.record.metadata));
            Ok(entry.map(|entry| Found { entry, score }))
        };
        let look_up_all = |list: Vec<Neighbor>| list.into_iter().map(look_up).collect();
        let described = found.into_iter().map(look_up_all).collect();
        drop(moment);
        described
    }
}

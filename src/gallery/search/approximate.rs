//! [`Approximate`]: an index that proposes images of a gallery, whose own vectors then decide.

use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::{REMEMBERED, WORK};
use crate::embedder::Embedding;
use crate::forward::check_count;
use crate::gallery::Gallery;
use crate::gallery::store::snapshot::Snapshot;
use crate::index::{Hits, IdSet, Neighbor, VectorIndex, check_ids};
use crate::{Error, Result, pool};

/// For each image that is wanted, the index proposes this many.
const WIDER: usize = 4;

/// An index over vectors of a gallery, by their rows.
#[derive(Debug)]
pub(in crate::gallery) struct Approximate {
    index: Box<dyn VectorIndex>,
    /// The rows that it holds.
    held: IdSet,
    /// The vectors that it was built from.
    generation: u64,
    /// By the places of sets of ids.
    lacking: Mutex<LruCache<usize, Lacking>>,
}

/// A set of ids with those of them that an index does not hold.
type Lacking = (Arc<IdSet>, Arc<IdSet>);

impl Gallery {
    /// This gallery, searched through `index`, which holds the vectors of the images `held` by
    /// their ids.
    ///
    /// The index proposes four candidates for each image that is wanted; they are ranked by their
    /// exact vectors, so that scores are exact. Images that are not in the index, such as those
    /// added later, are searched exhaustively; removed ones are ignored. After the gallery was
    /// compacted, which changes ids, all images are searched exhaustively.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when `index` is of another dimension or holds images that never were.
    pub fn with_index(&self, index: impl VectorIndex, held: IdSet) -> Result<Self> {
        let snapshot = Arc::clone(&self.reader()?.snapshot);
        let (dim, rows) = (self.fingerprint().dim(), snapshot.vectors.rows());
        if index.dim() != dim {
            let expected = format!("{dim} values a vector");
            return Err(Error::incompatible(self, &index, expected, index.dim()));
        }
        if let Some(beyond) = held.iter().find(|&id| id >= rows) {
            let expected = format!("numbers below {rows}");
            return Err(Error::incompatible(self, &index, expected, beyond));
        }
        let lacking = Mutex::new(LruCache::new(REMEMBERED));
        let (index, generation) = (Box::new(index), snapshot.state.generation);
        let approximate = Approximate { index, held, generation, lacking };
        Ok(Self { shared: Arc::clone(&self.shared), approximate: Some(Arc::new(approximate)) })
    }

    /// The `limit` nearest of `ids` for each query.
    pub(in crate::gallery) async fn nearest(
        &self,
        snapshot: &Arc<Snapshot>,
        queries: &[Embedding],
        ids: &Arc<IdSet>,
        limit: usize,
    ) -> Result<Hits> {
        let mut approximate = self.approximate.clone();
        approximate = approximate.filter(|a| a.generation == snapshot.state.generation);
        let proposed = match &approximate {
            Some(approximate) => approximate.propose(queries, ids, limit).await?,
            None => Vec::new(),
        };
        let (snapshot, queries, ids) = (Arc::clone(snapshot), queries.to_vec(), Arc::clone(ids));
        pool::run(WORK, move || {
            if let Some(approximate) = approximate {
                return approximate.decide(&snapshot, &queries, &ids, limit, proposed);
            }
            snapshot.vectors.check()?;
            let index = snapshot.vectors.index()?;
            index.blocking_search(&queries, limit, (ids.len() != index.len()).then_some(&*ids))
        })
        .await
    }

    /// The index that is searched, by its `Display`.
    pub(in crate::gallery) fn index_name(&self) -> String {
        self.approximate.as_ref().map_or_else(|| "Flat".to_owned(), |a| a.index.to_string())
    }
}

impl Approximate {
    /// Candidates of the index for each query.
    async fn propose(&self, queries: &[Embedding], ids: &IdSet, limit: usize) -> Result<Hits> {
        let wide = limit.saturating_mul(WIDER);
        if *ids == self.held {
            return self.index.search(queries, wide).await;
        }
        self.index.search_among(queries, wide, ids).await
    }

    /// The best of what is proposed and of what the index lacks, by the vectors themselves.
    fn decide(
        &self,
        snapshot: &Snapshot,
        queries: &[Embedding],
        ids: &Arc<IdSet>,
        limit: usize,
        proposed: Hits,
    ) -> Result<Hits> {
        check_count(&self.index, "lists", queries.len(), proposed.len())?;
        let expected = format!("one of the {} that were asked for", ids.len());
        check_ids(&self.index, &proposed, expected, |id| ids.contains(id))?;
        let lacking = self.lacking(ids);
        let exact = snapshot.vectors.index()?;
        let decide = |(query, proposed): (&[Embedding], Vec<Neighbor>)| {
            let mut candidates = (*lacking).clone();
            candidates.extend(proposed.iter().map(|neighbor| neighbor.id));
            snapshot.vectors.check_rows(&candidates)?;
            exact.blocking_search(query, limit, Some(&candidates))
        };
        let found = queries.chunks(1).zip(proposed).map(decide).collect::<Result<Vec<_>>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Those of `ids` that the index does not hold.
    fn lacking(&self, ids: &Arc<IdSet>) -> Arc<IdSet> {
        let mut known = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, lacking) = known.get_or_insert(Arc::as_ptr(ids).addr(), || {
            let lacking: IdSet = ids.iter().filter(|&id| !self.held.contains(id)).collect();
            (Arc::clone(ids), Arc::new(lacking))
        });
        Arc::clone(lacking)
    }
}

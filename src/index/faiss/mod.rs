//! [`FaissIndex`]: search with FAISS, exact or approximate, by any factory string.

mod builder;
mod file;
#[cfg(feature = "faiss-gpu")]
mod gpu;
mod handle;
mod nearest;
#[cfg(any(test, feature = "faiss-gpu"))]
mod over_fetch;
mod sink;
mod source;

use std::borrow::Borrow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use faiss::Idx;

use crate::embedder::Embedding;
use crate::error::at_least_one;
use crate::index::{Hits, IdSet, VectorIndex, check_dim};
use crate::{Error, Result, pool};

pub use builder::FaissBuilder;
#[cfg(feature = "faiss-gpu")]
pub use gpu::Sharding;
use handle::{Handle, Lists};

/// An index of [FAISS](https://github.com/facebookresearch/faiss), compared by cosine similarity.
///
/// ```
/// # use futures::executor::block_on;
/// # use imagerag::{embedder::Embedding, index::{FaissIndex, VectorIndex}};
/// # let vectors = [Embedding::new([1.0, 0.0])?, Embedding::new([0.0, 1.0])?];
/// let mut index = FaissIndex::builder(2, "HNSW32").ef_search(64).build()?;
/// index.add(&vectors)?;
/// assert_eq!(block_on(index.search(&vectors[1..], 1))?[0][0].id, 1);
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// - Clones share the index; changing one of them copies it first, which FAISS cannot do with every
///   type.
/// - Any number of searches run in parallel; FAISS runs each on up to `OMP_NUM_THREADS` threads.
/// - Equal scores are listed by rising id, also where the list is cut. The same call gives the same
///   scores; FAISS computes a batch of 20 or more in another way, which may change the last digit.
/// - Scores of quantised vectors (PQ, SQ) are those of FAISS' approximation, cut to [-1, 1];
///   [`Refine`](crate::index::Refine) makes them exact.
/// - A search returns `limit` neighbors if the index has as many vectors: where the visited lists
///   or the graph give too few, it searches wider, at worst all vectors.
/// - [`search_among`](VectorIndex::search_among) filters while FAISS searches, or afterwards where
///   FAISS cannot; a filter that leaves few vectors is searched exhaustively.
/// - A removed vector is not found any more. Where FAISS cannot remove it (HNSW, refined indexes),
///   it stays in memory and its id cannot be used again until the index is rebuilt.
#[derive(Clone, Debug)]
pub struct FaissIndex {
    /// On the CPU; shared with clones, and with the copies on GPUs.
    handle: Arc<Handle>,
    #[cfg(feature = "faiss-gpu")]
    gpu: Option<gpu::Gpu>,
    dim: usize,
    factory: String,
    /// What can be found.
    ids: Arc<IdSet>,
    /// Removed, but FAISS still holds them.
    buried: Arc<IdSet>,
    /// Whether the vectors are in a file that is not ours to change.
    mapped: bool,
    /// Whether FAISS takes a selector for this type of index, as far as we know.
    selects: Arc<AtomicBool>,
}

/// Vectors that are handed to FAISS at once, unless it builds a graph of them.
const BATCH: usize = 8_192;

impl FaissIndex {
    /// Builds an index of vectors of `dim` values from a [factory
    /// string](https://github.com/facebookresearch/faiss/wiki/The-index-factory): `Flat`,
    /// `IVF4096,Flat`, `HNSW32`, `IVF4096,PQ64np`, `OPQ64,IVF4096,PQ64np`, … Without the `np`,
    /// FAISS spends minutes on polysemous training, which is of no use here.
    pub fn builder(dim: usize, factory: &str) -> FaissBuilder {
        FaissBuilder::new(dim, factory)
    }

    fn over(handle: Handle, factory: String) -> Self {
        Self {
            dim: handle.dim(),
            handle: Arc::new(handle),
            #[cfg(feature = "faiss-gpu")]
            gpu: None,
            factory,
            ids: Arc::default(),
            buried: Arc::default(),
            mapped: false,
            selects: Arc::new(true.into()),
        }
    }

    /// Adds vectors; their ids follow the highest that the index holds, and are returned.
    ///
    /// Add all vectors of a graph (HNSW, NSG) in one call: it finds more, in less time, than one that
    /// is made piece by piece. Their values are copied for that.
    ///
    /// # Errors
    /// Those of [`add_with_ids`](Self::add_with_ids).
    pub fn add(&mut self, vectors: &[Embedding]) -> Result<Range<u64>> {
        let highest = self.ids.last().max(self.buried.last());
        let first = highest.map_or(0, |id| id + 1);
        let ids = first..first.saturating_add(vectors.len() as u64);
        self.add_with_ids(&ids.clone().collect::<Vec<_>>(), vectors)?;
        Ok(ids)
    }

    /// Adds vectors with these ids, below 2^63.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there are more or fewer ids than vectors, when an id is taken or
    /// too high, when a vector is of another dimension, or when the index is mapped or on a GPU;
    /// then none is added. [`Error::Backend`] with FAISS' words when it fails.
    pub fn add_with_ids(&mut self, ids: &[u64], vectors: &[Embedding]) -> Result<()> {
        check_dim(self, vectors)?;
        if ids.len() != vectors.len() {
            let expected = format!("{}, one a vector", vectors.len());
            return Err(Error::invalid_input(format!("ids for {self}"), expected, ids.len()));
        }
        self.add_each(ids, vectors.iter().map(Ok))
    }

    /// Adds as many vectors as there are ids, all of this index' dimension. The values of one batch
    /// are copied at a time; an error among them leaves the batches before it in the index.
    pub(crate) fn add_each(
        &mut self,
        ids: &[u64],
        mut vectors: impl Iterator<Item = Result<impl Borrow<Embedding>>>,
    ) -> Result<()> {
        self.check_writable()?;
        let ids = self.new_ids(ids)?;
        let mut values = Vec::new();
        for ids in ids.chunks(self.batch()) {
            values.clear();
            values.reserve_exact(ids.len() * self.dim);
            for vector in vectors.by_ref().take(ids.len()) {
                values.extend_from_slice(vector?.borrow().values());
            }
            self.handle_mut()?.add(ids, &values)?;
            Arc::make_mut(&mut self.ids).extend(ids.iter().filter_map(|id| id.get()));
        }
        Ok(())
    }

    /// Vectors to hand to FAISS at once. A graph is better, and faster, the more of its vectors FAISS
    /// sees together: it begins with the upper levels of all of them. NSG takes vectors only once.
    fn batch(&self) -> usize {
        let is_graph = |part: &str| part.starts_with("HNSW") || part.starts_with("NSG");
        if self.factory.split(',').any(is_graph) { usize::MAX } else { BATCH }
    }

    /// FAISS' form of ids that are not taken.
    fn new_ids(&self, ids: &[u64]) -> Result<Vec<Idx>> {
        let wrong = |expected: &str, found: u64| {
            Err(Error::invalid_input(format!("ids for {self}"), expected, found))
        };
        let mut signed = Vec::with_capacity(ids.len());
        let mut new = IdSet::new();
        for &id in ids {
            let Ok(id_of_faiss) = i64::try_from(id) else {
                return wrong("ids below 2^63", id);
            };
            signed.push(Idx::from(id_of_faiss));
            if self.ids.contains(id) || !new.insert(id) {
                return wrong("ids that no vector has", id);
            }
            if self.buried.contains(id) {
                return wrong("ids that were never removed from it", id);
            }
        }
        Ok(signed)
    }

    /// Removes vectors; the others keep their ids. Returns how many of `ids` the index held.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the index is mapped or on a GPU.
    pub fn remove(&mut self, ids: &IdSet) -> Result<usize> {
        self.check_writable()?;
        let gone: IdSet = ids.iter().filter(|&id| self.ids.contains(id)).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let left = self.handle.count() - gone.len();
        // FAISS 1.12 takes vectors out of fast-scan lists and goes on counting them
        // (`BlockInvertedLists::remove_ids`): those stay among the buried as well.
        if self.handle_mut()?.remove(&gone).is_err() || self.handle.count() != left {
            Arc::make_mut(&mut self.buried).extend(gone.iter());
        }
        for id in gone.iter() {
            Arc::make_mut(&mut self.ids).remove(id);
        }
        Ok(gone.len())
    }

    /// The ids of all vectors.
    pub fn ids(&self) -> &IdSet {
        &self.ids
    }

    /// Sets how many inverted lists a search visits; see [`FaissBuilder::nprobe`].
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when it is 0, when the index has no inverted lists, or when it is on
    /// GPUs as replicas, or visits more than 2,048 there.
    pub fn set_nprobe(&mut self, nprobe: usize) -> Result<()> {
        #[cfg(feature = "faiss-gpu")]
        if let Some(gpu) = &mut self.gpu {
            at_least_one("nprobe", nprobe)?;
            return gpu.set_nprobe(nprobe, &self.factory);
        }
        self.set("nprobe", nprobe)
    }

    /// Sets HNSW's `efSearch`; see [`FaissBuilder::ef_search`].
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when it is 0, or the index has no such graph.
    pub fn set_ef_search(&mut self, ef_search: usize) -> Result<()> {
        self.set("efSearch", ef_search)
    }

    fn set(&mut self, name: &str, value: usize) -> Result<()> {
        at_least_one(name, value)?;
        let fitting = value.min(i32::MAX as usize) as u32;
        self.handle_mut()?.set(name, fitting).map_err(|_| {
            Error::invalid_input(name, "an index with such a parameter", &self.factory)
        })
    }

    /// The inverted lists, with as many probes as this index is set to, here or on a GPU.
    fn lists(&self) -> Option<Lists> {
        #[cfg(feature = "faiss-gpu")]
        if let Some(gpu) = &self.gpu {
            return gpu.lists();
        }
        self.handle.lists()
    }

    /// FAISS' index to change, copied first where a clone, a search or an index on a GPU shares it.
    fn handle_mut(&mut self) -> Result<&mut Handle> {
        if Arc::get_mut(&mut self.handle).is_none() {
            self.handle = Arc::new(self.handle.try_clone()?);
        }
        Arc::get_mut(&mut self.handle)
            .ok_or_else(|| Error::backend("FAISS' clone_index", "its copy is in use already"))
    }

    fn check_writable(&self) -> Result<()> {
        let wrong = |expected: &str, found: String| {
            Err(Error::invalid_input("index to change", expected, found))
        };
        #[cfg(feature = "faiss-gpu")]
        if let Some(gpu) = &self.gpu {
            let expected = "one on the CPU, moved again when it is changed";
            return wrong(expected, format!("{self}, {gpu}"));
        }
        if self.mapped {
            return wrong("one that is read into memory", format!("{self}, mapped"));
        }
        Ok(())
    }
}

/// The values of all vectors: `[n, dim]`.
fn values<'a>(vectors: impl Iterator<Item = &'a Embedding>) -> Vec<f32> {
    let mut values = Vec::new();
    vectors.for_each(|vector| values.extend_from_slice(vector.values()));
    values
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl VectorIndex for FaissIndex {
    fn dim(&self) -> usize {
        self.dim
    }

    async fn count(&self) -> Result<usize> {
        Ok(self.ids.len())
    }

    async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Hits> {
        let (index, queries) = (self.clone(), queries.to_vec());
        pool::run("FAISS", move || index.blocking_search(&queries, limit, None)).await
    }

    async fn search_among(&self, queries: &[Embedding], limit: usize, ids: &IdSet) -> Result<Hits> {
        let (index, queries, ids) = (self.clone(), queries.to_vec(), ids.clone());
        pool::run("FAISS", move || index.blocking_search(&queries, limit, Some(&ids))).await
    }
}

impl fmt::Display for FaissIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faiss({})", self.factory)
    }
}

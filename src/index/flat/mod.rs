//! [`FlatIndex`]: exact search, every vector compared with every query.

mod best;
mod kernel;
mod lanes;
mod rows;

use std::fmt;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;

use crate::embedder::Embedding;
use crate::error::at_least_one;
use crate::index::{Hits, IdSet, Neighbor, VectorIndex, check_dim};
use crate::{Result, pool};

use best::Best;
pub use rows::{Precision, SharedRows};
use rows::{Rows, Value, View};

/// Exact search: compares the query with every vector, on all cores. It is fast enough for the
/// paper's 350,000 images.
///
/// The vectors are either added one by one, or in [shared memory](Self::over), such as a mapped
/// file, which need not be read first. In [`Precision::F16`] they need half the memory. Clones
/// share the vectors; adding to a clone copies them first.
#[derive(Clone, Debug)]
pub struct FlatIndex {
    dim: usize,
    rows: Arc<Rows>,
    threads: Option<NonZero<usize>>,
}

/// Rows that are compared with all queries while they are in the cache.
const BLOCK: usize = 16;
/// Fewer multiplications than this are not worth another thread.
const WORK_PER_THREAD: usize = 1 << 20;

impl FlatIndex {
    /// An empty index of vectors of `dim` values in f32.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when `dim` is 0.
    pub fn new(dim: usize) -> Result<Self> {
        Self::with_precision(dim, Precision::F32)
    }

    /// An empty index of vectors of `dim` values.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when `dim` is 0.
    pub fn with_precision(dim: usize, precision: Precision) -> Result<Self> {
        at_least_one("dimension", dim)?;
        Ok(Self { dim, rows: Arc::new(Rows::new(precision)), threads: None })
    }

    /// An index over `memory`, which holds vectors of `dim` values, of length 1, one after another,
    /// in the machine's byte order. A vector with a NaN is never found.
    ///
    /// ```
    /// use std::sync::Arc;
    /// # use futures::executor::block_on;
    /// # use imagerag::embedder::Embedding;
    /// use imagerag::index::{FlatIndex, Precision, SharedRows, VectorIndex};
    ///
    /// # struct Map(Vec<u32>);
    /// # impl AsRef<[u8]> for Map {
    /// #     fn as_ref(&self) -> &[u8] { unsafe { self.0.align_to().1 } }
    /// # }
    /// # let map = Map(vec![1f32.to_bits(), 0, 0, 1f32.to_bits()]);
    /// // `map`: a memory-mapped file, or all else that is `AsRef<[u8]>`.
    /// let rows: SharedRows = Arc::new(map);
    /// let index = FlatIndex::over(2, Precision::F32, rows)?;
    /// assert_eq!(block_on(index.count())?, 2);
    /// # assert_eq!(block_on(index.search(&[Embedding::new([0.0, 2.0])?], 1))?[0][0].id, 1);
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when `dim` is 0, when `memory` is not a whole number of vectors, or
    /// when it is not aligned to the size of a value.
    pub fn over(dim: usize, precision: Precision, memory: SharedRows) -> Result<Self> {
        at_least_one("dimension", dim)?;
        Ok(Self { dim, rows: Arc::new(Rows::share(dim, precision, memory)?), threads: None })
    }

    /// An index of `rows`, `[count, dim]`.
    #[cfg(feature = "faiss")]
    pub(crate) fn of(dim: usize, rows: Vec<f32>) -> Self {
        Self { dim, rows: Arc::new(Rows::F32(rows)), threads: None }
    }

    /// Searches on at most `threads` threads, instead of one per core.
    pub const fn with_threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How the values are kept.
    pub fn precision(&self) -> Precision {
        self.rows.precision()
    }

    /// Adds a vector; its id is the number of vectors before it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when the embedding is of another dimension, or the memory is shared.
    pub fn add(&mut self, embedding: &Embedding) -> Result<u64> {
        check_dim(self, std::slice::from_ref(embedding))?;
        let id = self.len() as u64;
        Arc::make_mut(&mut self.rows).push(embedding.values())?;
        Ok(id)
    }

    /// How many vectors there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.view().len() / self.dim
    }

    /// [`search`](VectorIndex::search), or [`search_among`](VectorIndex::search_among) if `among` is
    /// given, on this thread and others: for a thread that may wait, without the way to another and
    /// back.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when a query is of another dimension.
    pub fn blocking_search(
        &self,
        queries: &[Embedding],
        limit: usize,
        among: Option<&IdSet>,
    ) -> Result<Vec<Vec<Neighbor>>> {
        let count = self.len();
        let Some(ids) = among else {
            return self.best(queries, limit, count, |first, last| first as u64..last as u64);
        };
        let ids: Vec<u64> = ids.iter().take_while(|&id| id < count as u64).collect();
        self.best(queries, limit, ids.len(), |first, last| ids[first..last].iter().copied())
    }

    /// The best `limit` of `count` rows, split into shares of neighbors by `share(first, last)`.
    fn best<I: Iterator<Item = u64>>(
        &self,
        queries: &[Embedding],
        limit: usize,
        count: usize,
        share: impl Fn(usize, usize) -> I + Sync,
    ) -> Result<Hits> {
        check_dim(self, queries)?;
        let limit = limit.min(count);
        if limit == 0 || queries.is_empty() {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        let queries: Vec<&[f32]> = queries.iter().map(Embedding::values).collect();
        let view = self.rows.view();
        let scan = |first: usize, last: usize| match view {
            View::F32(rows) => scan(rows, self.dim, share(first, last), &queries, limit),
            View::F16(rows) => scan(rows, self.dim, share(first, last), &queries, limit),
        };
        let work = count.saturating_mul(self.dim).saturating_mul(queries.len());
        let threads = (work / WORK_PER_THREAD).clamp(1, self.threads().get());
        let bound = |n: usize| count * n / threads;
        let best = thread::scope(|scope| {
            let scan = &scan;
            let others = (1..threads).map(|n| scope.spawn(move || scan(bound(n), bound(n + 1))));
            let others: Vec<_> = others.collect();
            let mut best = scan(0, bound(1));
            for thread in others {
                let part = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
                best.iter_mut().zip(part).for_each(|(all, some)| all.merge(some));
            }
            best
        });
        Ok(best.into_iter().map(Best::into_sorted).collect())
    }

    fn threads(&self) -> NonZero<usize> {
        let cores = || thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        self.threads.unwrap_or_else(cores)
    }
}

/// The best `limit` of the rows numbered `ids`, for each query.
fn scan<T: Value>(
    rows: &[T],
    dim: usize,
    mut ids: impl Iterator<Item = u64>,
    queries: &[&[f32]],
    limit: usize,
) -> Vec<Best> {
    let mut best: Vec<Best> = queries.iter().map(|_| Best::new(limit)).collect();
    let mut products = vec![[0.0; BLOCK]; queries.len()];
    let mut space = vec![0.0; BLOCK * dim];
    let mut numbers = Vec::with_capacity(BLOCK);
    loop {
        numbers.clear();
        numbers.extend(ids.by_ref().take(BLOCK));
        if numbers.is_empty() {
            return best;
        }
        let mut block: [&[T]; BLOCK] = [&[]; BLOCK];
        for (row, &id) in block.iter_mut().zip(&numbers) {
            *row = &rows[id as usize * dim..][..dim];
        }
        let block = &block[..numbers.len()];
        if queries.len() == 1 {
            kernel::dot_products(queries, block, &mut products);
        } else {
            let mut wide: [&[f32]; BLOCK] = [&[]; BLOCK];
            for ((wide, space), row) in wide.iter_mut().zip(space.chunks_exact_mut(dim)).zip(block)
            {
                *wide = T::widen(row, space);
            }
            kernel::dot_products(queries, &wide[..block.len()], &mut products);
        }
        for (best, products) in best.iter_mut().zip(&products) {
            numbers.iter().zip(products).for_each(|(&id, &score)| best.offer(id, score));
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl VectorIndex for FlatIndex {
    fn dim(&self) -> usize {
        self.dim
    }

    async fn count(&self) -> Result<usize> {
        Ok(self.len())
    }

    async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Hits> {
        let (index, queries) = (self.clone(), queries.to_vec());
        pool::run("exact search", move || index.blocking_search(&queries, limit, None)).await
    }

    async fn search_among(&self, queries: &[Embedding], limit: usize, ids: &IdSet) -> Result<Hits> {
        let (index, queries, ids) = (self.clone(), queries.to_vec(), ids.clone());
        pool::run("exact search", move || index.blocking_search(&queries, limit, Some(&ids))).await
    }
}

impl fmt::Display for FlatIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.precision() {
            Precision::F32 => f.write_str("Flat"),
            Precision::F16 => f.write_str("Flat(f16)"),
        }
    }
}

//! [`Batches`]: items that went through the threads to the batches that are embedded together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, stream};

use super::batch::Batch;
use super::sources::Sources;
use super::workers::{Done, Workers};
use crate::Result;

/// The most images that are asked for ahead of a batch of any size.
const MAX_AHEAD: usize = 1024;

/// What comes out of the threads, in the order of the reader.
pub(super) struct Batches<'a> {
    workers: &'a Workers,
    count: &'a Count,
    /// Asked for ahead.
    outcomes: VecDeque<BoxFuture<'static, Result<Option<Done>>>>,
    sources: Sources,
    /// Images of a batch.
    size: usize,
    last: bool,
}

/// How many images have pixels in memory, and whether more are wanted.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// Items whose pixels are gone again.
    settled: AtomicUsize,
    most: AtomicUsize,
    stopped: AtomicBool,
}

impl<'a> Batches<'a> {
    /// Batches of `size` images, while `threads` make further ones ready.
    pub(super) fn new(workers: &'a Workers, count: &'a Count, size: usize, threads: usize) -> Self {
        let ahead = size.min(MAX_AHEAD).saturating_add(threads);
        let outcomes = (1..ahead).map(|_| workers.next().boxed()).collect();
        Self { workers, count, outcomes, sources: Sources::default(), size, last: false }
    }

    /// All of them, until the reader ends or [`Count::stop`] is called.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Batch>> + Send {
        stream::unfold(self, |mut batches| async { Some((batches.next().await?, batches)) })
    }

    /// The next one; the last may be empty.
    async fn next(&mut self) -> Option<Result<Batch>> {
        let mut batch = Batch::default();
        while !self.last && !self.count.stopped.load(Ordering::Relaxed) {
            self.outcomes.push_back(self.workers.next().boxed());
            let outcome = self.outcomes.pop_front()?.await;
            self.last = !matches!(outcome, Ok(Some(_)));
            match outcome {
                Ok(Some(outcome)) => {
                    let is_kept = batch.take(outcome, &mut self.sources);
                    self.count.note(self.workers, usize::from(!is_kept));
                }
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            if self.last || batch.is_full(self.size) {
                return Some(Ok(batch));
            }
        }
        None
    }
}

impl Count {
    /// Notes that the pixels of `settled` further items are gone, after how many there were is known.
    pub(super) fn note(&self, workers: &Workers, settled: usize) {
        let before = self.settled.fetch_add(settled, Ordering::Relaxed);
        self.most.fetch_max(workers.taken().saturating_sub(before), Ordering::Relaxed);
    }

    /// The most items whose pixels were in memory at a time.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Ends the batches: no further one is begun.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

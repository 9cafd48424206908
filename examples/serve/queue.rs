//! A bounded queue: so many requests are worked on at a time, so many more wait, others are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::error::{ApiError, ApiResult};

/// A queue. Clones share it.
#[derive(Clone)]
pub(crate) struct Queue {
    /// A permit for each request that is worked on or waits.
    places: Arc<Semaphore>,
    /// A permit for each request that is worked on.
    workers: Arc<Semaphore>,
    size: Size,
    ended: Arc<Ended>,
    stop: watch::Receiver<Stop>,
}

#[derive(Clone, Copy)]
struct Size {
    workers: usize,
    places: usize,
}

/// How many requests have ended, and how.
#[derive(Default)]
struct Ended {
    done: AtomicUsize,
    cancelled: AtomicUsize,
}

/// How far the server is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// It serves.
    Serving,
    /// No work is begun; what is worked on may finish.
    Draining,
    /// What is worked on is cut off.
    Cancelling,
}

impl Queue {
    /// `workers` requests at a time, at least 1, and `waiting` more in line.
    pub(crate) fn new(workers: usize, waiting: usize, stop: watch::Receiver<Stop>) -> Self {
        let size = Size { workers, places: workers.saturating_add(waiting) };
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        let (places, workers) = (semaphore(size.places), semaphore(size.workers));
        Self { places, workers, size, ended: Arc::default(), stop }
    }

    /// A place in line.
    pub(crate) fn enter(&self) -> ApiResult<Place> {
        if *self.stop.borrow() > Stop::Serving {
            return Err(ApiError::stopping());
        }
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(Place { queue: self.clone(), _place: place }),
            Err(_) => Err(ApiError::queue_full(self.size.places)),
        }
    }

    /// How many requests are worked on, wait, and have ended.
    pub(crate) fn json(&self) -> Value {
        let [done, cancelled] =
            [&self.ended.done, &self.ended.cancelled].map(|count| count.load(Ordering::Acquire));
        let running = self.size.workers - self.workers.available_permits();
        let taken = self.size.places - self.places.available_permits();
        json!({
            "workers": self.size.workers,
            "running": running,
            "waiting": taken.saturating_sub(running),
            "done": done,
            "cancelled": cancelled,
        })
    }

    /// Waits until no request is worked on and none waits.
    pub(crate) async fn emptied(&self) {
        let all = u32::try_from(self.size.places).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
    }
}

/// A place in a queue; dropping it leaves the queue.
pub(crate) struct Place {
    queue: Queue,
    _place: OwnedSemaphorePermit,
}

impl Place {
    /// Waits for a worker, and has `work` done. It is cut off when the server may wait no longer, and
    /// dropped with this future when the client leaves.
    pub(crate) async fn work<T>(self, work: impl Future<Output = ApiResult<T>>) -> ApiResult<T> {
        let Self { queue, _place: place } = self;
        // It is dropped last: what is counted has left its place.
        let mut counted = Counted { ended: &queue.ended, is_done: false };
        let _place = place;
        let mut stop = queue.stop.clone();
        let _worker = tokio::select! {
            worker = queue.workers.acquire() => worker.map_err(|_| ApiError::stopping())?,
            () = reached(&mut stop, Stop::Draining) => return Err(ApiError::stopping()),
        };
        tokio::select! {
            result = work => {
                counted.is_done = true;
                result
            }
            () = reached(&mut stop, Stop::Cancelling) => Err(ApiError::stopping()),
        }
    }
}

/// Counts a request once it has ended, one way or the other.
struct Counted<'a> {
    ended: &'a Ended,
    is_done: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let Ended { done, cancelled } = self.ended;
        let ended = if self.is_done { done } else { cancelled };
        ended.fetch_add(1, Ordering::Release);
    }
}

/// Ends when the server is as far as `stop`.
async fn reached(server: &mut watch::Receiver<Stop>, stop: Stop) {
    if server.wait_for(|now| *now >= stop).await.is_err() {
        // Whoever would say so is gone, and so nobody will.
        std::future::pending::<()>().await;
    }
}

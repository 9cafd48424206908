//! Traces and image files to addresses that nobody can guess; the oldest are dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use imagerag::pipeline::RagTrace;

use super::error::{ApiError, ApiResult};
use super::page::{self, Shown};
use super::picture::blocking;

/// What is kept of the requests of late.
pub(crate) struct Store {
    traces: Mutex<Bounded<Arc<Trace>>>,
    files: Mutex<Bounded<File>>,
}

/// A trace, ready to be sent.
pub(crate) struct Trace {
    pub(crate) json: String,
    pub(crate) page: String,
}

/// An image file, ready to be sent.
#[derive(Clone)]
pub(crate) struct File {
    /// `png`, `jpeg` or `webp`.
    pub(crate) format: &'static str,
    pub(crate) bytes: Bytes,
}

impl Store {
    /// Keeps at most `most` traces and as many files.
    pub(crate) const fn new(most: usize) -> Self {
        Self { traces: Mutex::new(Bounded::new(most)), files: Mutex::new(Bounded::new(most)) }
    }

    /// How many traces are kept, and how many files.
    pub(crate) fn most(&self) -> usize {
        lock(&self.files).most
    }

    /// Keeps `trace` with its pictures, and returns its id.
    pub(crate) async fn keep_trace(&self, trace: RagTrace, shown: Vec<Shown>) -> ApiResult<String> {
        let kept = move || {
            let trace = page::without_folders(trace);
            Trace { page: page::of(&trace, &shown), json: trace.to_json() }
        };
        let kept = Arc::new(blocking(kept).await?);
        lock(&self.traces).keep(kept)
    }

    /// Keeps a file, and returns its id.
    pub(crate) fn keep_file(&self, file: File) -> ApiResult<String> {
        lock(&self.files).keep(file)
    }

    pub(crate) fn trace(&self, id: &str) -> Option<Arc<Trace>> {
        lock(&self.traces).get(id)
    }

    pub(crate) fn file(&self, id: &str) -> Option<File> {
        lock(&self.files).get(id)
    }
}

/// The latest items by their ids.
struct Bounded<T> {
    most: usize,
    items: VecDeque<(String, T)>,
}

impl<T: Clone> Bounded<T> {
    const fn new(most: usize) -> Self {
        Self { most, items: VecDeque::new() }
    }

    fn keep(&mut self, item: T) -> ApiResult<String> {
        let id = id()?;
        self.items.push_back((id.clone(), item));
        while self.items.len() > self.most {
            self.items.pop_front();
        }
        Ok(id)
    }

    fn get(&self, id: &str) -> Option<T> {
        self.items.iter().find(|(kept, _)| kept == id).map(|(_, item)| item.clone())
    }
}

/// 128 random bits in hexadecimal.
fn id() -> ApiResult<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| ApiError::internal(format!("no id: {error}")))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A checkpoint's parts to a loaded model, and each of them to a listener.

use std::cell::Cell;

use tch::{Device, Kind};

use super::request::Listener;
use crate::Result;

/// How far a generator's loading has come; see
/// [`SdxlBuilder::load_listener`](super::SdxlBuilder::load_listener).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loading {
    /// What is loaded next, by the name of its folder or file: `unet`. `None` once all is loaded.
    pub part: Option<String>,
    /// Parts that are loaded.
    pub done: usize,
    /// Parts that there are.
    pub total: usize,
}

/// Where a model is loaded to, part by part.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) device: Device,
    pub(super) kind: Kind,
    pub(super) listener: Listener<Loading>,
    pub(super) done: Cell<usize>,
    pub(super) total: usize,
}

impl Loader {
    /// Loads the next part, called `name`.
    pub(super) fn part<T>(&self, name: &str, load: impl FnOnce() -> Result<T>) -> Result<T> {
        self.tell(Some(name));
        let loaded = load()?;
        self.done.set(self.done.get() + 1);
        if self.done.get() == self.total {
            self.tell(None);
        }
        Ok(loaded)
    }

    fn tell(&self, part: Option<&str>) {
        let (part, done) = (part.map(str::to_owned), self.done.get());
        self.listener.tell(Loading { part, done, total: self.total });
    }
}

//! Loads a checkpoint part by part, and tells a listener of each.

use std::cell::Cell;

use tch::{Device, Kind};

use super::request::Listener;
use crate::Result;

/// The progress of loading a generator; see
/// [`SdxlBuilder::load_listener`](super::SdxlBuilder::load_listener).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loading {
    /// The folder or file of the part that is loaded next, such as `unet`; `None` at the end.
    pub part: Option<String>,
    /// How many parts are loaded.
    pub done: usize,
    /// How many parts there are.
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

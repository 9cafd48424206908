//! Threads that read, hash and decode items beside their embedding, in bounded memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use super::super::change::check;
use super::gate::Gate;
use super::load::{Limits, Loaded};
use super::{Item, rejected};
use crate::gallery::{Gallery, ImageRecord, Rejected};
use crate::retriever::{Embedder, Embedding};
use crate::{Error, Image, Result};

/// What became of an item on a thread.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is to be embedded, and was made ready for that.
    Image(ImageRecord, Image),
    /// It brought its embedding.
    Embedded(ImageRecord, Embedding),
    /// Its content is in the gallery already.
    Known(ImageRecord),
    Rejected(Rejected),
    /// Nothing more can be taken in.
    Failed(Error),
}

/// Threads at work; dropping it ends them once they are through with the image they are at.
#[derive(Debug)]
pub(super) struct Workers {
    pub(super) gate: Arc<Gate>,
    outcomes: UnboundedReceiver<(u64, Outcome)>,
}

/// What the threads share.
struct Shared<I> {
    /// Where items come from, with the number of the next.
    items: Mutex<(I, u64)>,
    gate: Arc<Gate>,
    gallery: Gallery,
    embedder: Option<Arc<dyn Embedder>>,
    limits: Limits,
}

impl Workers {
    /// Starts `count` threads on `items`, of which at most `room` are in memory at a time.
    pub(super) fn start<I>(
        items: I,
        gallery: Gallery,
        embedder: Option<Arc<dyn Embedder>>,
        limits: Limits,
        (count, room): (usize, usize),
    ) -> Result<Self>
    where
        I: Iterator<Item = Result<Item, Rejected>> + Send + 'static,
    {
        let gate = Arc::new(Gate::new(room));
        let (sender, outcomes) = unbounded();
        let workers = Self { gate: Arc::clone(&gate), outcomes };
        let shared = Shared { items: Mutex::new((items, 0)), gate, gallery, embedder, limits };
        let shared = Arc::new(shared);
        for number in 0..count {
            let (shared, sender) = (Arc::clone(&shared), sender.clone());
            let name = format!("gallery reader {number}");
            let spawned = thread::Builder::new().name(name).spawn(move || shared.work(&sender));
            spawned.map_err(|error| Error::backend("thread that reads images", error))?;
        }
        Ok(workers)
    }

    /// What became of items, by their numbers, which come in any order.
    pub(super) const fn outcomes(&mut self) -> &mut UnboundedReceiver<(u64, Outcome)> {
        &mut self.outcomes
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.gate.close();
    }
}

impl<I: Iterator<Item = Result<Item, Rejected>>> Shared<I> {
    fn work(&self, outcomes: &UnboundedSender<(u64, Outcome)>) {
        while self.gate.enter() {
            let (number, item) = self.next();
            let outcome = match item {
                Ok(Some(Ok(item))) => self.outcome(item),
                Ok(Some(Err(rejected))) => Outcome::Rejected(rejected),
                Ok(None) => return self.gate.leave(1),
                Err(error) => Outcome::Failed(error),
            };
            let ends = matches!(outcome, Outcome::Failed(_));
            if outcomes.unbounded_send((number, outcome)).is_err() || ends {
                return;
            }
        }
    }

    /// The next item with its number, in the order of the reader.
    fn next(&self) -> (u64, Result<Option<Result<Item, Rejected>>>) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let number = items.1;
        items.1 += 1;
        let item = catch_unwind(AssertUnwindSafe(|| items.0.next()));
        (number, item.map_err(|_| Error::backend("reader of images", "it panicked")))
    }

    fn outcome(&self, mut item: Item) -> Outcome {
        let source = item.source.clone();
        let embedding = item.embedding.take();
        // A decoder that panics on one image is no reason to lose the others.
        match catch_unwind(AssertUnwindSafe(|| self.prepare(item, embedding))) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(reason)) => Outcome::Rejected(rejected(source, reason)),
            Err(_) => Outcome::Rejected(Rejected { source, reason: "its decoder panicked".into() }),
        }
    }

    fn prepare(&self, item: Item, embedding: Option<Embedding>) -> Result<Outcome> {
        let loaded = Loaded::read(item, self.limits)?;
        check(&loaded.record)?;
        match self.gallery.by_hash(&loaded.record.hash) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(Outcome::Known(loaded.record)),
            Err(error) => return Ok(Outcome::Failed(error)),
        }
        let folder = self.gallery.folder();
        if let Some(embedding) = embedding {
            let (expected, found) = (self.gallery.fingerprint().dim(), embedding.dim());
            if found != expected {
                return Ok(Outcome::Failed(Error::Incompatible {
                    left: self.gallery.to_string(),
                    right: format!("the embedding of {}", loaded.record.source),
                    expected: format!("{expected} values"),
                    found: format!("{found} values"),
                }));
            }
            return Ok(loaded
                .kept(folder)
                .map_or_else(Outcome::Failed, |record| Outcome::Embedded(record, embedding)));
        }
        let Some(embedder) = &self.embedder else {
            let (what, reason) = ("an embedding".to_owned(), "there is no embedder".to_owned());
            return Err(Error::Unavailable { what, reason });
        };
        let image = embedder.prepare(&loaded.decode()?);
        // A gallery that cannot be written to is no fault of the image.
        Ok(loaded.kept(folder).map_or_else(Outcome::Failed, |record| Outcome::Image(record, image)))
    }
}

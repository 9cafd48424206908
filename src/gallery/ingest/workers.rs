//! Threads that read, hash and decode items beside their embedding, in bounded memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use super::gate::Gate;
use super::load::{Limits, Loaded};
use super::{Item, rejected};
use crate::embedder::{Embedder, Embedding};
use crate::gallery::store::change::check;
use crate::gallery::{Gallery, ImageRecord, Rejected};
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

    fn outcome(&self, item: Item) -> Outcome {
        let source = item.source.clone();
        // A decoder that panics on one image is no reason to lose the others.
        match catch_unwind(AssertUnwindSafe(|| self.prepare(item))) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Fault::Image(reason))) => Outcome::Rejected(rejected(source, reason)),
            Ok(Err(Fault::Gallery(error))) => Outcome::Failed(error),
            Err(_) => Outcome::Rejected(Rejected { source, reason: "its decoder panicked".into() }),
        }
    }

    fn prepare(&self, mut item: Item) -> Result<Outcome, Fault> {
        let embedding = item.embedding.take();
        let folder = self.gallery.folder();
        // 1. The file, of which the header alone is looked at.
        let loaded = Loaded::read(item, self.limits).map_err(Fault::Image)?;
        check(&loaded.record).map_err(Fault::Image)?;
        // 2. What is in the gallery needs no more.
        if self.gallery.by_hash(&loaded.record.hash).map_err(Fault::Gallery)?.is_some() {
            return Ok(Outcome::Known(loaded.kept(folder).map_err(Fault::Gallery)?));
        }
        if let Some(embedding) = embedding {
            self.check_dim(&loaded.record, &embedding).map_err(Fault::Gallery)?;
            let record = loaded.kept(folder).map_err(Fault::Gallery)?;
            return Ok(Outcome::Embedded(record, embedding));
        }
        // 3. The pixels, as the network wants them.
        let Some(embedder) = &self.embedder else {
            let (what, reason) = ("an embedding".to_owned(), "there is no embedder".to_owned());
            return Err(Fault::Image(Error::Unavailable { what, reason }));
        };
        let image = embedder.preprocess(&loaded.decode().map_err(Fault::Image)?);
        Ok(Outcome::Image(loaded.kept(folder).map_err(Fault::Gallery)?, image))
    }

    fn check_dim(&self, record: &ImageRecord, embedding: &Embedding) -> Result<()> {
        let (expected, found) = (self.gallery.fingerprint().dim(), embedding.dim());
        if found == expected {
            return Ok(());
        }
        Err(Error::Incompatible {
            left: self.gallery.to_string(),
            right: format!("the embedding of {}", record.source),
            expected: format!("{expected} values"),
            found: format!("{found} values"),
        })
    }
}

/// Whose fault it is that an image is not taken in.
enum Fault {
    /// The image's own: it alone is rejected.
    Image(Error),
    /// The gallery's, or the reader's as a whole: nothing more is taken in.
    Gallery(Error),
}

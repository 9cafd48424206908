//! Threads that read, hash and decode items beside their embedding, as far ahead as they are asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use futures::channel::oneshot;

use super::load::Loaded;
use super::relative::{relative_item, relative_source};
use super::{Ingest, IngestProgress, Item, rejected, tally};
use crate::embedder::Embedding;
use crate::folder::LeftOut;
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
}

/// What the next item became; none once there is no item left.
type Reply = oneshot::Sender<Result<Option<Done>>>;

/// An item that went through a thread.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// Sources of the files that its metadata was read from.
    pub(super) read_from: Vec<String>,
}

/// Threads at work; dropping it ends them once they are through with the image they are at.
#[derive(Debug)]
pub(super) struct Workers {
    requests: mpsc::Sender<Reply>,
    taken: Arc<AtomicUsize>,
    left_out: Arc<Mutex<LeftOut>>,
}

/// What the threads share.
struct Shared<I> {
    /// Where items come from, and who asks for the next one.
    items: Mutex<(I, mpsc::Receiver<Reply>)>,
    taken: Arc<AtomicUsize>,
    left_out: Arc<Mutex<LeftOut>>,
    ingest: Ingest,
}

impl Workers {
    /// Starts as many threads on `items` as `ingest` wants.
    pub(super) fn start<I>(items: I, ingest: &Ingest) -> Result<Self>
    where
        I: Iterator<Item = Result<Item, Rejected>> + Send + 'static,
    {
        let (requests, asked) = mpsc::channel();
        let workers = Self { requests, taken: Arc::default(), left_out: Arc::default() };
        let (items, taken) = (Mutex::new((items, asked)), Arc::clone(&workers.taken));
        let left_out = Arc::clone(&workers.left_out);
        let shared = Arc::new(Shared { items, taken, left_out, ingest: ingest.clone() });
        for number in 0..ingest.threads {
            let shared = Arc::clone(&shared);
            let name = format!("gallery reader {number}");
            let spawned = thread::Builder::new().name(name).spawn(move || shared.work());
            spawned.map_err(|error| Error::backend("thread that reads images", error))?;
        }
        Ok(workers)
    }

    /// Asks for the next item: requests are served in the order of the reader. What it became is
    /// none behind the last one, and an error when nothing more can be taken in.
    pub(super) fn next(&self) -> impl Future<Output = Result<Option<Done>>> + use<> {
        let (reply, outcome) = oneshot::channel();
        // When all threads have ended, the reply is dropped.
        let _ = self.requests.send(reply);
        async {
            let panicked = |_| Err(Error::backend("reader of images", "it panicked"));
            outcome.await.unwrap_or_else(panicked)
        }
    }

    /// Items that were taken from the reader so far.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Notes what the reader found so far, and what of it it left out.
    pub(super) fn count(&self, progress: &mut IngestProgress) {
        progress.left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone();
        progress.found = self.taken() as u64 + progress.left_out.total();
    }
}

impl<I: Iterator<Item = Result<Item, Rejected>>> Shared<I> {
    fn work(&self) {
        loop {
            // A reader that panics poisons the lock: the threads end, and every request fails.
            let Ok(mut guard) = self.items.lock() else { return };
            let (items, requests) = &mut *guard;
            let Ok(reply) = requests.recv() else { return };
            if reply.is_canceled() {
                return;
            }
            let item = items.next();
            self.taken.fetch_add(usize::from(item.is_some()), Ordering::Relaxed);
            self.left_out.lock().unwrap_or_else(PoisonError::into_inner).append(tally::take());
            drop(guard);
            // Nobody takes it when the caller has left.
            drop(reply.send(item.map(|item| self.done(item)).transpose()));
        }
    }

    fn done(&self, item: Result<Item, Rejected>) -> Result<Done> {
        match item {
            Ok(mut item) => {
                let read_from = std::mem::take(&mut item.read_from).into_iter();
                let read_from = read_from.map(|source| self.noted(source)).collect();
                Ok(Done { outcome: self.outcome(item)?, read_from })
            }
            Err(Rejected { source, reason }) => {
                let source = self.noted(source);
                let outcome = Outcome::Rejected(Rejected { source, reason });
                Ok(Done { outcome, read_from: Vec::new() })
            }
        }
    }

    /// A source as the gallery notes it.
    fn noted(&self, source: String) -> String {
        let Ingest { gallery, relative_paths, .. } = &self.ingest;
        if *relative_paths { relative_source(gallery.folder(), source) } else { source }
    }

    fn outcome(&self, mut item: Item) -> Result<Outcome> {
        if self.ingest.relative_paths {
            item = relative_item(self.ingest.gallery.folder(), item);
        }
        let source = item.source.clone();
        // A decoder that panics on one image is no reason to lose the others.
        catch_unwind(AssertUnwindSafe(|| self.prepare(item))).unwrap_or_else(|_| {
            let reason = "its decoder panicked".to_owned();
            Ok(Outcome::Rejected(Rejected { source, reason }))
        })
    }

    /// What is wrong with the image itself rejects it; an error is the gallery's.
    fn prepare(&self, mut item: Item) -> Result<Outcome> {
        let (source, embedding) = (item.source.clone(), item.embedding.take());
        let reject = |reason| Ok(Outcome::Rejected(rejected(source, reason)));
        let Ingest { gallery, embedder, limits, .. } = &self.ingest;
        let folder = gallery.folder();
        // 1. The file, of which the header alone is looked at.
        let loaded = match Loaded::read(item, *limits) {
            Ok(loaded) => loaded,
            Err(reason) => return reject(reason),
        };
        if let Err(reason) = check(&loaded.record) {
            return reject(reason);
        }
        // 2. What is in the gallery needs no more.
        if gallery.by_hash(&loaded.record.hash)?.is_some() {
            return Ok(Outcome::Known(loaded.kept(folder)?));
        }
        if let Some(embedding) = embedding {
            check_dim(gallery, &loaded.record, &embedding)?;
            return Ok(Outcome::Embedded(loaded.kept(folder)?, embedding));
        }
        // 3. The pixels, as the network wants them.
        let Some(embedder) = embedder else {
            return reject(Error::unavailable("an embedding", "there is no embedder"));
        };
        let preprocess = |image: Image| {
            let prepared = catch_unwind(AssertUnwindSafe(|| embedder.preprocess(&image)));
            prepared.map_err(|_| Error::backend(embedder.to_string(), "its `preprocess` panicked"))
        };
        match loaded.decode().and_then(preprocess) {
            Ok(image) => Ok(Outcome::Image(loaded.kept(folder)?, image)),
            Err(reason) => reject(reason),
        }
    }
}

fn check_dim(gallery: &Gallery, record: &ImageRecord, embedding: &Embedding) -> Result<()> {
    let (expected, found) = (gallery.fingerprint().dim(), embedding.dim());
    if found == expected {
        return Ok(());
    }
    let right = format!("the embedding of {}", record.source);
    let (expected, found) = (format!("{expected} values"), format!("{found} values"));
    Err(Error::incompatible(gallery, right, expected, found))
}

//! [`Ingest`]: items to images of a gallery, decoded and embedded side by side, in bounded memory.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use futures::StreamExt;

use super::batch::Batch;
use super::load::Limits;
use super::workers::Workers;
use super::{IngestProgress, Item};
use crate::embedder::Embedder;
use crate::gallery::{Fingerprint, Gallery, Rejected};
use crate::{Error, Result};

/// Takes images into a gallery, each once.
///
/// Threads read, hash, decode and resize images while earlier ones are embedded. An image whose
/// content is in the gallery is neither decoded nor embedded, so that a build that was interrupted
/// goes on where it stopped. What cannot be taken in is listed in the gallery with the reason, and
/// costs nothing else.
///
/// In memory are at most [`in_flight`](Self::in_flight) images at a time, each as the embedder's
/// [`preprocess`](Embedder::preprocess) leaves it (150 KB for CLIP at 224 pixels), and on each thread one
/// file with what it decodes to.
///
/// ```
/// # use futures::executor::block_on;
/// # use imagerag::testing::{FakeEmbedder, solid};
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-i-{}", std::process::id()));
/// # block_on(async {
/// use imagerag::gallery::Gallery;
/// use imagerag::gallery::ingest::{Content, Ingest, Item};
///
/// let gallery = Gallery::open_or_create(&folder, &FakeEmbedder).await?;
/// // Or `Folder::open("photos")?`, `WebDataset::open("shards")?`, `ClipRetrieval::open("laion")?`.
/// let images = vec![Ok(Item::new("red", Content::Image(solid(8, 8, [200, 0, 0]))))];
/// let done = Ingest::into(&gallery)
///     .with_embedder(FakeEmbedder)
///     .run(images, |progress| println!("{progress}, {:.0} images/s", progress.rate()))
///     .await?;
/// assert_eq!((done.added, gallery.count()?), (1, 1));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), imagerag::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Ingest {
    gallery: Gallery,
    embedder: Option<Arc<dyn Embedder>>,
    batch: usize,
    threads: usize,
    limits: Limits,
}

/// Images that are embedded and acknowledged together.
const BATCH: usize = 64;
/// Length of a file, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// Pillow's `Image.MAX_IMAGE_PIXELS`, from which on it warns of a decompression bomb.
const MAX_PIXELS: u64 = 89_478_485;

impl Ingest {
    /// Takes images into `gallery`, in batches of 64, with a thread a core, and files of at most
    /// 64 MiB and 89,478,485 pixels.
    pub fn into(gallery: &Gallery) -> Self {
        Self {
            gallery: gallery.clone(),
            embedder: None,
            batch: BATCH,
            threads: available_parallelism().map_or(1, NonZero::get),
            limits: Limits { bytes: MAX_BYTES, pixels: MAX_PIXELS },
        }
    }

    /// Embeds with `embedder`, the gallery's own. Without one, every item must bring its embedding.
    #[must_use]
    pub fn with_embedder(mut self, embedder: impl Embedder) -> Self {
        self.embedder = Some(Arc::new(embedder));
        self
    }

    /// Embeds and acknowledges `images` at a time, at least 1.
    #[must_use]
    pub const fn with_batch(mut self, images: usize) -> Self {
        self.batch = images;
        self
    }

    /// Reads and decodes on `threads`, at least 1.
    #[must_use]
    pub const fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Rejects files of more than `bytes`, unread.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Rejects images of more than `pixels`, width times height, undecoded.
    #[must_use]
    pub const fn with_max_pixels(mut self, pixels: u64) -> Self {
        self.limits.pixels = pixels;
        self
    }

    /// The most images that are in memory at a time: the batch that is embedded, the next one, and
    /// one a thread.
    pub const fn in_flight(&self) -> usize {
        self.batch.saturating_mul(2).saturating_add(self.threads)
    }

    /// Takes `items` in, in their order; `progress` hears of every batch that is acknowledged.
    /// Dropping the future ends it: what was acknowledged stays, and the threads stop behind the
    /// image they are at.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the batch or the number of threads is 0;
    /// [`Error::Incompatible`] when the embedder is not the gallery's, or an item's embedding has
    /// another dimension; [`Error::Unavailable`] when the gallery has another writer; those of the
    /// embedder where it fails on every image of a batch; [`Error::Io`] when the disk is full.
    /// What was acknowledged stays in any case.
    pub async fn run<I>(
        &self,
        items: I,
        mut progress: impl FnMut(&IngestProgress) + Send,
    ) -> Result<IngestProgress>
    where
        I: IntoIterator<Item = Result<Item, Rejected>> + Send,
        I::IntoIter: Send + 'static,
    {
        // 1. Everything that can be wrong from the start.
        for (what, number) in [("batch", self.batch), ("threads", self.threads)] {
            if number == 0 {
                return Err(Error::invalid_input(what, "at least 1", number));
            }
        }
        if let Some(embedder) = &self.embedder {
            self.gallery.fingerprint().check(&Fingerprint::of(embedder).await?)?;
        }
        let began = Instant::now();
        let mut writer = self.gallery.writer()?;
        // 2. Threads that make images ready.
        let items = items.into_iter().fuse();
        let mut done = IngestProgress {
            total: items.size_hint().1.map(|total| total as u64),
            ..IngestProgress::default()
        };
        let (gallery, embedder) = (self.gallery.clone(), self.embedder.clone());
        let bounds = (self.threads, self.in_flight());
        let mut workers = Workers::start(items, gallery, embedder, self.limits, bounds)?;
        // 3. What they make, put into order again, batch by batch into the gallery.
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        let mut batch = Batch::default();
        while let Some((number, outcome)) = workers.outcomes().next().await {
            waiting.insert(number, outcome);
            while let Some(outcome) = waiting.remove(&next) {
                next += 1;
                if !batch.take(outcome)? {
                    workers.gate.leave(1);
                }
                if batch.is_full(self.batch) {
                    let images = batch.images();
                    batch.finish(self.embedder.as_deref(), &mut writer, &mut done).await?;
                    workers.gate.leave(images);
                    done.elapsed = began.elapsed();
                    done.most_in_flight = workers.gate.most();
                    progress(&done);
                }
            }
        }
        // 4. The rest, which fills no batch.
        batch.finish(self.embedder.as_deref(), &mut writer, &mut done).await?;
        done.elapsed = began.elapsed();
        done.most_in_flight = workers.gate.most();
        progress(&done);
        Ok(done)
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let embedder = self.embedder.as_ref().map(ToString::to_string);
        write!(f, "Ingest(into {}, with {embedder:?})", self.gallery)
    }
}

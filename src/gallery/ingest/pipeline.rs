//! [`Ingest`]: decodes and embeds images into a gallery, in parallel and in bounded memory.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use futures::future::join;

use super::batch::{Batch, Change};
use super::load::Limits;
use super::sources::Sources;
use super::workers::Workers;
use super::writer::Writer;
use super::{IngestProgress, Item};
use crate::Result;
use crate::embedder::Embedder;
use crate::error::at_least_one;
use crate::gallery::{Gallery, Rejected};
use crate::image::decode::MAX_PIXELS;

/// Adds images to a gallery, each once.
///
/// Threads read, hash, decode and resize images while earlier ones are embedded. An image whose
/// content is in the gallery is neither decoded nor embedded again, so that an interrupted build
/// goes on where it stopped. An image that cannot be added is listed in the gallery with the
/// reason, and the others are not affected.
///
/// A file that was renamed is the same image, with the license that is said of it now; an image
/// whose file has other content is removed at the end of the run, unless it was met elsewhere.
///
/// In memory are at most [`in_flight`](Self::in_flight) images at a time, each as the embedder's
/// [`preprocess`](Embedder::preprocess) leaves it (150 KB for CLIP at 224 pixels), on each thread one
/// file with what it decodes to, and some 60 bytes for each source, so that an image that has the
/// source of another one is rejected and does not take its place.
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
    pub(super) gallery: Gallery,
    pub(super) embedder: Option<Arc<dyn Embedder>>,
    batch: usize,
    pub(super) threads: usize,
    pub(super) limits: Limits,
    pub(super) relative_paths: bool,
}

/// Images that are embedded and acknowledged together.
const BATCH: usize = 64;
/// The most images that are asked for ahead of a batch of any size.
const MAX_AHEAD: usize = 1024;
/// Length of a file, in bytes.
const MAX_BYTES: u64 = 64 << 20;

impl Ingest {
    /// Adds images to `gallery`. By default in batches of 64, with one thread per core, and from
    /// files of at most 64 MiB and 89,478,485 pixels (Pillow's limit).
    pub fn into(gallery: &Gallery) -> Self {
        Self {
            gallery: gallery.clone(),
            embedder: None,
            batch: BATCH,
            threads: available_parallelism().map_or(1, NonZero::get),
            limits: Limits { bytes: MAX_BYTES, pixels: MAX_PIXELS },
            relative_paths: false,
        }
    }

    /// Embeds with `embedder`, which must be the gallery's. Without one, every item must have its
    /// embedding.
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

    /// Notes paths relative to the gallery's folder, such as `../photos/bee.jpg`, as sources and as
    /// places of pixels; without this, sources are absolute paths. The gallery can then be moved,
    /// or copied to another machine, together with its pictures.
    /// [`GalleryWriter::relocate`](crate::gallery::GalleryWriter::relocate) changes the paths of
    /// images that are there already.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// # use futures::executor::block_on;
    /// # use imagerag::gallery::{Gallery, ingest::{Folder, Ingest}};
    /// # use imagerag::testing::{FakeEmbedder, solid};
    /// # let home = std::env::temp_dir().join(format!("imagerag-doc-p-{}", std::process::id()));
    /// # std::fs::create_dir_all(home.join("photos")).unwrap();
    /// # solid(8, 8, [0, 140, 70]).save(home.join("photos/quetzal.png"))?;
    /// # block_on(async {
    /// let gallery = Gallery::open_or_create(home.join("birds.gallery"), &FakeEmbedder).await?;
    /// let ingest = Ingest::into(&gallery).with_embedder(FakeEmbedder).with_relative_paths();
    /// ingest.run(Folder::open(home.join("photos"))?, |_| {}).await?;
    /// assert!(gallery.by_source("../photos/quetzal.png")?.is_some());
    /// # std::fs::remove_dir_all(home).unwrap();
    /// # Ok::<(), imagerag::Error>(()) })?;
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    #[must_use]
    pub const fn with_relative_paths(mut self) -> Self {
        self.relative_paths = true;
        self
    }

    /// Rejects files of more than `bytes`, unread.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Rejects images of more than `pixels`, width times height, undecoded. The gallery's images are
    /// read back whatever their size.
    #[must_use]
    pub const fn with_max_pixels(mut self, pixels: u64) -> Self {
        self.limits.pixels = pixels;
        self
    }

    /// The most images in memory at a time: the batch that is being embedded, the next one, and one
    /// per thread.
    pub const fn in_flight(&self) -> usize {
        self.batch.saturating_mul(2).saturating_add(self.threads)
    }

    /// Adds `items`, in their order; `progress` is called after every acknowledged batch. Dropping
    /// the future stops the work: it waits for the change of the gallery that is being written, and
    /// each thread finishes its current image. Acknowledged images stay.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when the batch or the number of threads
    /// is 0; [`Error::Incompatible`](crate::Error::Incompatible) when the embedder is not the
    /// gallery's, or an item's embedding has another dimension;
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the gallery has another writer; those
    /// of the embedder where it fails on every image of a batch;
    /// [`Error::Backend`](crate::Error::Backend) when it gives another number of embeddings than of
    /// images, or another dimension than it says;
    /// [`Error::Io`](crate::Error::Io) when the disk is full.
    /// Acknowledged images stay in any case.
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
        at_least_one("batch", self.batch)?;
        at_least_one("threads", self.threads)?;
        if let Some(embedder) = &self.embedder {
            self.gallery.check_embedder(embedder).await?;
        }
        let began = Instant::now();
        let writer = Writer::open(&self.gallery).await?;
        // 2. Threads that make images ready, and who is asked for how many ahead.
        let items = items.into_iter().fuse();
        let total = items.size_hint().1.map(|total| total as u64);
        let mut done = IngestProgress { total, ..IngestProgress::default() };
        let workers = Workers::start(items, self)?;
        let ahead = self.batch.min(MAX_AHEAD) + self.threads;
        let mut outcomes: VecDeque<_> = (1..ahead).map(|_| workers.next()).collect();
        // 3. What they make, in order, batch by batch into the gallery. One batch is written while
        //    the next one is embedded.
        let (mut batch, mut settled, mut last) = (Batch::default(), 0, false);
        let mut sources = Sources::default();
        let mut ready: Option<Change> = None;
        let worked = async {
            while !last {
                outcomes.push_back(workers.next());
                let Some(outcome) = outcomes.pop_front() else { break };
                let outcome = outcome.await?;
                last = outcome.is_none();
                let kept = outcome.is_none_or(|outcome| batch.take(outcome, &mut sources));
                done.most_in_flight = done.most_in_flight.max(workers.taken() - settled);
                settled += usize::from(!kept);
                if last || batch.is_full(self.batch) {
                    let images = batch.images();
                    let embed = std::mem::take(&mut batch).embed(self.embedder.as_deref());
                    let write = async {
                        let Some(change) = ready.take() else { return Ok(()) };
                        change.write(&writer, &mut done).await?;
                        done.elapsed = began.elapsed();
                        workers.count(&mut done);
                        progress(&done);
                        Ok(())
                    };
                    let (embedded, written) = join(embed, write).await;
                    written?;
                    ready = Some(embedded?);
                    done.most_in_flight = done.most_in_flight.max(workers.taken() - settled);
                    settled += images;
                }
            }
            Ok(())
        }
        .await;
        // Also where something fails: what is embedded is not lost.
        if let Some(change) = ready {
            change.write(&writer, &mut done).await?;
            done.elapsed = began.elapsed();
            workers.count(&mut done);
            progress(&done);
        }
        worked?;
        // Everything that still is somewhere was met.
        writer.run(|writer| writer.add_part(&[], true)).await?;
        writer.close().await?;
        Ok(done)
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let embedder = self.embedder.as_ref().map(ToString::to_string);
        write!(f, "Ingest(into {}, with {embedder:?})", self.gallery)
    }
}

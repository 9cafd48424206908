//! [`Ingest`]: decodes and embeds images into a gallery, in parallel and in bounded memory.

use std::fmt;
use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Instant;

use futures::future::join;
use futures::{FutureExt, StreamExt};

use super::batch::{Batch, Change};
use super::batches::{Batches, Count};
use super::load::Limits;
use super::workers::Workers;
use super::writer::Writer;
use super::{IngestProgress, Item};
use crate::Result;
use crate::embedder::{Batching, Embedder};
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
/// Images are handed to the embedder as its [`batching`](Embedder::batching) says: a model on this
/// machine gets one batch after the other, a service several at a time. What is embedded is written at
/// once, so that after an interruption no more than the batches that were being embedded is paid for
/// again. An image that is refused while others are not is rejected by name. A limit on the rate, a
/// time-out, a key that is no longer valid or an outage rejects nothing: the run ends with that error,
/// what was answered is written, and the next run goes on from there.
///
/// After the last image, the embedder is asked for the two probes of the gallery's
/// [`Fingerprint`](crate::gallery::Fingerprint) once more (after a single batch, for the text), because a service may get another model
/// behind the same name while a gallery is built.
///
/// In memory are at most [`in_flight`](Self::in_flight) images at a time, each as the embedder's
/// [`preprocess`](Embedder::preprocess) leaves it (150 KB for CLIP at 224 pixels), on each thread one
/// file with what it decodes to, and some 60 bytes for each source, so that an image that has the
/// source of another one is rejected and does not take its place.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
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
    batch: Option<usize>,
    concurrency: Option<usize>,
    pub(super) threads: usize,
    pub(super) limits: Limits,
    pub(super) relative_paths: bool,
}

/// Length of a file, in bytes.
const MAX_BYTES: u64 = 64 << 20;

impl Ingest {
    /// Adds images to `gallery`. By default in batches as the embedder wants them (64, one at a time,
    /// for a model on this machine), with one thread per core, and from files of at most 64 MiB and 89,478,485 pixels (Pillow's limit).
    pub fn into(gallery: &Gallery) -> Self {
        Self {
            gallery: gallery.clone(),
            embedder: None,
            batch: None,
            concurrency: None,
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

    /// Embeds `images` in one call, at least 1; by default as many as the embedder's
    /// [`batching`](Embedder::batching) says. An image that a service refuses costs the others of its
    /// batch a second request, so a batch should be no larger than one request of the service.
    #[must_use]
    pub const fn with_batch(mut self, images: usize) -> Self {
        self.batch = Some(images);
        self
    }

    /// Embeds `batches` at a time, at least 1; by default as many as the embedder's
    /// [`batching`](Embedder::batching) says. More than one hides how long a service takes to answer.
    #[must_use]
    pub const fn with_concurrency(mut self, batches: usize) -> Self {
        self.concurrency = Some(batches);
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

    /// The most images in memory at a time: the batches that are being embedded, the next one, and one
    /// per thread.
    pub fn in_flight(&self) -> usize {
        let Batching { images, calls } = self.batching();
        images.saturating_mul(calls.saturating_add(1)).saturating_add(self.threads)
    }

    /// How the embedder is given images.
    fn batching(&self) -> Batching {
        let wanted = self.embedder.as_ref().map_or_else(Batching::default, Embedder::batching);
        let (images, calls) = (self.batch, self.concurrency);
        Batching::new(images.unwrap_or(wanted.images), calls.unwrap_or(wanted.calls))
    }

    /// Adds `items`, in their order; `progress` is called after every acknowledged batch. Dropping
    /// the future stops the work: it waits for the change of the gallery that is being written, and
    /// each thread finishes its current image. Acknowledged images stay.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when the batch, the concurrency or the
    /// number of threads is 0; [`Error::Incompatible`](crate::Error::Incompatible) when the embedder is not the
    /// gallery's, or is no longer at the end, or an item's embedding has another dimension. At the end the
    /// images of this run are in the gallery; the error has their ids, and they should be
    /// [removed](crate::gallery::GalleryWriter::remove), because nobody knows which of them were embedded
    /// before the change;
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the gallery has another writer; those
    /// of the embedder where no image is to blame: a time-out, a limit on the rate, an error about the
    /// key, the account or the model, or one that the two probes of the fingerprint meet as well;
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
        let Batching { images, calls } = self.batching();
        at_least_one("batch", images)?;
        at_least_one("batches at a time", calls)?;
        at_least_one("threads", self.threads)?;
        if let Some(embedder) = &self.embedder {
            self.gallery.check_embedder(embedder).await?;
        }
        let began = Instant::now();
        let writer = Writer::open(&self.gallery).await?;
        let first = writer.run(|writer| Ok(writer.rows)).await?;
        // 2. Threads that make images ready, in batches, of which several are embedded at a time.
        let items = items.into_iter().fuse();
        let total = items.size_hint().1.map(|total| total as u64);
        let mut done = IngestProgress { total, ..IngestProgress::default() };
        let (workers, count) = (Workers::start(items, self)?, Count::default());
        let batches = Batches::new(&workers, &count, images, self.threads).stream();
        let embedded = AtomicUsize::new(0);
        let embed = async |batch: Result<Batch>| {
            let batch = batch?;
            let images = batch.images();
            let (change, failed) = batch.embed(self.embedder.as_deref()).await;
            count.note(&workers, images);
            embedded.fetch_add(usize::from(images > 0), Ordering::Relaxed);
            if failed.is_some() {
                count.stop();
            }
            Ok((change, failed))
        };
        let mut changes = pin!(batches.map(embed).buffered(calls));
        // 3. What comes of them, in order, into the gallery, while later ones are embedded.
        let (mut ready, mut failed, mut ended) = (None::<Change>, None, false);
        while !ended || ready.is_some() {
            let change = ready.take();
            let write = async {
                let Some(change) = change else { return Ok(()) };
                change.write(&writer, &mut done).await?;
                done.elapsed = began.elapsed();
                done.most_in_flight = count.most();
                workers.count(&mut done);
                progress(&done);
                Ok(())
            };
            let (mut next, written) = join(changes.next(), write).await;
            written?;
            // Together with what else is there already.
            loop {
                let (change, error) = match next {
                    None => {
                        ended = true;
                        break;
                    }
                    Some(Ok(outcome)) => outcome,
                    Some(Err(error)) => (Change::default(), Some(error)),
                };
                ready.get_or_insert_default().append(change);
                if error.is_some() {
                    // What is being embedded is paid for, and is written too.
                    count.stop();
                    failed = failed.or(error);
                }
                match changes.next().now_or_never() {
                    Some(there) if ready.as_ref().is_none_or(Change::is_small) => next = there,
                    _ => break,
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // Everything that still is somewhere was met.
        let end = writer.run(|writer| {
            writer.add_part(&[], true)?;
            Ok(writer.rows)
        });
        let end = end.await?;
        writer.close().await?;
        // 4. Whether it was one embedder from the beginning to the end.
        let calls = embedded.load(Ordering::Relaxed);
        if let Some(embedder) = self.embedder.as_ref().filter(|_| calls > 0 && first < end) {
            self.gallery.check_unchanged(embedder, first..end, calls).await?;
        }
        Ok(done)
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let embedder = self.embedder.as_ref().map(ToString::to_string);
        write!(f, "Ingest(into {}, with {embedder:?})", self.gallery)
    }
}

//! [`Gallery`]: a folder of images that are embedded once and can then be searched.
//!
//! ```text
//! gallery.json      which encoder made the vectors
//! catalog.sqlite    one record per image: hash, source, place of its pixels, license, caption, …
//! vectors-0.f32     their embeddings, row after row; an image's id is the number of its row
//! acknowledged      number of the last change that was acknowledged
//! writer.lock       locked by the process that writes
//! index/            an approximate index, if one was built
//! ```
//!
//! A change is *acknowledged* when the call of [`GalleryWriter`] returns. It is then on the disk,
//! and survives a crash of the process or the machine. Vectors reach the disk before the catalog's
//! transaction commits; the next writer cuts off vectors that the catalog does not know of. Every
//! record and every piece of the vectors is compared with its checksum before it is used.
//!
//! A folder of pictures, embedded and then searched:
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # use futures::executor::block_on;
//! # use imagerag::testing::{FakeEmbedder, solid};
//! # let photos = std::env::temp_dir().join(format!("imagerag-doc-m-{}", std::process::id()));
//! # let folder = photos.join("gallery");
//! # std::fs::create_dir_all(&photos).unwrap();
//! # solid(8, 8, [200, 0, 0]).save(photos.join("red.png"))?;
//! # solid(8, 8, [0, 0, 200]).save(photos.join("blue.png"))?;
//! # block_on(async {
//! use imagerag::EmbedderExt;
//! use imagerag::gallery::ingest::{Folder, Ingest};
//! use imagerag::gallery::{Depth, Found, Gallery, SearchOptions};
//!
//! let gallery = Gallery::open_or_create(&folder, &FakeEmbedder).await?;
//! let done = Ingest::into(&gallery)
//!     .with_embedder(FakeEmbedder)
//!     .run(Folder::open(&photos)?, |progress| println!("{progress}"))
//!     .await?;
//! assert_eq!((done.added, gallery.stats()?.images), (2, 2));
//!
//! let query = FakeEmbedder.embed_text("a red car").await?;
//! let found = gallery.search(&[query], &SearchOptions::new(1)).await?;
//! for Found { entry, score, .. } in &found[0] {
//!     println!("{score:.2} {}", entry.record.source);
//!     assert!(entry.record.source.ends_with("red.png"));
//! }
//!
//! let checked = Gallery::verify(&folder, Depth::Pictures);
//! assert!(checked.is_whole(), "{:?}", checked.problems);
//! # std::fs::remove_dir_all(&photos).unwrap();
//! # Ok::<(), imagerag::Error>(()) })?;
//! # Ok::<(), imagerag::Error>(())
//! ```

pub mod ingest;
mod maintain;
mod search;
mod store;

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::embedder::Embedder;
use crate::index::IdSet;
use crate::{Error, Result, pool};

pub use maintain::{Depth, GalleryStats, Verification};
pub use search::{Fetch, Found, GalleryRetriever, SearchOptions};
#[cfg(feature = "evaluation")]
pub(crate) use store::pixels::read as read_pixels;
pub use store::{
    Added, ContentHash, Entry, Fingerprint, GalleryWriter, ImageRecord, Pixels, Rejected,
};

use store::catalog::Catalog;
use store::manifest;
use store::snapshot::Snapshot;

/// A gallery, open for reading. Clones share it.
///
/// For some hundreds of pictures that may be embedded anew at each start, a
/// [`Catalog`](crate::retriever::Catalog) in memory will do.
///
/// It always shows the last acknowledged change of any process. Reading never waits for a writer.
/// Functions that are not async read files and block the calling thread.
///
/// ```
/// # use futures::executor::block_on;
/// # use imagerag::embedder::Embedding;
/// # use imagerag::gallery::{ContentHash, Fingerprint, Gallery, ImageRecord, Pixels, SearchOptions};
/// # use imagerag::reference::{Filter, Metadata};
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-{}", std::process::id()));
/// // With an encoder at hand: `Fingerprint::of(&embedder).await?`.
/// let gallery = Gallery::create(&folder, &Fingerprint::named("CLIP ViT-B/32", 2)?)?;
/// let record = ImageRecord {
///     hash: ContentHash::of(b"the file's bytes"),
///     source: "photos/quetzal.jpg".into(),
///     pixels: Pixels::File("photos/quetzal.jpg".into()),
///     metadata: Metadata { license: Some("CC0-1.0".into()), ..Metadata::default() },
/// };
/// gallery.writer()?.add(&[(record, Embedding::new([0.6, 0.8])?)])?;
///
/// let options = SearchOptions::new(3).with_filter(Filter::all().licenses(["CC0-1.0"]));
/// let found = block_on(gallery.search(&[Embedding::new([0.6, 0.8])?], &options))?;
/// assert_eq!(found[0][0].entry.record.source, "photos/quetzal.jpg");
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone)]
pub struct Gallery {
    shared: Arc<Shared>,
    /// What proposes images, where not all are compared.
    approximate: Option<Arc<search::approximate::Approximate>>,
}

struct Shared {
    folder: PathBuf,
    fingerprint: Fingerprint,
    reader: Mutex<Reader>,
    /// Embedders that were found to be the gallery's, by `Display` and dimension.
    embedders: Mutex<HashSet<(String, usize)>>,
}

/// The catalog, and what was last seen in it.
struct Reader {
    catalog: Catalog,
    snapshot: Arc<Snapshot>,
    /// Filters that were asked for, with the images of this snapshot that they let through.
    selected: LruCache<String, Arc<IdSet>>,
}

impl Gallery {
    /// Opens the gallery in `folder`: reads the whole catalog and compares it with its checksums.
    /// This blocks the thread; [`open_or_create`](Self::open_or_create) is async.
    ///
    /// # Errors
    /// [`Error::Io`] when there is no gallery; [`Error::InvalidFile`] when one of its files is
    /// damaged.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_owned();
        let path = folder.join(manifest::FILE);
        let bytes = fs::read(&path).map_err(|source| Error::io(&path, source))?;
        let fingerprint = manifest::read(&path, &bytes)?;
        let catalog = Catalog::open(&folder)?;
        let snapshot = Arc::new(Snapshot::load(&folder, fingerprint.dim(), &catalog)?);
        manifest::compare(&path, &bytes, snapshot.state.manifest)?;
        let reader = Reader { catalog, snapshot, selected: LruCache::new(search::REMEMBERED) };
        let (reader, embedders) = (Mutex::new(reader), Mutex::default());
        let shared = Shared { folder, fingerprint, reader, embedders };
        Ok(Self { shared: Arc::new(shared), approximate: None })
    }

    /// Opens the gallery in `folder` for use with `embedder`, or creates it if there is none.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when another encoder, or another preprocessing, made its vectors;
    /// it names both. Those of [`open`](Self::open), [`create`](Self::create) and the embedder.
    pub async fn open_or_create<E: Embedder + ?Sized>(
        folder: impl AsRef<Path> + Send,
        embedder: &E,
    ) -> Result<Self> {
        let fingerprint = Fingerprint::of(embedder).await?;
        let folder = folder.as_ref().to_owned();
        let provide = move || Self::provide(&folder, &fingerprint);
        let gallery = pool::run("opening a gallery", provide).await?;
        gallery.embedders().insert(named(embedder));
        Ok(gallery)
    }

    /// Opens the gallery in `folder`, which is of `fingerprint`; makes it where there is none.
    fn provide(folder: &Path, fingerprint: &Fingerprint) -> Result<Self> {
        let exists = || folder.join(manifest::FILE).exists();
        if !exists() {
            match Self::create(folder, fingerprint) {
                // Another process was there first.
                Err(Error::InvalidInput { .. }) if exists() => {}
                created => return created,
            }
        }
        let gallery = Self::open(folder)?;
        gallery.fingerprint().check(fingerprint)?;
        Ok(gallery)
    }

    /// Checks that `embedder` is the one that made the gallery's vectors, by the two embeddings of
    /// a [`Fingerprint`].
    ///
    /// An embedder that has passed is not asked again by this gallery and its clones: they know it
    /// by its `Display` and dimension. [`open_or_create`](Self::open_or_create),
    /// [`Ingest::run`](ingest::Ingest::run) and [`GalleryRetriever::new`] make this check, so that
    /// an embedder is asked once by all of them.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when another encoder, or another preprocessing, made the vectors; it
    /// names both. Those of the embedder.
    pub async fn check_embedder<E: Embedder + ?Sized>(&self, embedder: &E) -> Result<()> {
        let embedder_name = named(embedder);
        if self.embedders().contains(&embedder_name) {
            return Ok(());
        }
        self.fingerprint().check(&Fingerprint::of(embedder).await?)?;
        self.embedders().insert(embedder_name);
        Ok(())
    }

    /// Checks that `embedder`, which has made the vectors of the images `added` in so many `calls`, still
    /// is the one that it was before. After one call, such as for one image more, the text alone is asked
    /// for, so that the check costs less than the image.
    async fn check_unchanged<E: Embedder + ?Sized>(
        &self,
        embedder: &E,
        added: Range<u64>,
        calls: usize,
    ) -> Result<()> {
        if self.fingerprint().probes.is_none() {
            return Ok(()); // Only names are compared.
        }
        let now = match calls {
            1 => self.fingerprint().renewed_text(embedder).await?,
            _ => Fingerprint::of(embedder).await?,
        };
        let mut outcome = self.fingerprint().check(&now);
        if let Err(Error::Incompatible { found, .. }) = &mut outcome {
            self.embedders().remove(&named(embedder));
            let ids = format!("images {} to {}", added.start, added.end.saturating_sub(1));
            *found = format!(
                "{found}: it changed while {ids} were embedded, of which some vectors are of another \
                 space; remove these images and embed them again"
            );
        }
        outcome
    }

    fn embedders(&self) -> MutexGuard<'_, HashSet<(String, usize)>> {
        self.shared.embedders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Which encoder made the vectors.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.shared.fingerprint
    }

    /// Opens the gallery for writing; one writer at a time.
    ///
    /// # Errors
    /// [`Error::Unavailable`], at once, when there is a writer already, in this process or in
    /// another; those of [`open`](Self::open).
    pub fn writer(&self) -> Result<GalleryWriter> {
        GalleryWriter::open(&self.shared.folder, self.shared.fingerprint.dim())
    }

    /// The number of images.
    pub fn count(&self) -> Result<usize> {
        Ok(self.reader()?.snapshot.live.len())
    }

    /// Image `id`, if there is one.
    pub fn entry(&self, id: u64) -> Result<Option<Entry>> {
        self.reader()?.catalog.entry(id)
    }

    /// The image with this content, if there is one.
    pub fn by_hash(&self, hash: &ContentHash) -> Result<Option<Entry>> {
        self.reader()?.catalog.by_hash(hash)
    }

    /// The image from this source, if there is one.
    pub fn by_source(&self, source: &str) -> Result<Option<Entry>> {
        self.reader()?.catalog.by_source(source)
    }

    /// The images that could not be added, and the metadata that was not understood, by source.
    pub fn rejected(&self) -> Result<Vec<Rejected>> {
        self.reader()?.catalog.rejected()
    }

    fn lock(&self) -> MutexGuard<'_, Reader> {
        self.shared.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The catalog, with a snapshot of this moment.
    fn reader(&self) -> Result<MutexGuard<'_, Reader>> {
        let mut reader = self.lock();
        let dim = self.shared.fingerprint.dim();
        let renewed = reader.snapshot.renewed(&self.shared.folder, dim, &reader.catalog)?;
        if renewed.state != reader.snapshot.state {
            reader.selected.clear();
            reader.snapshot = renewed;
        }
        Ok(reader)
    }
}

/// What an embedder is known by.
fn named<E: Embedder + ?Sized>(embedder: &E) -> (String, usize) {
    // In the form that tells checkpoints of one architecture apart.
    (format!("{embedder:#}"), embedder.dim())
}

impl fmt::Display for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gallery {}", self.shared.folder.display())
    }
}

impl fmt::Debug for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { folder, fingerprint, .. } = &*self.shared;
        f.debug_struct("Gallery").field("folder", folder).field("of", fingerprint).finish()
    }
}

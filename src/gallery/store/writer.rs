//! [`GalleryWriter`]: changes to a gallery, each whole and durable when its call returns.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::catalog::{Catalog, State};
use super::change::{Change, Met, check};
use super::record::{Added, ContentHash, Entry, ImageRecord, Rejected};
use super::snapshot::Snapshot;
use super::{acknowledged, vectors};
use crate::embedder::Embedding;
use crate::index::wrong_dim;
use crate::reference::Metadata;
use crate::{Error, Result};

const LOCK: &str = "writer.lock";

/// A gallery, open for writing; see [`Gallery::writer`](crate::gallery::Gallery::writer).
///
/// Each call is atomic: if it fails, nothing is changed. When it returns, the change is on the
/// disk. A call blocks until then, so make it on a thread that may block.
///
/// ```
/// # use imagerag::embedder::Embedding;
/// # use imagerag::gallery::{ContentHash, Fingerprint, ImageRecord, Pixels};
/// # use imagerag::reference::Metadata;
/// use imagerag::gallery::{Added, Gallery, GalleryWriter, Rejected};
///
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-w-{}", std::process::id()));
/// # let gallery = Gallery::create(&folder, &Fingerprint::named("CLIP ViT-B/32", 2)?)?;
/// # let record = |source: &str| ImageRecord {
/// #     hash: ContentHash::of(source.as_bytes()),
/// #     source: source.into(),
/// #     pixels: Pixels::File(source.into()),
/// #     metadata: Metadata::default(),
/// # };
/// # let embedding = Embedding::new([0.6, 0.8])?;
/// # let (quetzal, tapir) = (record("quetzal.jpg"), record("tapir.jpg"));
/// let mut writer: GalleryWriter = gallery.writer()?;
/// let batch = [(quetzal, embedding.clone()), (tapir, embedding)];
/// assert_eq!(writer.add(&batch)?, [Added::New(0), Added::New(1)]);
/// assert_eq!(writer.add(&batch[..1])?, [Added::Known(0)]); // By its content.
///
/// writer.set_captions(&[(0, "a quetzal on a branch")])?;
/// let reason = "it is no picture".into();
/// writer.reject(&[Rejected { source: "notes.jpg".into(), reason }])?;
/// // What is removed is found no more; its space is free after `compact`, which changes ids.
/// writer.remove(&[1])?;
/// assert_eq!(writer.compact()?, 1);
/// # drop(writer);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Debug)]
pub struct GalleryWriter {
    pub(crate) folder: PathBuf,
    pub(crate) dim: usize,
    pub(crate) catalog: Catalog,
    pub(crate) state: State,
    /// Rows of vectors that are acknowledged.
    pub(crate) rows: u64,
    pub(crate) vectors: File,
    acknowledged: File,
    /// Whether a commit failed: whether it reached the disk is known when the catalog is opened
    /// again.
    in_doubt: bool,
    /// The revision that the gallery had when this was opened.
    opened: u64,
    pub(crate) met: Met,
    /// Locked while this lives.
    _lock: File,
}

impl GalleryWriter {
    pub(crate) fn open(folder: &Path, dim: usize) -> Result<Self> {
        let lock = lock(folder)?;
        let catalog = Catalog::open_to_write(folder)?;
        let snapshot = Snapshot::load(folder, dim, &catalog)?;
        let (state, rows) = (snapshot.state, snapshot.vectors.rows());
        let open = |path: &Path| {
            let file = OpenOptions::new().write(true).open(path);
            file.map_err(|source| Error::io(path, source))
        };
        let path = vectors::file(folder, state.generation);
        let vectors = open(&path)?;
        // What a writer left that died before its commit.
        let tail = vectors.set_len(vectors::bytes(dim, rows));
        tail.map_err(|source| Error::io(&path, source))?;
        vectors::remove_others(folder, state.generation)?;
        let acknowledged = open(&folder.join(acknowledged::FILE))?;
        let (folder, in_doubt, opened, _lock) = (folder.to_owned(), false, state.revision, lock);
        let met = Met::default();
        Ok(Self {
            folder,
            dim,
            catalog,
            state,
            rows,
            vectors,
            acknowledged,
            in_doubt,
            opened,
            met,
            _lock,
        })
    }

    /// Adds images with their embeddings; returns the result for each, which [`Added`] explains.
    ///
    /// # Errors
    /// [`Error::InvalidInput`], which names the image, for an embedding of another dimension, a
    /// JSON text that is no object, a size of 0, or an empty source;
    /// [`Error::Io`] when the disk is full.
    pub fn add(&mut self, batch: &[(ImageRecord, Embedding)]) -> Result<Vec<Added>> {
        self.add_part(batch, true)
    }

    /// As [`add`](Self::add) of a part of what is to be added. Images whose source has other content
    /// now are removed after the last part: they may be met under another name until then.
    pub(crate) fn add_part(
        &mut self,
        batch: &[(ImageRecord, Embedding)],
        is_last: bool,
    ) -> Result<Vec<Added>> {
        for (record, embedding) in batch {
            check(record)?;
            if embedding.dim() != self.dim {
                let what = format!("embedding of {}", record.source);
                return Err(wrong_dim(what, self.dim, embedding.dim()));
            }
        }
        let first = self.rows;
        let mut bytes = Vec::new();
        let added = self.change(|change| {
            let mut rows = first;
            let mut added = Vec::with_capacity(batch.len());
            for (record, embedding) in batch {
                added.push(change.add(rows, record)?);
                if !matches!(added.last(), Some(Added::Known(_))) {
                    rows += 1;
                    bytes.extend(vectors::le_bytes(embedding));
                }
            }
            if rows > first {
                change.append(first, rows - first, &bytes)?;
            }
            if is_last {
                change.remove_displaced()?;
            }
            Ok(added)
        })?;
        self.rows += added.iter().filter(|added| !matches!(added, Added::Known(_))).count() as u64;
        Ok(added)
    }

    /// Takes over what `records` say of images whose content is there; leaves out the others.
    pub(crate) fn renew(&mut self, records: &[ImageRecord]) -> Result<()> {
        self.change(|change| {
            for record in records {
                if change.catalog.by_hash(&record.hash)?.is_some() {
                    // Nothing is appended, so that no row is needed.
                    change.add(0, record)?;
                }
            }
            Ok(())
        })
    }

    /// Removes images; returns how many of `ids` there were.
    pub fn remove(&mut self, ids: &[u64]) -> Result<usize> {
        self.change(|change| {
            ids.iter().try_fold(0, |count, &id| Ok(count + usize::from(change.remove(id)?)))
        })
    }

    /// Replaces the metadata of images, for example to store captions that a VLM wrote.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is no such image, or as for [`add`](Self::add).
    pub fn describe(&mut self, images: &[(u64, Metadata)]) -> Result<()> {
        self.change(|change| {
            for (id, metadata) in images {
                let mut entry = change.existing(*id)?;
                metadata.clone_into(&mut entry.record.metadata);
                check(&entry.record)?;
                change.rewrite(&entry)?;
            }
            Ok(())
        })
    }

    /// Replaces the captions of images.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is no such image.
    pub fn set_captions(&mut self, captions: &[(u64, &str)]) -> Result<()> {
        self.change(|change| {
            for (id, caption) in captions {
                let mut entry = change.existing(*id)?;
                entry.record.metadata.caption = Some((*caption).to_owned());
                change.rewrite(&entry)?;
            }
            Ok(())
        })
    }

    /// Puts images on the list of those that could not be added. They replace what an earlier writer
    /// noted of the same source; this writer may note several of one source. An image is taken off
    /// the list when one from the same source is added.
    pub fn reject(&mut self, rejected: &[Rejected]) -> Result<()> {
        let opened = self.opened;
        self.change(|change| {
            for one in rejected {
                change.forget_rejected(&one.source, opened)?;
                change.changed = true;
                change.catalog.reject(one, change.state.revision)?;
            }
            Ok(())
        })
    }

    /// Takes what earlier writers noted of these sources off the list of what could not be added.
    pub(crate) fn forget_rejected(&mut self, sources: &[String]) -> Result<()> {
        let opened = self.opened;
        self.change(|change| {
            sources.iter().try_for_each(|source| change.forget_rejected(source, opened))
        })
    }

    /// The image with this content, if there is one: it need not be embedded again.
    pub fn by_hash(&self, hash: &ContentHash) -> Result<Option<Entry>> {
        self.catalog.by_hash(hash)
    }

    /// The image from this source, if there is one.
    pub fn by_source(&self, source: &str) -> Result<Option<Entry>> {
        self.catalog.by_source(source)
    }

    /// Runs `work` in a transaction and commits it; where nothing was changed, nothing is written.
    pub(crate) fn change<T>(
        &mut self,
        work: impl FnOnce(&mut Change<'_>) -> Result<T>,
    ) -> Result<T> {
        if self.in_doubt {
            return Err(Error::unavailable("this writer", "a commit failed; open another"));
        }
        let Self { folder, dim, catalog, state, vectors, met, .. } = self;
        let state = State { revision: state.revision + 1, ..*state };
        let transaction = catalog.begin()?;
        let (dim, changed) = (*dim, false);
        let mut change = Change { folder, dim, catalog, state, vectors, changed, met };
        let done = work(&mut change)?;
        if !change.changed {
            return Ok(done);
        }
        let state = change.state;
        catalog.set_state(state)?;
        let committed = transaction.commit();
        self.in_doubt = committed.is_err();
        self.catalog.run(|_| committed)?;
        self.state = state;
        // Only for finding damage: the change itself is on the disk.
        let _ = acknowledged::write(&self.acknowledged, state.revision);
        Ok(done)
    }
}

impl Drop for GalleryWriter {
    /// Leaves a catalog that is whole without its log, unless somebody is reading.
    fn drop(&mut self) {
        let _ = self.catalog.fold_log();
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| Error::io(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let reason = "another writer has it open, in this process or in another";
            Err(Error::unavailable(format!("writing to gallery {}", folder.display()), reason))
        }
        Err(TryLockError::Error(source)) => Err(Error::io(path, source)),
    }
}

//! [`GalleryWriter`]: changes to a gallery, each whole and durable when its call returns.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::catalog::{self, Catalog, State};
use super::record::{Added, ContentHash, Entry, ImageRecord, Pixels, Rejected};
use super::vectors;
use super::{acknowledged, snapshot::Snapshot};
use crate::retriever::{Embedding, Metadata};
use crate::{Error, Result};

const LOCK: &str = "writer.lock";

/// A gallery, open for writing; see [`Gallery::writer`](super::Gallery::writer).
///
/// A call changes the gallery as a whole or, when it fails, not at all. What has returned is on the
/// disk and is never lost.
#[derive(Debug)]
pub struct GalleryWriter {
    folder: PathBuf,
    dim: usize,
    catalog: Catalog,
    state: State,
    /// Rows of vectors that are acknowledged.
    rows: u64,
    vectors: File,
    acknowledged: File,
    /// Whether a commit failed: whether it reached the disk is known when the catalog is opened
    /// again.
    in_doubt: bool,
    /// Locked while this lives.
    _lock: File,
}

impl GalleryWriter {
    pub(super) fn open(folder: &Path, dim: usize) -> Result<Self> {
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
        Ok(Self {
            folder: folder.to_owned(),
            dim,
            catalog,
            state,
            rows,
            vectors,
            acknowledged: open(&folder.join(acknowledged::FILE))?,
            in_doubt: false,
            _lock: lock,
        })
    }

    /// Adds images with their embeddings; says of each what became of it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`], which names the image, for an embedding of another dimension, a
    /// JSON text that is no object, a size of 0, an empty source, or a path that is not UTF-8;
    /// [`Error::Io`] when the disk is full.
    pub fn add(&mut self, batch: &[(ImageRecord, Embedding)]) -> Result<Vec<Added>> {
        for (record, embedding) in batch {
            check(record)?;
            if embedding.dim() != self.dim {
                return Err(Error::invalid_input(
                    format!("embedding of {}", record.source),
                    format!("{} values", self.dim),
                    format!("{} values", embedding.dim()),
                ));
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
                    bytes.extend(embedding.values().iter().flat_map(|value| value.to_le_bytes()));
                }
            }
            if rows > first {
                change.append(first, rows - first, &bytes)?;
            }
            Ok(added)
        })?;
        self.rows += added.iter().filter(|added| !matches!(added, Added::Known(_))).count() as u64;
        Ok(added)
    }

    /// Takes over what `records` say of images whose content is there; leaves out the others.
    pub(super) fn renew(&mut self, records: &[ImageRecord]) -> Result<()> {
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

    /// Removes images; says how many there were of those numbers.
    pub fn remove(&mut self, ids: &[u64]) -> Result<usize> {
        self.change(|change| {
            ids.iter().try_fold(0, |count, &id| Ok(count + usize::from(change.remove(id)?)))
        })
    }

    /// Replaces what is known of images. A caption that a VLM wrote later is kept so.
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

    /// Lists images that could not be added, until one of the same source is.
    pub fn reject(&mut self, rejected: &[Rejected]) -> Result<()> {
        self.change(|change| {
            for Rejected { source, reason } in rejected {
                let sql = "INSERT OR REPLACE INTO rejected VALUES (?1, ?2)";
                change.touch(sql, (source, reason))?;
            }
            Ok(())
        })
    }

    /// The image with this content, where there is one: it need not be embedded again.
    pub fn by_hash(&self, hash: &ContentHash) -> Result<Option<Entry>> {
        self.catalog.by_hash(hash)
    }

    /// The image from this source, where there is one.
    pub fn by_source(&self, source: &str) -> Result<Option<Entry>> {
        self.catalog.by_source(source)
    }

    /// Runs `work` in a transaction and commits it; where nothing was changed, nothing is written.
    fn change<T>(&mut self, work: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<T> {
        if self.in_doubt {
            return Err(Error::Unavailable {
                what: "this writer".to_owned(),
                reason: "a commit failed; open another".to_owned(),
            });
        }
        let Self { folder, dim, catalog, state, vectors, .. } = self;
        let state = State { revision: state.revision + 1, ..*state };
        let transaction = catalog.begin()?;
        let mut change = Change { folder, dim: *dim, catalog, state, vectors, changed: false };
        let done = work(&mut change)?;
        if !change.changed {
            return Ok(done);
        }
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

/// A transaction under way.
struct Change<'a> {
    folder: &'a Path,
    dim: usize,
    catalog: &'a Catalog,
    /// What the state will be.
    state: State,
    vectors: &'a mut File,
    changed: bool,
}

impl Change<'_> {
    /// Finds a place for `record`, whose vector would be row `row`.
    fn add(&mut self, row: u64, record: &ImageRecord) -> Result<Added> {
        if self.catalog.execute("DELETE FROM rejected WHERE source = ?1", [&record.source])? > 0 {
            self.changed = true;
        }
        let prior = self.catalog.by_source(&record.source)?;
        if let Some(known) = self.catalog.by_hash(&record.hash)? {
            let same_source = known.record.source == record.source;
            if let Some(prior) = prior.filter(|_| !same_source) {
                self.remove(prior.id)?;
            }
            if same_source || is_gone(&known.record.pixels) {
                self.take_over(&known, record)?;
            }
            return Ok(Added::Known(known.id));
        }
        if let Some(prior) = &prior {
            self.remove(prior.id)?;
        }
        self.changed = true;
        self.catalog.write(&Entry { id: row, record: record.clone() })?;
        Ok(prior.map_or(Added::New(row), |prior| Added::Updated { id: row, old: prior.id }))
    }

    /// Lets `known` be what `record` says; what `record` does not say stays.
    fn take_over(&mut self, known: &Entry, record: &ImageRecord) -> Result<()> {
        let (old, new) = (&known.record.metadata, &record.metadata);
        let text =
            |new: &Option<String>, old: &Option<String>| new.as_ref().or(old.as_ref()).cloned();
        let metadata = Metadata {
            licence: text(&new.licence, &old.licence),
            author: text(&new.author, &old.author),
            origin: text(&new.origin, &old.origin),
            caption: text(&new.caption, &old.caption),
            width: new.width.or(old.width),
            height: new.height.or(old.height),
            json: text(&new.json, &old.json),
        };
        let merged = Entry { id: known.id, record: ImageRecord { metadata, ..record.clone() } };
        if merged != *known {
            self.rewrite(&merged)?;
        }
        Ok(())
    }

    fn existing(&self, id: u64) -> Result<Entry> {
        self.catalog
            .entry(id)?
            .ok_or_else(|| Error::invalid_input("number of an image", "one that is there", id))
    }

    fn rewrite(&mut self, entry: &Entry) -> Result<()> {
        self.touch("DELETE FROM images WHERE id = ?1", [entry.id])?;
        self.catalog.write(entry)
    }

    fn remove(&mut self, id: u64) -> Result<bool> {
        let there = self.touch("DELETE FROM images WHERE id = ?1", [id])? > 0;
        if there {
            let sql = "INSERT INTO removed VALUES (?1, ?2)";
            self.touch(sql, (id, self.state.revision))?;
        }
        Ok(there)
    }

    /// Runs a statement that changes something where it finds something.
    fn touch(&mut self, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
        let count = self.catalog.execute(sql, values)?;
        self.changed |= count > 0;
        Ok(count)
    }

    /// Writes `rows` rows behind the first `first`. They reach the disk before the commit does.
    fn append(&mut self, first: u64, rows: u64, bytes: &[u8]) -> Result<()> {
        let written = self
            .vectors
            .seek(SeekFrom::Start(vectors::bytes(self.dim, first)))
            .and_then(|_| self.vectors.write_all(bytes))
            .and_then(|()| self.vectors.sync_data());
        let path = vectors::file(self.folder, self.state.generation);
        written.map_err(|source| Error::io(path, source))?;
        let checksum = *blake3::hash(bytes).as_bytes();
        self.touch("INSERT INTO segments VALUES (?1, ?2, ?3)", (first, rows, checksum))?;
        Ok(())
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| Error::io(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Unavailable {
            what: format!("writing to gallery {}", folder.display()),
            reason: "another writer has it open, in this process or in another".to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(Error::io(path, source)),
    }
}

/// That `record` can be written down.
pub(super) fn check(record: &ImageRecord) -> Result<()> {
    let ImageRecord { source, pixels, metadata, .. } = record;
    if source.is_empty() {
        return Err(Error::invalid_input("source of an image", "a path or an address", "nothing"));
    }
    if metadata.width == Some(0) || metadata.height == Some(0) {
        let size = format!("{:?}x{:?}", metadata.width, metadata.height);
        return Err(Error::invalid_input(format!("size of {source}"), "at least 1 pixel", size));
    }
    if let Some(text) = &metadata.json {
        type Object = serde_json::Map<String, serde_json::Value>;
        serde_json::from_str::<Object>(text).map_err(|error| {
            Error::invalid_input(format!("json of {source}"), "a JSON object", error)
        })?;
    }
    catalog::place(pixels).map(|_| ())
}

/// Whether the file of these pixels is gone.
fn is_gone(pixels: &Pixels) -> bool {
    match pixels {
        Pixels::File(path) | Pixels::Member { archive: path, .. } => {
            fs::exists(path).is_ok_and(|there| !there)
        }
        Pixels::Remote => false,
    }
}

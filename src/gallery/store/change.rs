//! A transaction under way: each image that is added, described or removed to its rows.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use super::catalog::{Catalog, State};
use super::record::{Entry, ImageRecord};
use super::vectors::{self, Segment};
use crate::{Error, Result};

/// A transaction under way.
pub(crate) struct Change<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) dim: usize,
    pub(crate) catalog: &'a Catalog,
    /// What the state will be.
    pub(crate) state: State,
    pub(crate) vectors: &'a mut File,
    /// Whether anything was.
    pub(crate) changed: bool,
    /// What the writer has met so far.
    pub(crate) met: &'a mut Met,
}

/// What a writer has met so far.
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// Images that are where they were found.
    pub(crate) ids: HashSet<u64>,
    /// Copies of images that were found to have another license.
    pub(crate) contradictions: u64,
}

impl Change<'_> {
    /// Forgets what was noted as rejected from `source` up to the change `revision`.
    pub(crate) fn forget_rejected(&mut self, source: &str, revision: u64) -> Result<()> {
        let sql = "DELETE FROM rejected WHERE source = ?1 AND revision <= ?2";
        self.touch(sql, (source, revision)).map(|_| ())
    }

    pub(crate) fn existing(&self, id: u64) -> Result<Entry> {
        let lacks = || Error::invalid_input("number of an image", "one that is there", id);
        self.catalog.entry(id)?.ok_or_else(lacks)
    }

    pub(crate) fn rewrite(&mut self, entry: &Entry) -> Result<()> {
        self.touch("DELETE FROM images WHERE id = ?1", [entry.id])?;
        self.catalog.write(entry)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Result<bool> {
        let there = self.touch("DELETE FROM images WHERE id = ?1", [id])? > 0;
        if there {
            self.touch("INSERT INTO removed VALUES (?1, ?2)", (id, self.state.revision))?;
        }
        Ok(there)
    }

    /// Runs a statement that changes something where it finds something.
    pub(crate) fn touch(&mut self, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
        let count = self.catalog.execute(sql, values)?;
        self.changed |= count > 0;
        Ok(count)
    }

    /// Writes `rows` rows behind the first `first`. They reach the disk before the commit does.
    pub(crate) fn append(&mut self, first: u64, rows: u64, bytes: &[u8]) -> Result<()> {
        let written = self
            .vectors
            .seek(SeekFrom::Start(vectors::bytes(self.dim, first)))
            .and_then(|_| self.vectors.write_all(bytes))
            .and_then(|()| self.vectors.sync_data());
        let path = vectors::file(self.folder, self.state.generation);
        written.map_err(|source| Error::io(path, source))?;
        self.note(&Segment { first, rows, checksum: *blake3::hash(bytes).as_bytes() })
    }

    pub(crate) fn note(&mut self, segment: &Segment) -> Result<()> {
        let Segment { first, rows, checksum } = segment;
        self.touch("INSERT INTO segments VALUES (?1, ?2, ?3)", (first, rows, checksum))?;
        Ok(())
    }
}

/// That `record` can be written down.
pub(crate) fn check(record: &ImageRecord) -> Result<()> {
    let ImageRecord { source, metadata, .. } = record;
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
    Ok(())
}

//! `index/index.json`: which index was built from which vectors, and that it is as it was written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

#[cfg(feature = "faiss")]
use crate::atomic_file::{sync_folder, write_bytes};
use crate::gallery::store::snapshot::Snapshot;
use crate::{Error, Result};

pub(in crate::gallery) const FOLDER: &str = "index";
const FILE: &str = "index.json";
const FORMAT: u32 = 1;

/// The file, as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::gallery) struct IndexNote {
    format: u32,
    /// The index, by its `Display`.
    pub(in crate::gallery) index: String,
    /// The vectors it was built from: number of their file, how many, and a hash of all and
    /// of the index' name.
    generation: u64,
    rows: u64,
    vectors: String,
    /// The index' own file, by its BLAKE3 hash: it is also its name.
    file: String,
}

impl IndexNote {
    /// The note of the index in `file` that was built from `snapshot`.
    #[cfg(feature = "faiss")]
    pub(in crate::gallery) fn new(index: String, snapshot: &Snapshot, file: &Path) -> Result<Self> {
        let (rows, generation) = (snapshot.vectors.rows(), snapshot.state.generation);
        let (vectors, file) = (of_vectors(snapshot, rows, &index), hash(file)?);
        Ok(Self { format: FORMAT, index, generation, rows, vectors, file })
    }

    /// The note in `gallery`, of an index that is as it was written.
    ///
    /// # Errors
    /// [`Error::Io`] when there is no index; [`Error::InvalidFile`] when it, or the note, is damaged
    /// or was built from other vectors than those of `snapshot`.
    pub(in crate::gallery) fn read(gallery: &Path, snapshot: &Snapshot) -> Result<Self> {
        let path = gallery.join(FOLDER).join(FILE);
        let bytes = fs::read(&path).map_err(|source| Error::io(&path, source))?;
        let note: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::invalid_file(&path, "note", "that of an index", error))?;
        let stale = |what: &str, expected: String, found: String| {
            let expected = format!("{expected}; build the index anew");
            Err(Error::invalid_file(&path, what, expected, found))
        };
        let Self { format, generation, rows, .. } = note;
        if format != FORMAT {
            return stale("format", FORMAT.to_string(), format.to_string());
        }
        if generation != snapshot.state.generation {
            let expected = snapshot.state.generation.to_string();
            return stale("generation of the vectors", expected, generation.to_string());
        }
        let vectors = of_vectors(snapshot, rows, &note.index);
        if note.vectors != vectors {
            return stale("hash of the vectors", vectors, note.vectors);
        }
        let file = note.path(gallery);
        let found = hash(&file)?;
        if found != note.file {
            return Err(Error::invalid_file(file, "checksum", note.file, found));
        }
        Ok(note)
    }

    /// The index' own file.
    pub(in crate::gallery) fn path(&self, gallery: &Path) -> PathBuf {
        let name = self.file.get(..16).unwrap_or(&self.file).replace(['/', '\\'], "");
        gallery.join(FOLDER).join(format!("{name}.faiss"))
    }

    /// Writes the note, and removes what the one before it was of.
    #[cfg(feature = "faiss")]
    pub(in crate::gallery) fn write(&self, gallery: &Path) -> Result<()> {
        let folder = gallery.join(FOLDER);
        let io = |source| Error::io(&folder, source);
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::backend(FILE, e))?;
        write_bytes(&folder.join(FILE), &text)?;
        sync_folder(&folder)?;
        let ours = self.path(gallery);
        for entry in fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path != ours && path.extension() == Some("faiss".as_ref()) {
                // Where a reader keeps it from being removed, the next index will.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// Whether an index was built.
pub(in crate::gallery) fn exists(gallery: &Path) -> bool {
    gallery.join(FOLDER).join(FILE).exists()
}

/// A hash of the checksums of the first `rows` rows, and of what was built from them.
fn of_vectors(snapshot: &Snapshot, rows: u64, index: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for segment in snapshot.vectors.segments().iter().take_while(|s| s.first + s.rows <= rows) {
        hasher.update(&segment.checksum);
    }
    hasher.update(&rows.to_le_bytes()).update(index.as_bytes()).finalize().to_hex().to_string()
}

/// The BLAKE3 hash of a file.
fn hash(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let read = File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
    read.map_err(|source| Error::io(path, source))?;
    Ok(hasher.finalize().to_hex().to_string())
}

//! A [`FaissIndex`] to a file and back: what `faiss.write_index` writes, with a footer of ours.
//!
//! ```text
//! FAISS' own bytes                                            Python's faiss.read_index reads these
//! state: dim, factory string, runs of ids, of buried ids      u64 little-endian, text
//! footer: bytes of FAISS, bytes of state                      u64 little-endian
//!         BLAKE3 of FAISS' bytes, BLAKE3 of state and footer  32 bytes each
//!         b"imagerag-faiss-1"
//! ```

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::handle::Handle;
use super::{FaissIndex, sink};
use crate::atomic_file::write_atomically;
use crate::error::at_least_one;
use crate::index::IdSet;
use crate::{Error, Result};

const MAGIC: &[u8; 16] = b"imagerag-faiss-1";
/// Two lengths, two digests, the magic.
const FOOTER: usize = 2 * 8 + 2 * 32 + MAGIC.len();

impl FaissIndex {
    /// Writes the index. A file that was there before is replaced once the new one is complete.
    /// Python's `faiss.read_index` reads the file too.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written, also on a full disk; [`Error::Backend`] with
    /// FAISS' words when it cannot write this type of index.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        write_atomically(path, |file| self.write_to(file, path))
    }

    fn write_to(&self, file: &mut File, path: &Path) -> Result<()> {
        let io = |error| Error::io(path, error);
        let file = file.try_clone().map_err(io)?;
        let (written, mut file, digest) =
            sink::collect(file, || self.handle.write()).map_err(io)?;
        written?;
        let state = self.state();
        let mut footer = Vec::with_capacity(FOOTER);
        footer.extend(digest.count().to_le_bytes());
        footer.extend((state.len() as u64).to_le_bytes());
        footer.extend(digest.finalize().as_bytes());
        footer.extend(digest_of(&state, &footer).as_bytes());
        footer.extend(MAGIC);
        file.write_all(&[state, footer].concat()).map_err(io)
    }

    /// Reads an index into memory, after it has compared the file with its checksum. Where Linux
    /// gives large pages of memory, its vectors stand in those, which makes graphs a seventh faster.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::InvalidFile`] when it is cut short,
    /// changed, or of another program.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        read(path.as_ref(), false, true)
    }

    /// Maps an index into memory: vectors and graph stay in the file and are read as searches need
    /// them. The file is compared with its checksum first, and must not be changed afterwards. The
    /// index can be searched, but not changed.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_mapped(path: impl AsRef<Path>) -> Result<Self> {
        read(path.as_ref(), true, true)
    }

    /// Like [`open_mapped`](Self::open_mapped), but checks only the length of FAISS' bytes and not
    /// their checksum, for files that take too long to read. A damaged file may then give wrong
    /// results or end the process.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_mapped_unchecked(path: impl AsRef<Path>) -> Result<Self> {
        read(path.as_ref(), true, false)
    }

    fn state(&self) -> Vec<u8> {
        let mut state = Vec::new();
        let mut put = |bytes: &[u8]| state.extend(bytes);
        put(&(self.dim as u64).to_le_bytes());
        put(&(self.factory.len() as u64).to_le_bytes());
        put(self.factory.as_bytes());
        for set in [&self.ids, &self.buried] {
            let runs = runs(set);
            put(&(runs.len() as u64).to_le_bytes());
            for word in runs.into_iter().flatten() {
                put(&word.to_le_bytes());
            }
        }
        state
    }
}

fn read(path: &Path, mapped: bool, check_all: bool) -> Result<FaissIndex> {
    let io = |error| Error::io(path, error);
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let footer = read_at(&mut file, path, length.saturating_sub(FOOTER as u64), FOOTER)?;
    let mut reader = Reader(&footer);
    let whole = "a FAISS index that imagerag wrote, and wrote to its end";
    let broken = |what: &str| Error::invalid_file(path, "content", whole, what);
    let (Some(payload), Some(states), Some(digest), Some(digest_of_state), Some(MAGIC)) = (
        reader.word(),
        reader.word(),
        reader.take(32),
        reader.take(32),
        reader.take(16).and_then(|magic| magic.try_into().ok()),
    ) else {
        return Err(broken("another end: it is cut short, or of another program"));
    };
    let lengths = payload.checked_add(states).and_then(|sum| sum.checked_add(FOOTER as u64));
    if lengths != Some(length) {
        return Err(broken(&format!("{length} bytes")));
    }
    let state = read_at(&mut file, path, payload, states as usize)?;
    if digest_of(&state, &footer[..FOOTER - MAGIC.len() - 32]).as_bytes() != digest_of_state {
        return Err(broken("a footer that was changed"));
    }
    if check_all {
        let mut found = blake3::Hasher::new();
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        found.update_reader((&mut file).take(payload)).map_err(io)?;
        if found.finalize().as_bytes() != digest {
            return Err(broken("bytes that were changed"));
        }
    }
    let (dim, factory, ids, buried) =
        Reader(&state).state(payload).ok_or_else(|| broken("a footer that makes no sense"))?;
    at_least_one("dimension", dim)?;
    let handle = if mapped { Handle::map(path) } else { Handle::read(path) };
    let handle = handle.map_err(|error| broken(&error.chain().to_string()))?;
    let count = ids.len() + buried.len();
    if handle.dim() != dim || handle.count() != count || !handle.is_cosine() {
        let found = format!("{} vectors of {} values", handle.count(), handle.dim());
        return Err(broken(&format!("{found}, where the footer has {count} of {dim}")));
    }
    let (ids, buried) = (ids.into(), buried.into());
    Ok(FaissIndex { ids, buried, mapped, ..FaissIndex::over(handle, factory) })
}

/// `length` bytes from `start` on, or all there are.
fn read_at(file: &mut File, path: &Path, start: u64, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))
        .and_then(|_| file.take(length as u64).read_to_end(&mut bytes))
        .map_err(|error| Error::io(path, error))?;
    Ok(bytes)
}

fn digest_of(state: &[u8], footer: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(state).update(footer).finalize()
}

/// The ids as first and last of each run.
fn runs(ids: &IdSet) -> Vec<[u64; 2]> {
    let mut runs: Vec<[u64; 2]> = Vec::new();
    for id in ids.iter() {
        match runs.last_mut() {
            Some([_, last]) if *last + 1 == id => *last = id,
            _ => runs.push([id, id]),
        }
    }
    runs
}

/// What is left of a footer.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn word(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Dimension, factory string, ids and buried ids, of which there are `most` or fewer.
    fn state(mut self, most: u64) -> Option<(usize, String, IdSet, IdSet)> {
        let dim = self.word()?.try_into().ok()?;
        let length = self.word()?.try_into().ok()?;
        let factory = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        let (ids, buried) = (self.ids(most)?, self.ids(most)?);
        self.0.is_empty().then_some((dim, factory, ids, buried))
    }

    fn ids(&mut self, most: u64) -> Option<IdSet> {
        let mut ids = IdSet::new();
        for _ in 0..self.word()? {
            let (first, last) = (self.word()?, self.word()?);
            if last.checked_sub(first)? >= most {
                return None;
            }
            ids.extend(first..=last);
        }
        Some(ids)
    }
}

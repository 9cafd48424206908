//! `vectors-N.f32`: the embeddings, row after row, memory-mapped; each piece of the file is
//! compared with its checksum before it is used.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::Mmap;
use rayon::prelude::*;

use crate::embedder::Embedding;
use crate::index::{FlatIndex, IdSet, Precision};
use crate::{Error, Result};

/// Rows that were written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) rows: u64,
    /// BLAKE3 of their bytes.
    pub(crate) checksum: [u8; 32],
}

/// The rows that were acknowledged at some moment.
#[derive(Debug)]
pub(crate) struct Vectors {
    path: PathBuf,
    dim: usize,
    memory: Arc<Memory>,
    segments: Vec<Segment>,
    /// Of each segment, whether it was compared with its checksum.
    checked: Vec<AtomicBool>,
}

/// A file of no bytes cannot be mapped.
#[derive(Debug)]
struct Memory(Option<Mmap>);

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// The values of a row as they are in the file.
pub(crate) fn le_bytes(row: &Embedding) -> impl Iterator<Item = u8> + '_ {
    row.values().iter().flat_map(|value| value.to_le_bytes())
}

/// The file of `generation`.
pub(crate) fn file(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("vectors-{generation}.f32"))
}

/// Removes the files of all generations but `current`: what was left of compacting.
pub(crate) fn remove_others(folder: &Path, current: u64) -> Result<()> {
    let io = |source| Error::io(folder, source);
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix("vectors-").and_then(|rest| rest.strip_suffix(".f32"));
        let generation = number.and_then(|number| number.parse::<u64>().ok());
        if generation.is_some_and(|generation| generation != current) {
            // Where a reader keeps it from being removed, the next writer will.
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

/// Bytes of `rows` rows.
pub(crate) fn bytes(dim: usize, rows: u64) -> u64 {
    rows.saturating_mul(dim as u64 * size_of::<f32>() as u64)
}

impl Vectors {
    /// Maps the rows of `segments`, which follow one another from row 0; what stands behind them in
    /// the file was never acknowledged.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when the file is too short; [`Error::Io`] when it cannot be mapped.
    pub(crate) fn map(path: PathBuf, dim: usize, segments: Vec<Segment>) -> Result<Self> {
        let rows = segments.last().map_or(0, |last| last.first + last.rows);
        let failed = |source| Error::io(&path, source);
        let file = File::open(&path).map_err(failed)?;
        let (expected, found) = (bytes(dim, rows), file.metadata().map_err(failed)?.len());
        if found < expected {
            let expected = format!("{expected} bytes for {rows} vectors");
            return Err(Error::invalid_file(path, "vectors", expected, format!("{found} bytes")));
        }
        let map = match usize::try_from(expected) {
            Ok(0) => None,
            Ok(length) => {
                // SAFETY: nothing writes to acknowledged rows or cuts them off: a writer appends
                // behind them, and compacting makes another file.
                Some(unsafe { memmap2::MmapOptions::new().len(length).map(&file).map_err(failed)? })
            }
            Err(_) => return Err(Error::invalid_file(path, "vectors", "less bytes", expected)),
        };
        let checked = segments.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self { path, dim, memory: Arc::new(Memory(map)), segments, checked })
    }

    /// Takes over which segments `earlier` has compared; these rows begin with those.
    pub(crate) fn trust(&self, earlier: &Self) {
        for (ours, theirs) in self.checked.iter().zip(&earlier.checked) {
            ours.store(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn rows(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.first + last.rows)
    }

    /// The bytes of `rows` rows from `first` on.
    pub(crate) fn slice(&self, first: u64, rows: u64) -> &[u8] {
        let at = |row| bytes(self.dim, row) as usize;
        &(*self.memory).as_ref()[at(first)..at(first + rows)]
    }

    /// Row `id`.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when it is not as it was written.
    pub(crate) fn row(&self, id: u64) -> Result<Embedding> {
        if id >= self.rows() {
            return Err(Error::invalid_input("vector", format!("below {}", self.rows()), id));
        }
        self.check_segment(self.segment_of(id))?;
        let bytes = self.slice(id, 1).as_chunks().0.iter();
        let values: Vec<f32> = bytes.map(|&value| f32::from_le_bytes(value)).collect();
        Embedding::new(values)
            .map_err(|error| Error::invalid_file(&self.path, format!("row {id}"), "numbers", error))
    }

    /// Compares all rows that were not yet with their checksums, on all cores.
    ///
    /// # Errors
    /// [`Error::InvalidFile`], which names the first rows that are not as they were written.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |number| self.check_segment(number).err();
        (0..self.segments.len()).into_par_iter().find_map_first(wrong).map_or(Ok(()), Err)
    }

    pub(crate) fn check_segment(&self, number: usize) -> Result<()> {
        if self.checked[number].load(Ordering::Relaxed) {
            return Ok(());
        }
        let Segment { first, rows, checksum } = self.segments[number];
        let found = blake3::hash(self.slice(first, rows));
        if found != checksum {
            let what = format!("rows {first} to {}", first + rows - 1);
            let expected = format!("checksum {}", blake3::Hash::from_bytes(checksum).to_hex());
            return Err(Error::invalid_file(&self.path, what, expected, found.to_hex()));
        }
        self.checked[number].store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Compares the segments that hold `rows` with their checksums.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub(crate) fn check_rows(&self, rows: &IdSet) -> Result<()> {
        rows.iter().try_for_each(|row| self.check_segment(self.segment_of(row)))
    }

    /// The number of the segment that holds `row`, which is there.
    fn segment_of(&self, row: u64) -> usize {
        self.segments.partition_point(|segment| segment.first <= row).saturating_sub(1)
    }

    /// An exact index over the rows. Those that it searches are compared with their checksums
    /// first, by [`check`](Self::check) or [`check_rows`](Self::check_rows).
    ///
    /// # Errors
    /// [`Error::Unavailable`] where numbers are not stored as in the file.
    pub(crate) fn index(&self) -> Result<FlatIndex> {
        if cfg!(target_endian = "big") {
            let what = format!("searching {}", self.path.display());
            let reason = "this machine is big-endian, and the file is not";
            return Err(Error::unavailable(what, reason));
        }
        FlatIndex::over(self.dim, Precision::F32, Arc::<Memory>::clone(&self.memory))
    }
}

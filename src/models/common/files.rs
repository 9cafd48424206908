//! A path to memory-mapped tensors: one safetensors file, or a folder with one or with shards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
#[cfg(unix)]
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use memmap2::Mmap;
use safetensors::tensor::{Metadata, SafeTensors, TensorInfo};
use tch::{Device, Kind, Tensor};

use super::checkpoint::{Index, choose};
use crate::{Error, Result, regular_file};

/// The tensors of a checkpoint, mapped and not read.
pub(crate) struct TensorFiles {
    /// The file, or the index of the shards.
    root: PathBuf,
    files: Vec<MappedFile>,
    /// Name to position in `files`, as the index says; empty for a single file.
    listed: BTreeMap<String, usize>,
}

struct MappedFile {
    path: PathBuf,
    #[cfg_attr(not(unix), expect(dead_code, reason = "what is read is read from the map"))]
    file: File,
    map: Mmap,
    data: usize,
    header: Metadata,
    /// All bytes of the file as a tensor, once one of its tensors is used in place.
    whole: Mutex<Option<Tensor>>,
}

/// One tensor in its file.
pub(crate) struct StoredTensor<'a> {
    pub(crate) path: &'a Path,
    pub(crate) info: &'a TensorInfo,
    pub(crate) bytes: &'a [u8],
    file: &'a MappedFile,
    /// Where `bytes` begins in the file.
    offset: usize,
}

impl TensorFiles {
    /// Maps the file at `path`, the shards of the index at `path`, or what [`choose`] finds in the
    /// folder at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let found = if path.is_dir() { choose(path, None)? } else { path.to_owned() };
        if found.extension().is_some_and(|extension| extension == "json") {
            return Self::open_shards(&found);
        }
        let file = MappedFile::open(&found)?;
        Ok(Self { root: found, files: vec![file], listed: BTreeMap::new() })
    }

    fn open_shards(index: &Path) -> Result<Self> {
        let Index { shards, tensors } = Index::read(index)?;
        let files = shards.iter().map(|shard| MappedFile::open(shard)).collect::<Result<_>>()?;
        Ok(Self { root: index.to_owned(), files, listed: tensors })
    }

    /// The file, or the index of the shards.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Names of all tensors, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.files.iter().flat_map(|file| file.header.offset_keys());
        let names: BTreeSet<_> = names.filter(|name| self.get(name).is_some()).collect();
        names.into_iter().collect()
    }

    /// The error of a tensor that is asked for with this `shape`, and is not there.
    pub(crate) fn missing(&self, name: &str, shape: &[i64]) -> Error {
        let listed = self.listed.get(name).and_then(|at| self.files.get(*at));
        let found = listed.map_or_else(
            || "no such tensor".to_owned(),
            |file| format!("no such tensor in {}, where the index has it", file.path.display()),
        );
        Error::invalid_file(&self.root, format!("tensor {name}"), format!("shape {shape:?}"), found)
    }

    /// The tensor `name`. Of one that is in several shards, the index decides; one that it does not
    /// list is read from the last shard that holds it, as diffusers and transformers read it.
    pub(crate) fn get(&self, name: &str) -> Option<StoredTensor<'_>> {
        let holds = |file: &MappedFile| file.header.info(name).is_some();
        let at = self.listed.get(name).copied().or_else(|| self.files.iter().rposition(holds))?;
        let file = self.files.get(at)?;
        let info = file.header.info(name)?;
        let (start, end) = info.data_offsets;
        let offset = file.data + start;
        let bytes = file.map.get(offset..file.data + end)?;
        Some(StoredTensor { path: &file.path, info, bytes, file, offset })
    }
}

impl StoredTensor<'_> {
    /// The tensor in the pages of its file, without a copy; `None` where it begins between two
    /// values of `kind`, or where the system does not map the file so.
    pub(crate) fn in_place(&self, kind: Kind, shape: &[i64]) -> Option<Tensor> {
        if !self.offset.is_multiple_of(kind.elt_size_in_bytes()) {
            return None;
        }
        let (offset, length) = (self.offset.try_into().ok()?, self.bytes.len().try_into().ok()?);
        let whole = self.file.whole()?;
        whole.f_narrow(0, offset, length).ok()?.f_view_dtype(kind).ok()?.f_view(shape).ok()
    }

    /// Reads as many bytes of the tensor as `target` takes, from byte `at` on. Unlike what is read
    /// through the map, this makes no pages.
    #[cfg(unix)]
    pub(crate) fn read_at(&self, at: usize, target: &mut [u8]) -> io::Result<()> {
        let start = u64::try_from(self.offset + at).map_err(io::Error::other)?;
        self.file.file.read_exact_at(target, start)
    }

    /// Reads as many bytes of the tensor as `target` takes, from byte `at` on.
    #[cfg(not(unix))]
    pub(crate) fn read_at(&self, at: usize, target: &mut [u8]) -> io::Result<()> {
        target.copy_from_slice(&self.bytes[at..at + target.len()]);
        Ok(())
    }

    /// Gives the pages of the tensor, which has been copied, back to the system.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        // SAFETY: the map is read-only and of a file: what is read again is the file's again.
        let _ = unsafe {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            self.file.map.unchecked_advise_range(advice, self.offset, self.bytes.len())
        };
    }
}

impl MappedFile {
    fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = regular_file::open(path)?;
        // SAFETY: a checkpoint is not written to while it is loaded; the map is dropped after.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let (length, header) = SafeTensors::read_metadata(&map).map_err(|error| {
            let found = other_format(&map).map_or_else(|| error.to_string(), str::to_owned);
            Error::invalid_file(path, "header", "a whole safetensors file", found)
        })?;
        let (path, data) = (path.to_owned(), length + size_of::<u64>());
        Ok(Self { path, file, map, data, header, whole: Mutex::default() })
    }

    /// The file in a map that all tensors made of it own together, and that goes with the last of
    /// them. The map is private: what is written to it, which nothing does, is not written to the
    /// file.
    fn whole(&self) -> Option<Tensor> {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if whole.is_none() {
            let (path, length) = (self.path.to_str()?, i64::try_from(self.map.len()).ok()?);
            let bytes = (Kind::Uint8, Device::Cpu);
            *whole = Some(Tensor::f_from_file(path, false, length, bytes).ok()?);
        }
        whole.as_ref().map(Tensor::shallow_clone)
    }
}

/// What often lies where a safetensors file should, by how its `bytes` begin.
fn other_format(bytes: &[u8]) -> Option<&'static str> {
    let formats: [(&[u8], &str); 5] = [
        (b"version https://git-lfs", "a Git LFS pointer, whose content was not downloaded"),
        (b"PK\x03\x04", "PyTorch's pickles in an archive; convert them to safetensors"),
        (b"\x80\x02", "a Python pickle; convert it to safetensors"),
        (b"GGUF", "a GGUF file"),
        (b"<!", "a web page"),
    ];
    formats.into_iter().find(|(begin, _)| bytes.starts_with(begin)).map(|(_, what)| what)
}

//! A path to memory-mapped tensors: one safetensors file, or a folder with one or with shards.

use std::collections::HashMap;
use std::fs::File;
use std::io;
#[cfg(unix)]
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use memmap2::Mmap;
use safetensors::tensor::{Metadata, SafeTensors, TensorInfo};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::json::{read_json, require};
use crate::{Error, Result};

/// What a folder may hold, in order of preference: diffusers' name before transformers', whole
/// precision before the `fp16` variant, which is taken where it is the only one.
const NAMES: [&str; 8] = [
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
    "model.fp16.safetensors",
    "model.safetensors.index.fp16.json",
];

/// The tensors of a checkpoint, mapped and not read.
pub(crate) struct TensorFiles {
    root: PathBuf,
    files: Vec<MappedFile>,
    /// Name to position in `files`; empty for a single file, which holds all its names itself.
    shards: HashMap<String, usize>,
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
    /// Maps the file at `path`, or those of the folder at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let found = if path.is_dir() { choose(path)? } else { path.to_owned() };
        if found.extension().is_some_and(|extension| extension == "json") {
            return Self::open_shards(&found);
        }
        let file = MappedFile::open(&found)?;
        Ok(Self { root: found, files: vec![file], shards: HashMap::new() })
    }

    fn open_shards(index: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: HashMap<String, String>,
        }
        let Index { weight_map } = read_json(index)?;
        let mut names: Vec<&String> = weight_map.values().collect();
        names.sort_unstable();
        names.dedup();
        let folder = index.parent().unwrap_or(Path::new("."));
        let mut files = Vec::with_capacity(names.len());
        let mut position = HashMap::new();
        for name in names {
            let mut parts = Path::new(name).components();
            let plain = parts.all(|part| matches!(part, Component::Normal(_)));
            require(index, "name of a shard", plain, "a file beside the index", name)?;
            position.insert(name.as_str(), files.len());
            files.push(MappedFile::open(&folder.join(name))?);
        }
        let mut shards = HashMap::with_capacity(weight_map.len());
        for (name, shard) in &weight_map {
            let at = position[shard.as_str()];
            if files[at].header.info(name).is_none() {
                let expected = format!("listed in {}", index.display());
                return Err(missing(&files[at].path, name, &expected));
            }
            shards.insert(name.clone(), at);
        }
        // A tensor in two shards would make the answer depend on the order of files.
        let mut seen = HashMap::new();
        for file in &files {
            for name in file.header.offset_keys() {
                if let Some(first) = seen.insert(name.clone(), &file.path) {
                    let found = format!("in {} and in {}", first.display(), file.path.display());
                    let what = format!("tensor {name}");
                    return Err(Error::invalid_file(index, what, "in one shard", found));
                }
            }
        }
        Ok(Self { root: index.to_owned(), files, shards })
    }

    /// The file, or the index of the shards.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Names of all tensors.
    pub(crate) fn names(&self) -> Vec<String> {
        self.files.iter().flat_map(|file| file.header.offset_keys()).collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<StoredTensor<'_>> {
        let at = if self.shards.is_empty() { 0 } else { *self.shards.get(name)? };
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

/// The error of a tensor that is not in its file.
pub(crate) fn missing(path: &Path, name: &str, expected: &str) -> Error {
    Error::invalid_file(path, format!("tensor {name}"), expected, "no such tensor")
}

impl MappedFile {
    fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        let is_file = !file.metadata().map_err(io)?.is_dir();
        require(path, "file", is_file, "a safetensors file", "a folder")?;
        // SAFETY: a checkpoint is not written to while it is loaded; the map is dropped after.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let (length, header) = SafeTensors::read_metadata(&map).map_err(|error| {
            Error::invalid_file(path, "header", "a whole safetensors file", error)
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

/// The weights in `folder`.
fn choose(folder: &Path) -> Result<PathBuf> {
    if let Some(path) = NAMES.iter().map(|name| folder.join(name)).find(|path| path.exists()) {
        return Ok(path);
    }
    let mut pickled = ["pytorch_model.bin", "diffusion_pytorch_model.bin"].into_iter();
    let found = match pickled.find(|name| folder.join(name).exists()) {
        Some(name) => {
            format!("{name}, which can run code when it is read; convert it to safetensors")
        }
        None => "none of them".to_owned(),
    };
    let expected = format!("one of {}", NAMES.join(", "));
    Err(Error::invalid_file(folder, "weights", expected, found))
}

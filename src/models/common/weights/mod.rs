//! A dotted name and an expected shape to a tensor, from files or, with no files, to a record of
//! what was asked for.

use std::fmt::{self, Display};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use super::files::TensorFiles;
use super::held::{Asked, Held};
use super::inventory::Inventory;
use super::memory_format::MemoryFormat;
use super::stored::{check, read, sides};
use super::upload::Uploads;
use crate::{Error, Result};

/// A place in a checkpoint: its files, a dotted prefix, and where and how to put tensors.
#[derive(Clone)]
pub(crate) struct Weights {
    source: Arc<Source>,
    prefix: String,
    device: Device,
    kind: Kind,
    memory_format: MemoryFormat,
    reading: Reading,
}

/// What becomes of a tensor that is asked for.
#[derive(Clone)]
enum Reading {
    /// It is read from the files.
    Files,
    /// It comes from host memory, where a copy of it is kept.
    Held(Rc<Held>),
    /// Its name, shape and kind are checked and noted; it stands as zeros that take no memory.
    Checked(Arc<Mutex<Asked>>),
}

enum Source {
    Files(TensorFiles, Uploads),
    Record(Mutex<Inventory>),
}

impl Weights {
    /// The safetensors file or the index of shards at `path`, or the checkpoint in the folder at
    /// `path`, as [`choose`](super::checkpoint::choose) finds it. Nothing is read but headers.
    pub(crate) fn open(path: &Path, device: Device, kind: Kind) -> Result<Self> {
        let source = Arc::new(Source::Files(TensorFiles::open(path)?, Uploads::default()));
        let (memory_format, reading) = (MemoryFormat::of(device)?, Reading::Files);
        Ok(Self { source, prefix: String::new(), device, kind, memory_format, reading })
    }

    /// No files: every tensor asked for is recorded, and stands as zeros that take no memory.
    pub(crate) fn recording() -> Self {
        let source = Arc::new(Source::Record(Mutex::default()));
        let (device, kind, reading) = (Device::Cpu, Kind::Float, Reading::Files);
        let memory_format = MemoryFormat::Contiguous;
        Self { source, prefix: String::new(), device, kind, memory_format, reading }
    }

    /// The same, with every tensor that `build` asks for kept in host memory, from which it comes
    /// however often it is asked for.
    pub(crate) fn held<N>(self, build: impl FnOnce(&Self) -> Result<N>) -> Result<Self> {
        let asked = Arc::default();
        build(&Self { reading: Reading::Checked(Arc::clone(&asked)), ..self.clone() })?;
        let Source::Files(files, _) = &*self.source else { return Ok(self) };
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let held = Held::new(files, &asked, self.device)?;
        Ok(Self { reading: Reading::Held(Rc::new(held)), ..self })
    }

    /// The same, with nothing read: what is built of it only tells that all tensors are there.
    #[must_use]
    pub(crate) fn checked(&self) -> Self {
        Self { reading: Reading::Checked(Arc::default()), ..self.clone() }
    }

    /// What was asked for so far; empty with files.
    pub(crate) fn recorded(&self) -> Inventory {
        match &*self.source {
            Source::Files(..) => Inventory::default(),
            Source::Record(asked) => asked.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The place `name` below this one.
    pub(crate) fn sub(&self, name: impl Display) -> Self {
        Self { prefix: format!("{}{name}.", self.prefix), ..self.clone() }
    }

    /// The dotted name of the place; "" for the whole checkpoint.
    pub(crate) fn place(&self) -> &str {
        self.prefix.strip_suffix('.').unwrap_or_default()
    }

    /// The same place, with tensors of `kind`.
    pub(crate) fn with_kind(&self, kind: Kind) -> Self {
        Self { kind, ..self.clone() }
    }

    /// The same place, with images of features in this format.
    #[cfg(test)]
    pub(crate) fn with_memory_format(&self, memory_format: MemoryFormat) -> Self {
        Self { memory_format, ..self.clone() }
    }

    /// How images of features lie, and so the weights of what convolves them.
    pub(crate) const fn memory_format(&self) -> MemoryFormat {
        self.memory_format
    }

    /// The format tensors are cast to.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The device tensors are put on.
    pub(crate) const fn device(&self) -> Device {
        self.device
    }

    /// The tensor `name` of exactly `shape`.
    pub(crate) fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        self.get_kind(name, shape, self.kind)
    }

    /// The tensor `name` of exactly `shape`, cast to `kind`.
    pub(crate) fn get_kind(&self, name: &str, shape: &[i64], kind: Kind) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        match &*self.source {
            Source::Record(asked) => {
                let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.insert(name, shape.to_vec());
                Ok(Tensor::zeros([], (kind, self.device)).expand(shape, false))
            }
            Source::Files(files, uploads) => {
                let Some(stored) = files.get(&name) else {
                    return Err(files.missing(&name, shape));
                };
                let stored_kind = check(&name, &stored, shape)?;
                let found = match &self.reading {
                    Reading::Files => Ok(None),
                    Reading::Checked(asked) => {
                        asked.lock().unwrap_or_else(PoisonError::into_inner).insert((name, kind));
                        return Ok(Tensor::zeros([], (kind, Device::Cpu)).expand(shape, false));
                    }
                    Reading::Held(held) => held.get(&name, kind, self.device),
                };
                let put = (kind, self.device);
                let read = || read(&stored, stored_kind, shape, put, uploads);
                found
                    .and_then(|found| found.map_or_else(read, Ok))
                    .map_err(|error| Error::backend(format!("reading tensor {name}"), error))
            }
        }
    }

    /// The tensor `name` of exactly `shape` as it is stored, on the CPU: in the pages of its file where
    /// the system maps it so.
    pub(crate) fn get_stored(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let host = Self { device: Device::Cpu, ..self.clone() };
        let Source::Files(files, _) = &*self.source else { return host.get(name, shape) };
        let name = format!("{}{name}", self.prefix);
        let stored = files.get(&name).ok_or_else(|| files.missing(&name, shape))?;
        let kind = check(&name, &stored, shape)?;
        Self { prefix: String::new(), ..host }.get_kind(&name, shape, kind)
    }

    /// Whether the files hold `name`; `false` while recording.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// The shape of `name` in the files; `None` while recording.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<i64>> {
        match &*self.source {
            Source::Files(files, _) => Some(sides(&files.get(&format!("{}{name}", self.prefix))?)),
            Source::Record(_) => None,
        }
    }

    /// The shape of `name` in the files, which must have as many `sides`.
    pub(crate) fn required_shape(&self, name: &str, sides: usize) -> Result<Vec<i64>> {
        let shape = self.shape(name);
        match (&*self.source, shape) {
            (_, Some(shape)) if shape.len() == sides => Ok(shape),
            (Source::Files(files, _), shape) => {
                let found =
                    shape.map_or("no such tensor".to_owned(), |shape| format!("shape {shape:?}"));
                let name = format!("tensor {}{name}", self.prefix);
                let expected = format!("a tensor of {sides} dimensions");
                Err(Error::invalid_file(files.root(), name, expected, found))
            }
            (Source::Record(_), _) => Ok(vec![1; sides]),
        }
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({:?}, {:?}, {:?})", self.prefix, self.device, self.kind)
    }
}

#[cfg(test)]
mod folder_tests;
#[cfg(test)]
mod tests;

//! A dotted name and an expected shape to a tensor, from files or, with no files, to a record of
//! what was asked for.

use std::fmt::{self, Display};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use safetensors::Dtype;
use tch::{Device, Kind, Tensor};

use super::files::{StoredTensor, TensorFiles, missing};
use super::inventory::Inventory;
use crate::{Error, Result};

/// A place in a checkpoint: its files, a dotted prefix, and where and how to put tensors.
#[derive(Clone)]
pub(crate) struct Weights {
    source: Arc<Source>,
    prefix: String,
    device: Device,
    kind: Kind,
}

enum Source {
    Files(TensorFiles),
    Record(Mutex<Inventory>),
}

impl Weights {
    /// The safetensors file at `path`, or the checkpoint in the folder at `path`:
    /// `diffusion_pytorch_model` before `model`, whole before sharded, and the `fp16` variant only
    /// where there is no other. Nothing is read but headers.
    pub(crate) fn open(path: &Path, device: Device, kind: Kind) -> Result<Self> {
        let source = Arc::new(Source::Files(TensorFiles::open(path)?));
        Ok(Self { source, prefix: String::new(), device, kind })
    }

    /// No files: every tensor asked for is recorded, and stands as zeros that take no memory.
    pub(crate) fn recording() -> Self {
        let source = Arc::new(Source::Record(Mutex::default()));
        Self { source, prefix: String::new(), device: Device::Cpu, kind: Kind::Float }
    }

    /// What was asked for so far; empty with files.
    pub(crate) fn recorded(&self) -> Inventory {
        match &*self.source {
            Source::Files(_) => Inventory::default(),
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
            Source::Files(files) => {
                let Some(stored) = files.get(&name) else {
                    return Err(missing(files.root(), &name, &format!("shape {shape:?}")));
                };
                self.read(&name, &stored, shape, kind)
            }
        }
    }

    /// Whether the files hold `name`; `false` while recording.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// The shape of `name` in the files; `None` while recording.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<i64>> {
        match &*self.source {
            Source::Files(files) => Some(sides(&files.get(&format!("{}{name}", self.prefix))?)),
            Source::Record(_) => None,
        }
    }

    fn read(
        &self,
        name: &str,
        stored: &StoredTensor<'_>,
        shape: &[i64],
        kind: Kind,
    ) -> Result<Tensor> {
        let found = sides(stored);
        let invalid = |expected: String, found: String| {
            Error::invalid_file(stored.path, format!("tensor {name}"), expected, found)
        };
        if found != shape {
            return Err(invalid(format!("shape {shape:?}"), format!("shape {found:?}")));
        }
        let stored_kind = match stored.info.dtype {
            Dtype::F64 => Kind::Double,
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::I64 => Kind::Int64,
            Dtype::U8 => Kind::Uint8,
            other => {
                return Err(invalid(
                    "F32, F16, BF16, F64, I64 or U8".to_owned(),
                    format!("{other:?}"),
                ));
            }
        };
        let failed = |error| Error::backend(format!("reading tensor {name}"), error);
        if stored.bytes.as_ptr().align_offset(stored_kind.elt_size_in_bytes()) != 0 {
            let copy =
                Tensor::f_from_data_size(stored.bytes, shape, stored_kind).map_err(failed)?;
            return copy.f_to_device_(self.device, kind, false, false).map_err(failed);
        }
        // SAFETY: the bytes are as long as shape and kind say, which the header's check made sure
        // of, and aligned; `view` is gone before the map is, for the next line copies it.
        let view = unsafe {
            Tensor::f_from_blob(stored.bytes.as_ptr(), shape, &[], stored_kind, Device::Cpu)
        }
        .map_err(failed)?;
        view.f_to_device_(self.device, kind, false, true).map_err(failed)
    }
}

/// The shape in the file. Sides fit: their product with the size of a value is below the file's.
fn sides(stored: &StoredTensor<'_>) -> Vec<i64> {
    stored.info.shape.iter().map(|&side| i64::try_from(side).unwrap_or(i64::MAX)).collect()
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({:?}, {:?}, {:?})", self.prefix, self.device, self.kind)
    }
}

#[cfg(test)]
mod tests;

//! A dotted name and an expected shape to a tensor, from files or, with no files, to a record of
//! what was asked for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
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
    reading: Reading,
}

/// What becomes of a tensor that is asked for.
#[derive(Clone)]
enum Reading {
    /// It is read from the files.
    Files,
    /// It is read once, and kept in host memory.
    Held(Arc<Mutex<HashMap<(String, Kind), Tensor>>>),
    /// Its name, shape and kind are checked; it stands as zeros that take no memory.
    Checked,
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
        Ok(Self { source, prefix: String::new(), device, kind, reading: Reading::Files })
    }

    /// No files: every tensor asked for is recorded, and stands as zeros that take no memory.
    pub(crate) fn recording() -> Self {
        let source = Arc::new(Source::Record(Mutex::default()));
        let (device, kind, reading) = (Device::Cpu, Kind::Float, Reading::Files);
        Self { source, prefix: String::new(), device, kind, reading }
    }

    /// The same, with every tensor kept in host memory from when it is first asked for.
    #[must_use]
    pub(crate) fn held(self) -> Self {
        Self { reading: Reading::Held(Arc::default()), ..self }
    }

    /// The same, with nothing read: what is built of it only tells that all tensors are there.
    #[must_use]
    pub(crate) fn checked(&self) -> Self {
        Self { reading: Reading::Checked, ..self.clone() }
    }

    /// The same, with tensors put on `device`.
    #[must_use]
    pub(crate) fn on(&self, device: Device) -> Self {
        Self { device, ..self.clone() }
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
                let stored_kind = check(&name, &stored, shape)?;
                let failed = |error| Error::backend(format!("reading tensor {name}"), error);
                let read = |device| read(&stored, stored_kind, shape, kind, device).map_err(failed);
                match &self.reading {
                    Reading::Files => read(self.device),
                    Reading::Checked => {
                        Ok(Tensor::zeros([], (kind, Device::Cpu)).expand(shape, false))
                    }
                    Reading::Held(held) => {
                        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                        let tensor = match held.entry((name.clone(), kind)) {
                            Entry::Occupied(held) => held.into_mut(),
                            Entry::Vacant(space) => space.insert(read(Device::Cpu)?),
                        };
                        tensor.f_to_device(self.device).map_err(failed)
                    }
                }
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
}

/// Refuses a tensor of another shape than `shape`; the format that it is stored in.
fn check(name: &str, stored: &StoredTensor<'_>, shape: &[i64]) -> Result<Kind> {
    let found = sides(stored);
    let invalid = |expected: String, found: String| {
        Error::invalid_file(stored.path, format!("tensor {name}"), expected, found)
    };
    if found != shape {
        return Err(invalid(format!("shape {shape:?}"), format!("shape {found:?}")));
    }
    match stored.info.dtype {
        Dtype::F64 => Ok(Kind::Double),
        Dtype::F32 => Ok(Kind::Float),
        Dtype::F16 => Ok(Kind::Half),
        Dtype::BF16 => Ok(Kind::BFloat16),
        Dtype::I64 => Ok(Kind::Int64),
        Dtype::U8 => Ok(Kind::Uint8),
        other => Err(invalid("F32, F16, BF16, F64, I64 or U8".to_owned(), format!("{other:?}"))),
    }
}

/// From the mapped file to `device`, cast to `kind`; in the file's own pages where that is the same.
fn read(
    stored: &StoredTensor<'_>,
    stored_kind: Kind,
    shape: &[i64],
    kind: Kind,
    device: Device,
) -> std::result::Result<Tensor, tch::TchError> {
    if (stored_kind, Device::Cpu) == (kind, device)
        && let Some(tensor) = stored.in_place(kind, shape)
    {
        return Ok(tensor);
    }
    let copy = if stored.bytes.as_ptr().align_offset(stored_kind.elt_size_in_bytes()) == 0 {
        // SAFETY: the bytes are as long as shape and kind say, which the header's check made sure
        // of, and aligned; `view` is gone before the map is, for the next line copies it.
        let view = unsafe {
            Tensor::f_from_blob(stored.bytes.as_ptr(), shape, &[], stored_kind, Device::Cpu)
        }?;
        view.f_to_device_(device, kind, false, true)?
    } else {
        let copy = Tensor::f_from_data_size(stored.bytes, shape, stored_kind)?;
        copy.f_to_device_(device, kind, false, false)?
    };
    stored.release();
    Ok(copy)
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

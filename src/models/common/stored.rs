//! A tensor of a mapped file to a tensor on a device, in the format that is asked for.

use safetensors::Dtype;
use tch::{Device, Kind, TchError, Tensor};

use super::files::StoredTensor;
use super::upload::Uploads;
use crate::{Error, Result};

/// What libtorch makes of a call.
pub(crate) type Called<T> = std::result::Result<T, TchError>;

/// Refuses a tensor of another shape than `shape`; the format that it is stored in.
pub(crate) fn check(name: &str, stored: &StoredTensor<'_>, shape: &[i64]) -> Result<Kind> {
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

/// The shape in the file. Sides fit: their product with the size of a value is below the file's.
pub(crate) fn sides(stored: &StoredTensor<'_>) -> Vec<i64> {
    stored.info.shape.iter().map(|&side| i64::try_from(side).unwrap_or(i64::MAX)).collect()
}

/// The tensor on `device`, cast to `kind` there. On the CPU, what is stored in `kind` is used in the
/// file's own pages.
pub(crate) fn read(
    stored: &StoredTensor<'_>,
    stored_kind: Kind,
    shape: &[i64],
    (kind, device): (Kind, Device),
    uploads: &Uploads,
) -> Called<Tensor> {
    let found = match device {
        Device::Cpu if kind == stored_kind => stored.in_place(kind, shape),
        Device::Cuda(number) => uploads.tensor(stored, stored_kind, shape, number),
        _ => None,
    };
    match found {
        Some(tensor) => tensor.f_to_kind(kind),
        // Where a copy need not wait, a GPU casts; else the CPU would, before the copy.
        None => copied(stored, stored_kind, shape, |view| {
            view.f_to_device_(device, kind, device != Device::Cpu, true)
        }),
    }
}

/// The copy that `copy` makes of the tensor as it is stored. The pages that it read go back to the
/// system.
pub(crate) fn copied(
    stored: &StoredTensor<'_>,
    kind: Kind,
    shape: &[i64],
    copy: impl FnOnce(&Tensor) -> Called<Tensor>,
) -> Called<Tensor> {
    let aligned = stored.bytes.as_ptr().align_offset(kind.elt_size_in_bytes()) == 0;
    let view = if aligned {
        // SAFETY: the bytes are as long as shape and kind say, which the header's check made sure
        // of, and aligned; `view` is gone before the map is, for `copy` copies it.
        unsafe { Tensor::f_from_blob(stored.bytes.as_ptr(), shape, &[], kind, Device::Cpu) }?
    } else {
        Tensor::f_from_data_size(stored.bytes, shape, kind)?
    };
    let copy = copy(&view)?;
    stored.release();
    Ok(copy)
}

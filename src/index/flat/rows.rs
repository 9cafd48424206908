//! Rows of vectors: our own or shared memory, in f32 or f16, to slices of f32.

use std::fmt;
use std::mem::size_of;
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::lanes::{LANES, Lanes};
use crate::{Error, Result};

/// How a vector's values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 4 bytes per value.
    F32,
    /// 2 bytes per value: half the memory; scores are off by up to about 0.0005.
    F16,
}

impl Precision {
    /// Bytes per value.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::F16 => size_of::<f16>(),
        }
    }
}

/// Memory that holds vectors, such as a memory-mapped file.
pub type SharedRows = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// `[count, dim]`, row by row.
#[derive(Clone)]
pub(crate) enum Rows {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Shared(Precision, SharedRows),
}

/// The values of all rows.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

impl Rows {
    pub(crate) const fn new(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(Vec::new()),
            Precision::F16 => Self::F16(Vec::new()),
        }
    }

    /// # Errors
    /// [`Error::InvalidInput`] when the memory is no whole number of rows of `dim` values, or does
    /// not start where a value may.
    pub(crate) fn share(dim: usize, precision: Precision, memory: SharedRows) -> Result<Self> {
        let wrong = |expected: String, found: String| {
            Err(Error::invalid_input("memory of the rows", expected, found))
        };
        let bytes = (*memory).as_ref();
        let row = dim.saturating_mul(precision.bytes());
        if !bytes.len().is_multiple_of(row) {
            return wrong(format!("rows of {row} bytes each"), format!("{} bytes", bytes.len()));
        }
        let address = bytes.as_ptr().addr();
        if !bytes.is_empty() && !address.is_multiple_of(precision.bytes()) {
            let expected = format!("an address that is a multiple of {}", precision.bytes());
            return wrong(expected, format!("{address:#x}"));
        }
        Ok(Self::Shared(precision, memory))
    }

    pub(crate) const fn precision(&self) -> Precision {
        match self {
            Self::F32(_) => Precision::F32,
            Self::F16(_) => Precision::F16,
            Self::Shared(precision, _) => *precision,
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the memory is shared.
    pub(crate) fn push(&mut self, row: &[f32]) -> Result<()> {
        match self {
            Self::F32(rows) => rows.extend_from_slice(row),
            Self::F16(rows) => rows.extend(row.iter().copied().map(f16::from_f32)),
            Self::Shared(..) => {
                let (expected, found) = ("one with rows of its own", "one over shared rows");
                return Err(Error::invalid_input("index to add to", expected, found));
            }
        }
        Ok(())
    }

    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::F32(rows) => View::F32(rows),
            Self::F16(rows) => View::F16(rows),
            Self::Shared(Precision::F32, memory) => View::F32(values((**memory).as_ref())),
            Self::Shared(Precision::F16, memory) => View::F16(values((**memory).as_ref())),
        }
    }
}

impl View<'_> {
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
        }
    }
}

/// A value that a row is made of; every pattern of bits is one.
pub(crate) trait Value: Copy + Send + Sync {
    /// The row in f32; `space`, of the same length, is there to put it.
    fn widen<'a>(row: &'a [Self], space: &'a mut [f32]) -> &'a [f32];
    fn load<L: Lanes>(values: &[Self; LANES]) -> L;
    fn to_f32(self) -> f32;
}

impl Value for f32 {
    fn widen<'a>(row: &'a [Self], _: &'a mut [f32]) -> &'a [f32] {
        row
    }

    #[inline(always)]
    fn load<L: Lanes>(values: &[Self; LANES]) -> L {
        L::load(values)
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Value for f16 {
    fn widen<'a>(row: &'a [Self], space: &'a mut [f32]) -> &'a [f32] {
        row.convert_to_f32_slice(space);
        space
    }

    #[inline(always)]
    fn load<L: Lanes>(values: &[Self; LANES]) -> L {
        L::load_f16(values)
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        Self::to_f32(self)
    }
}

/// The whole values among `bytes`.
fn values<T: Value>(bytes: &[u8]) -> &[T] {
    // SAFETY: `align_to` gives aligned values inside `bytes`, and a `Value` takes any bits.
    unsafe { bytes.align_to().1 }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = if matches!(self, Self::Shared(..)) { "shared " } else { "" };
        write!(f, "{shared}{:?}[{}]", self.precision(), self.view().len())
    }
}

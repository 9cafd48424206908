//! A NumPy file of embeddings to its rows, one after the other.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use half::f16;

use crate::{Error, Result, regular_file};

/// The longest header that is read, in bytes; NumPy's own takes 118.
const MAX_HEADER: usize = 64 << 10;

/// The rows of an `.npy` file of `f16` or `f32` `[n, dim]` in C order, read as they are asked for.
///
/// The header is parsed here: `npyz` follows a hostile one into a stack overflow and multiplies
/// shapes without a check.
#[derive(Debug)]
pub(super) struct NpyRows {
    path: PathBuf,
    reader: BufReader<File>,
    pub(super) dim: usize,
    /// Rows that are still to come.
    left: u64,
    half: bool,
    row: Vec<u8>,
}

impl NpyRows {
    /// Opens `path`, and checks its header and its length.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = regular_file::open(path)?;
        let length = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let Header { dtype, fortran, shape, length: header } = read_header(path, &mut reader)?;
        let (half, width) = match dtype.as_str() {
            "<f2" => (true, 2_u64),
            "<f4" => (false, 4),
            _ => return Err(Error::invalid_file(path, "dtype", "<f2 or <f4", dtype)),
        };
        let [rows, dim] = shape[..] else {
            let found = format!("{} dimensions", shape.len());
            return Err(Error::invalid_file(path, "shape", "[n, dim]", found));
        };
        if fortran && rows > 1 && dim > 1 {
            return Err(Error::invalid_file(path, "order", "C", "Fortran"));
        }
        if dim == 0 || dim > u64::from(u16::MAX) {
            return Err(Error::invalid_file(path, "dim", "1 to 65535 values", dim));
        }
        let bytes = rows.checked_mul(dim * width).and_then(|data| data.checked_add(header));
        if bytes != Some(length) {
            let expected = bytes.map_or("less".to_owned(), |bytes| format!("{bytes} bytes"));
            let what = format!("length for {rows} rows of {dim}");
            return Err(Error::invalid_file(path, what, expected, format!("{length} bytes")));
        }
        let (row, dim) = (vec![0; (dim * width) as usize], dim as usize);
        Ok(Self { path: path.to_owned(), reader, dim, left: rows, half, row })
    }

    /// Rows that are still to come.
    pub(super) const fn len(&self) -> u64 {
        self.left
    }
}

impl Iterator for NpyRows {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if let Err(source) = self.reader.read_exact(&mut self.row) {
            self.left = 0;
            return Some(Err(Error::io(&self.path, source)));
        }
        let row = if self.half {
            let values = self.row.chunks_exact(2);
            values.map(|v| f16::from_le_bytes([v[0], v[1]]).to_f32()).collect()
        } else {
            let values = self.row.chunks_exact(4);
            values.map(|v| f32::from_le_bytes([v[0], v[1], v[2], v[3]])).collect()
        };
        Some(Ok(row))
    }
}

struct Header {
    dtype: String,
    fortran: bool,
    shape: Vec<u64>,
    /// Where the data begins, in bytes.
    length: u64,
}

/// Reads the header as `numpy.lib.format` defines it.
fn read_header(path: &Path, reader: &mut impl Read) -> Result<Header> {
    let invalid = |what: &str, expected: &str, found: String| {
        Err(Error::invalid_file(path, what, expected, found))
    };
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).map(|()| bytes)
    };
    let cut = |_| Error::invalid_file(path, "header", "a NumPy file", "its end");
    // 1. Magic, version, and the length of the text, which is 2 bytes wide in version 1.
    let magic = read(8).map_err(cut)?;
    let (true, major @ 1..=3) = (magic.starts_with(b"\x93NUMPY"), magic[6]) else {
        return invalid("header", "a NumPy file of version 1 to 3", format!("{magic:?}"));
    };
    let width = if major == 1 { 2 } else { 4 };
    let length = read(width).map_err(cut)?;
    let length = length.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
    if length > MAX_HEADER {
        return invalid("header", &format!("at most {MAX_HEADER} bytes"), length.to_string());
    }
    // 2. The text: a Python dict of three entries.
    let text = String::from_utf8_lossy(&read(length).map_err(cut)?).into_owned();
    let entry = |name| Some(text.split_once(&format!("'{name}':"))?.1.trim_start());
    let [Some(dtype), Some(order), Some(shape)] = ["descr", "fortran_order", "shape"].map(entry)
    else {
        return invalid("header", "descr, fortran_order and shape", text);
    };
    // 3. Its values.
    let Some(dtype) = dtype.strip_prefix('\'').and_then(|text| text.split('\'').next()) else {
        return invalid("dtype", "<f2 or <f4", dtype.chars().take(80).collect());
    };
    let fortran = order.starts_with("True");
    if !fortran && !order.starts_with("False") {
        return invalid("fortran_order", "True or False", order.chars().take(80).collect());
    }
    let inside = shape.strip_prefix('(').and_then(|shape| shape.split_once(')')).map(|s| s.0);
    let sizes = inside.map(|shape| {
        let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
        sizes.map(str::parse).collect::<std::result::Result<Vec<u64>, _>>()
    });
    let Some(Ok(shape)) = sizes else {
        return invalid("shape", "[n, dim]", shape.chars().take(80).collect());
    };
    Ok(Header { dtype: dtype.to_owned(), fortran, shape, length: (8 + width + length) as u64 })
}

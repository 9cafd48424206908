//! A path to the file there, opened. What is no file is not opened: a FIFO would have whoever opens
//! it wait for its other end, and a device may have no end.

#[cfg(feature = "serde")]
use std::fs::File;
use std::fs::{self, FileType};
use std::path::Path;

use crate::{Error, Result};

/// Opens the file at `path` to read it.
#[cfg(feature = "serde")]
pub(crate) fn open(path: &Path) -> Result<File> {
    checked(path)?;
    File::open(path).map_err(|source| Error::io(path, source))
}

/// The bytes of the file at `path`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    checked(path)?;
    fs::read(path).map_err(|source| Error::io(path, source))
}

fn checked(path: &Path) -> Result<()> {
    let found = path.metadata().map_err(|source| Error::io(path, source))?;
    check(path, found.file_type())
}

/// That what is at `path`, which is of this type, is a file.
pub(crate) fn check(path: &Path, found: FileType) -> Result<()> {
    if found.is_file() {
        return Ok(());
    }
    Err(Error::invalid_file(path, "kind", "a file", name(found)))
}

#[cfg(unix)]
fn name(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something else",
    }
}

#[cfg(not(unix))]
fn name(kind: FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "something else" }
}

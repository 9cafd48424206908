//! A path to the bytes of the file there, of which never more are read than may be; what is no file
//! is not opened.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::Path;

use crate::image::format::HEAD;
use crate::{Error, Result};

/// The bytes of the file at `path`, at most `limit`; none where there is nothing.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let io = |source| Error::io(path, source);
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            return Ok(None);
        }
        Err(error) => return Err(io(error)),
    };
    check_file(path, found.file_type())?;
    let long = |found| Error::invalid_file(path, "length", format!("at most {limit} bytes"), found);
    if found.len() > limit {
        return Err(long(found.len()));
    }
    let mut bytes = Vec::new();
    // Not more than that, also where the system does not know the length, or the file grows.
    let file = File::open(path).map_err(io)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(long(bytes.len() as u64));
    }
    Ok(Some(bytes))
}

/// The first bytes of the file at `path`, as many as tell a format.
pub(super) fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(HEAD as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// That what is at `path` is a file, which can be opened without waiting for anybody.
pub(crate) fn check_file(path: &Path, found: FileType) -> Result<()> {
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

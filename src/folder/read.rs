//! A path to the bytes of the file there, of which never more are read than may be.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::image::format::HEAD;
use crate::{Error, Result, regular_file};

/// The bytes of the file at `path`, at most `limit`; none where there is nothing.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let io = |source| Error::io(path, source);
    let file = match regular_file::open(path) {
        Err(Error::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound && !path.is_symlink() =>
        {
            return Ok(None);
        }
        opened => opened?,
    };
    let long = |found| Error::invalid_file(path, "length", format!("at most {limit} bytes"), found);
    let length = file.metadata().map_err(io)?.len();
    if length > limit {
        return Err(long(length));
    }
    let mut bytes = Vec::new();
    // Not more than that, also where the system does not know the length, or the file grows.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(long(bytes.len() as u64));
    }
    Ok(Some(bytes))
}

/// The first bytes of the file at `path`, as many as tell a format.
pub(super) fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(HEAD as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

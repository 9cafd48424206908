//! A record of the catalog to the picture that it stands for.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::record::{ContentHash, ImageRecord, Pixels};
use crate::{Error, Image, Result};

/// The longest picture file inside an archive, in bytes. Beyond it the catalog is wrong.
const LONGEST: u64 = 1 << 30;

impl ImageRecord {
    /// The bytes of the picture file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::InvalidFile`] when it is not the file that was
    /// added; [`Error::Unavailable`] when its pixels are remote.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let (path, bytes) = match &self.pixels {
            Pixels::File(path) => (path, fs::read(path)),
            Pixels::Member { archive, offset, length } => {
                (archive, read_member(archive, *offset, *length))
            }
            Pixels::Remote => {
                return Err(Error::Unavailable {
                    what: format!("picture {}", self.source),
                    reason: "its pixels are not on this machine; give the retriever a `Fetch`"
                        .to_owned(),
                });
            }
        };
        let bytes = bytes.map_err(|source| Error::io(path, source))?;
        let found = ContentHash::of(&bytes);
        if found != self.hash {
            let what = format!("content of {}", self.source);
            return Err(Error::invalid_file(path, what, self.hash.to_string(), found));
        }
        Ok(bytes)
    }

    /// The picture.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes) and [`Image::decode`].
    pub fn image(&self) -> Result<Image> {
        Image::decode(&self.bytes()?)
    }
}

pub(in crate::gallery) fn read_member(
    archive: &Path,
    offset: u64,
    length: u64,
) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(archive)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length.min(LONGEST)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

//! A record of the catalog to the picture that it stands for.

use std::io::{Read, Seek, SeekFrom};

use super::record::{ContentHash, ImageRecord, Pixels};
use crate::image::decode::MAX_PIXELS;
use crate::{Error, Image, Result, regular_file};

/// The folder of the gallery with the picture files that it keeps itself.
pub(crate) const IMAGES: &str = "images";

/// The longest picture file inside an archive, in bytes. Beyond it the catalog is wrong.
const LONGEST: u64 = 1 << 30;

impl ImageRecord {
    /// The bytes of the picture file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::InvalidFile`] when it is not the file that was
    /// added; [`Error::Unavailable`] when its pixels are remote.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let (Some(path), Some(bytes)) = (self.pixels.parts().0, read(&self.pixels, u64::MAX)?)
        else {
            let reason = "its pixels are not on this machine; give the retriever a `Fetch`";
            return Err(Error::unavailable(format!("picture {}", self.source), reason));
        };
        let found = ContentHash::of(&bytes);
        if found != self.hash {
            let what = format!("content of {}", self.source);
            return Err(Error::invalid_file(path, what, self.hash.to_string(), found));
        }
        Ok(bytes)
    }

    /// The picture. The bound of [`Image::decode`] does not apply: the file is the one that was
    /// added, with as many pixels as were found then.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes) and [`Image::decode`].
    pub fn image(&self) -> Result<Image> {
        let sides = self.metadata.width.zip(self.metadata.height).unwrap_or_default();
        let pixels = u64::from(sides.0) * u64::from(sides.1);
        Image::decode_within(&self.bytes()?, pixels.max(MAX_PIXELS))
    }
}

/// The bytes of a picture file of at most `limit`; none where it is not on this machine.
pub(crate) fn read(pixels: &Pixels, limit: u64) -> Result<Option<Vec<u8>>> {
    let (Some(path), member) = pixels.parts() else { return Ok(None) };
    let io = |source| Error::io(path, source);
    let mut file = regular_file::open(path)?;
    let most = match member {
        Some((offset, length)) => {
            check_length(length, limit)?;
            file.seek(SeekFrom::Start(offset)).map_err(io)?;
            length.min(LONGEST)
        }
        None => {
            check_length(file.metadata().map_err(io)?.len(), limit)?;
            // Not more than that, even where the file grows.
            limit.saturating_add(1)
        }
    };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(io)?;
    Ok(Some(bytes))
}

/// That a picture file of `length` bytes is not longer than `limit`.
pub(crate) fn check_length(length: u64, limit: u64) -> Result<()> {
    if length <= limit {
        return Ok(());
    }
    let (expected, found) = (format!("at most {limit} bytes"), format!("{length} bytes"));
    Err(Error::invalid_input("picture file", expected, found))
}

//! An [`Item`] to its content hash, its size and, where it is to be embedded, its pixels.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Content, Item};
use crate::atomic_file::write_bytes;
use crate::gallery::store::pixels::{IMAGES, check_length, read};
use crate::gallery::{ContentHash, ImageRecord, Pixels};
use crate::image::decode::size;
use crate::image::format::{Format, format};
use crate::{Error, Image, Result};

/// How large an image may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Length of the file, in bytes.
    pub(super) bytes: u64,
    /// Width times height.
    pub(super) pixels: u64,
}

/// An item whose file was read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) record: ImageRecord,
    /// The file; none where the pixels are not on this machine.
    bytes: Option<Vec<u8>>,
    /// Whether the gallery keeps the file.
    keep: bool,
    /// The most pixels that are decoded.
    max_pixels: u64,
}

impl Loaded {
    /// Reads the file of `item` and its header.
    pub(super) fn read(item: Item, limits: Limits) -> Result<Self> {
        let Item { source, content, mut metadata, .. } = item;
        let (pixels, bytes, keep) = match content {
            Content::At(pixels) => {
                let bytes = read(&pixels, limits.bytes)?;
                (pixels, bytes, false)
            }
            Content::Bytes(bytes) => (Pixels::Remote, Some(bytes), true),
            Content::Image(image) => (Pixels::Remote, Some(image.encode_png()?), true),
        };
        let hash = ContentHash::of(bytes.as_deref().unwrap_or(source.as_bytes()));
        if let Some(bytes) = &bytes {
            check_length(bytes.len() as u64, limits.bytes)?;
            let (width, height) = size(bytes, limits.pixels)?;
            (metadata.width, metadata.height) = (Some(width), Some(height));
        }
        let record = ImageRecord { hash, source, pixels, metadata };
        Ok(Self { record, bytes, keep, max_pixels: limits.pixels })
    }

    /// The picture.
    pub(super) fn decode(&self) -> Result<Image> {
        let reason = "it is not on this machine, and there is no embedding";
        let remote = || Error::unavailable("its picture", reason);
        Image::decode_within(self.bytes.as_ref().ok_or_else(remote)?, self.max_pixels)
    }

    /// The record, after the gallery in `folder` has the file where it is to keep it.
    pub(super) fn kept(mut self, folder: &Path) -> Result<ImageRecord> {
        if let Some(bytes) = self.bytes.filter(|_| self.keep) {
            self.record.pixels = Pixels::File(keep(folder, &self.record.hash, &bytes)?);
        }
        Ok(self.record)
    }
}

/// Writes a picture file into the gallery in `folder`, under its hash, and gives its path.
fn keep(folder: &Path, hash: &ContentHash, bytes: &[u8]) -> Result<PathBuf> {
    let hash = hash.to_string();
    let folder = folder.join(IMAGES).join(&hash[..2]);
    let ending = format(bytes).and_then(Format::extension).unwrap_or("image");
    let path = folder.join(format!("{hash}.{ending}"));
    let io = |source| Error::io(&path, source);
    if fs::metadata(&path).is_ok_and(|file| file.len() == bytes.len() as u64) {
        return Ok(path);
    }
    fs::create_dir_all(&folder).map_err(io)?;
    // Whichever other thread writes the same.
    write_bytes(&path, bytes)?;
    Ok(path)
}

//! An [`Item`] to its content hash, its size and, where it is to be embedded, its pixels.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::ImageReader;

use super::{Content, Item};
use crate::atomic_file::write_bytes;
use crate::gallery::store::pixels::{check_length, read};
use crate::gallery::{ContentHash, ImageRecord, Pixels};
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
            let (width, height) = size(bytes)?;
            let found = u64::from(width) * u64::from(height);
            if found > limits.pixels {
                let expected = format!("at most {} pixels", limits.pixels);
                let found = format!("{width}x{height}, {found} pixels");
                return Err(Error::invalid_input("picture", expected, found));
            }
            (metadata.width, metadata.height) = (Some(width), Some(height));
        }
        Ok(Self { record: ImageRecord { hash, source, pixels, metadata }, bytes, keep })
    }

    /// The picture.
    pub(super) fn decode(&self) -> Result<Image> {
        let reason = "it is not on this machine, and there is no embedding";
        let remote = || Error::unavailable("its picture", reason);
        Image::decode(self.bytes.as_ref().ok_or_else(remote)?)
    }

    /// The record, after the gallery in `folder` has the file where it is to keep it.
    pub(super) fn kept(mut self, folder: &Path) -> Result<ImageRecord> {
        if let Some(bytes) = self.bytes.filter(|_| self.keep) {
            self.record.pixels = Pixels::File(keep(folder, &self.record.hash, &bytes)?);
        }
        Ok(self.record)
    }
}

/// Width and height, from the header alone.
fn size(bytes: &[u8]) -> Result<(u32, u32)> {
    let found = |error: &dyn std::error::Error| {
        let found = if bytes.is_empty() { "an empty file".to_owned() } else { error.to_string() };
        Error::invalid_input("picture", "PNG, JPEG, WebP, GIF, BMP or TIFF", found)
    };
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    reader.map_err(|error| found(&error))?.into_dimensions().map_err(|error| found(&error))
}

/// Writes a picture file into the gallery in `folder`, under its hash, and gives its path.
fn keep(folder: &Path, hash: &ContentHash, bytes: &[u8]) -> Result<PathBuf> {
    let hash = hash.to_string();
    let folder = folder.join("images").join(&hash[..2]);
    let ending = image::guess_format(bytes).ok().and_then(|f| f.extensions_str().first());
    let path = folder.join(format!("{hash}.{}", ending.unwrap_or(&"image")));
    let io = |source| Error::io(&path, source);
    if fs::metadata(&path).is_ok_and(|file| file.len() == bytes.len() as u64) {
        return Ok(path);
    }
    fs::create_dir_all(&folder).map_err(io)?;
    // Whichever other thread writes the same.
    write_bytes(&path, bytes)?;
    Ok(path)
}

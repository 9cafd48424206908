//! [`Image`] to the bytes of a picture file.

use std::io::Cursor;
use std::path::Path;

use image::ExtendedColorType::Rgb8;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, ImageResult, write_buffer_with_format};

use super::Image;
use crate::atomic_file::write_bytes;
use crate::{Error, Result};

impl Image {
    /// Writes the picture; the format is chosen by the file's extension. A file that was there
    /// before is replaced once the new one is whole.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an extension of another format than PNG, JPEG, WebP, GIF, BMP
    /// and TIFF; [`Error::Io`] when writing fails.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
        let path = path.as_ref();
        let format = ImageFormat::from_path(path).ok();
        let format = format.filter(|f| [Png, Jpeg, WebP, Gif, Bmp, Tiff].contains(f));
        let expected = "extension png, jpg, webp, gif, bmp or tiff";
        let invalid = || Error::invalid_input("picture file", expected, path.display());
        let bytes = self.encode(format.ok_or_else(invalid)?);
        write_bytes(path, &bytes.map_err(|e| Error::io(path, std::io::Error::other(e)))?)
    }

    /// The picture as the bytes of a PNG file.
    pub fn encode_png(&self) -> Result<Vec<u8>> {
        self.encode(ImageFormat::Png).map_err(|source| Error::backend("PNG encoder", source))
    }

    /// The picture as the bytes of a JPEG file of `quality`, in 1 to 100.
    pub fn encode_jpeg(&self, quality: u8) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
            .encode(&self.pixels, self.width, self.height, Rgb8)
            .map_err(|source| Error::backend("JPEG encoder", source))?;
        Ok(bytes)
    }

    fn encode(&self, format: ImageFormat) -> ImageResult<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        let (width, height) = (self.width, self.height);
        write_buffer_with_format(&mut bytes, &self.pixels, width, height, Rgb8, format)?;
        Ok(bytes.into_inner())
    }
}

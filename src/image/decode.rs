//! The bytes of a picture file to an [`Image`]: upright, over white, and whole or refused.

use std::fmt::Display;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::format::{FORMATS, Format, format};
use super::tiff::Tiff;
use super::whole::is_whole;
use super::{Image, orientation, over_white};
use crate::pool::panic_message;
use crate::{Error, Result, regular_file};

/// The most pixels, width times height, of a picture that [`Image::decode`] reads: Pillow's
/// `Image.MAX_IMAGE_PIXELS`, above which it warns of a decompression bomb.
pub(crate) const MAX_PIXELS: u64 = 89_478_485;

/// What a header may take in memory beside the pixels, in bytes: profiles, palettes, texts.
const HEADER: u64 = 16 << 20;
/// The most memory of one pixel while it is decoded, in bytes: RGBA of 16 bits, or a frame of a GIF
/// and the canvas that it is put on.
const PIXEL: u64 = 8;

impl Image {
    /// Reads a picture file as [`decode`](Self::decode) does. The pixels are Pillow's for formats without
    /// loss; those of a JPEG are near them, up to 3 of 255 apart without and 6 with subsampled colours, as
    /// its decoder (zune-jpeg) rounds and interpolates otherwise than libjpeg-turbo.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::InvalidFile`] where
    /// [`decode`](Self::decode) has an error.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::decode(&regular_file::read(path)?).map_err(|error| match error {
            Error::InvalidInput { what, expected, found } => {
                Error::invalid_file(path, what, expected, found)
            }
            other => other,
        })
    }

    /// The picture in the bytes of a PNG, JPEG, WebP, GIF, BMP or TIFF file of at most 89,478,485
    /// pixels (Pillow's limit). The format is recognised by the content. Of an animation or a file
    /// of several pages it is the first picture.
    ///
    /// - **Upright**: the picture is turned as its EXIF orientation says, or where it has none, the
    ///   `tiff:Orientation` of its XMP data. Orientation data that cannot be read are as none. Of
    ///   several EXIF segments of a JPEG the first counts. This is Pillow's `ImageOps.exif_transpose`, which `load_image` of diffusers and of transformers
    ///   calls.
    /// - **Over white**: what is transparent shows white, as with the image processors of
    ///   transformers 5. Pillow's `convert("RGB")` shows what lies below.
    /// - **RGB**: grey, palette and CMYK pictures become RGB as in Pillow. Of 16 bits the upper 8 are
    ///   kept. Here 16-bit grey differs from Pillow, which cuts it off at 255, so that most of it is
    ///   white.
    /// - **Colour profiles (ICC) are not applied.** Pillow's `convert` does not apply them either, so
    ///   a picture in Display P3 or Adobe RGB has the values that diffusers sees, and looks paler
    ///   than in a browser. Convert such pictures to sRGB beforehand if their exact colours matter.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the bytes are no picture (formats that are known but not read,
    /// such as AVIF or SVG, are named), are cut off or broken, or have more pixels. A JPEG whose
    /// data are damaged but that has an end is read as far as it goes, as Pillow does. A TIFF of
    /// samples of 32 bits or of floating point is refused, because their range is not known, and a
    /// BMP of more than 65,535 pixels a side.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::decode_within(bytes, MAX_PIXELS)
    }

    /// The same as [`decode`](Self::decode) with another bound: at most `max_pixels`, width times
    /// height. Decoding takes up to 12 bytes of memory a pixel, and nothing is allocated for a
    /// picture that claims to be larger.
    ///
    /// ```
    /// use imagerag::Image;
    ///
    /// let png = Image::new(2, 3, [0; 18])?.encode_png()?;
    /// assert!(Image::decode_within(&png, 6).is_ok());
    /// let error = Image::decode_within(&png, 5).unwrap_err();
    /// assert!(error.to_string().contains("at most 5 pixels"));
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`decode`](Self::decode).
    pub fn decode_within(bytes: &[u8], max_pixels: u64) -> Result<Self> {
        guarded(|| {
            let mut opened = Opened::new(bytes, max_pixels)?;
            let (width, height) = opened.size();
            let orientation = opened.orientation(bytes);
            let image = RgbImage::from_raw(width, height, opened.rgb()?);
            let mut image = DynamicImage::from(image.ok_or_else(|| invalid("too few pixels"))?);
            image.apply_orientation(orientation);
            Self::try_from(image)
        })
    }

    /// The picture in the bytes of a reply of `service`, a part by its `Display`.
    ///
    /// ```
    /// use imagerag::{Error, Image};
    ///
    /// let error = Image::decode_reply("my-service", b"<html>").unwrap_err();
    /// assert!(matches!(error, Error::InvalidReply { .. }));
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidReply`] where [`decode`](Self::decode) has an error: it is the fault of the
    /// service.
    pub fn decode_reply(service: impl Display, bytes: &[u8]) -> Result<Self> {
        Self::decode(bytes).map_err(|error| match error {
            Error::InvalidInput { expected, found, .. } => {
                Error::invalid_reply(service, expected, found)
            }
            other => other,
        })
    }
}

/// Width and height of the upright picture in the bytes of a file, from its header. What
/// [`Image::decode_within`] refuses may pass here, but none of more than `max_pixels`, and no JPEG or
/// WebP that is cut off.
#[cfg(any(test, feature = "gallery"))]
pub(crate) fn size(bytes: &[u8], max_pixels: u64) -> Result<(u32, u32)> {
    guarded(|| {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        let mut opened = Opened::new(bytes, max_pixels)?;
        let (width, height) = opened.size();
        Ok(match opened.orientation(bytes) {
            Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH => (height, width),
            _ => (width, height),
        })
    })
}

/// The most memory, in bytes, that decoding a picture of these sides may take, which are at most
/// `max_pixels`.
pub(super) fn max_alloc((width, height): (u32, u32), max_pixels: u64) -> Result<u64> {
    let found = u64::from(width) * u64::from(height);
    if found <= max_pixels {
        return Ok(found.saturating_mul(PIXEL).saturating_add(HEADER));
    }
    let expected = format!("at most {max_pixels} pixels");
    Err(Error::invalid_input("picture", expected, format!("{width}x{height}, {found} pixels")))
}

/// An error of a picture that is not whole, or not one at all.
pub(super) fn invalid(found: impl Display) -> Error {
    Error::invalid_input("picture", FORMATS, found)
}

/// Decoders are other people's code, and files are hostile: a panic is an error of the file.
fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    let caught = catch_unwind(AssertUnwindSafe(read));
    let said = |panic: Box<dyn std::any::Any + Send>| panic_message(&*panic).to_owned();
    caught.unwrap_or_else(|panic| Err(invalid(format!("a broken file: {}", said(panic)))))
}

/// A file whose header was read.
enum Opened<'a> {
    Tiff(Box<Tiff<'a>>),
    Other(ImageFormat, Box<dyn ImageDecoder + 'a>),
}

impl<'a> Opened<'a> {
    /// Reads the header of a picture of at most `max_pixels`.
    fn new(bytes: &'a [u8], max_pixels: u64) -> Result<Self> {
        let format = match format(bytes) {
            Some(Format::Read(format)) => format,
            Some(Format::NotRead(name)) => {
                return Err(invalid(format!("{name}, which is not read")));
            }
            None if bytes.is_empty() => return Err(invalid("an empty file")),
            None => {
                let start = bytes[..bytes.len().min(16)].escape_ascii();
                return Err(invalid(format!("no known picture: it begins with `{start}`")));
            }
        };
        if format == ImageFormat::Tiff {
            return Ok(Self::Tiff(Box::new(Tiff::new(bytes, max_pixels)?)));
        }
        if !is_whole(format, bytes) {
            let name = Format::Read(format).name();
            return Err(invalid(format!("a {name} file that is cut off")));
        }
        // The decoder of PNG wants its limit before it reads the sides, which have a fixed place.
        let header = match (format, bytes.get(16..24)) {
            (ImageFormat::Png, Some(&[a, b, c, d, e, f, g, h])) => {
                let sides = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
                max_alloc(sides, max_pixels)?
            }
            _ => HEADER,
        };
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits(header));
        let mut decoder = reader.into_decoder().map_err(invalid)?;
        let max_alloc = max_alloc(decoder.dimensions(), max_pixels)?;
        decoder.set_limits(limits(max_alloc)).map_err(invalid)?;
        Ok(Self::Other(format, Box::new(decoder)))
    }

    fn size(&self) -> (u32, u32) {
        match self {
            Self::Tiff(tiff) => tiff.size(),
            Self::Other(_, decoder) => decoder.dimensions(),
        }
    }

    fn orientation(&mut self, bytes: &[u8]) -> Orientation {
        let (exif, xmp) = match self {
            Self::Tiff(tiff) => return tiff.orientation(),
            Self::Other(ImageFormat::Png, _) => orientation::of_png(bytes),
            Self::Other(ImageFormat::Jpeg, _) => orientation::of_jpeg(bytes),
            Self::Other(_, decoder) => {
                (decoder.exif_metadata().ok().flatten(), decoder.xmp_metadata().ok().flatten())
            }
        };
        orientation::of(exif.as_deref(), xmp.as_deref())
    }

    /// The pixels as they lie in the file, `r g b` each.
    fn rgb(self) -> Result<Vec<u8>> {
        match self {
            Self::Tiff(tiff) => tiff.rgb(),
            Self::Other(_, decoder) => {
                Ok(over_white::rgb(DynamicImage::from_decoder(decoder).map_err(invalid)?))
            }
        }
    }
}

fn limits(max_alloc: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_alloc);
    limits
}

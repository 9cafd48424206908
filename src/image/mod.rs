//! [`Image`]: shared, immutable 8-bit RGB pixels, the one picture type that parts exchange.

#[cfg(feature = "image")]
pub(crate) mod format;
#[cfg(feature = "tch")]
pub(crate) mod resample;

use std::fmt;
use std::sync::Arc;

use crate::Result;
use crate::error::require;

/// An 8-bit sRGB picture. Cloning shares the pixels.
///
#[cfg_attr(feature = "image", doc = "```")]
#[cfg_attr(not(feature = "image"), doc = "```ignore")]
/// use imagerag::Image;
///
/// # let path = std::env::temp_dir().join(format!("imagerag-doc-p-{}.png", std::process::id()));
/// let pair = Image::new(2, 1, [200, 0, 0, 0, 0, 200])?; // A red pixel and a blue one.
/// assert_eq!((pair.width(), pair.height()), (2, 1));
/// pair.save(&path)?;
/// assert_eq!(Image::open(&path)?, pair);
/// assert_eq!(Image::decode(&pair.encode_png()?)?, pair);
/// assert_ne!(Image::decode(&pair.encode_jpeg(90)?)?, pair); // JPEG is not lossless.
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: u32,
    height: u32,
    pixels: Arc<[u8]>,
}

impl Image {
    /// A picture of `width` × `height` from rows of `r g b` bytes, top row first.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when a side is 0 or `pixels` is not
    /// `3 · width · height` long.
    pub fn new(width: u32, height: u32, pixels: impl Into<Arc<[u8]>>) -> Result<Self> {
        let pixels = pixels.into();
        let size = format!("{width}x{height}");
        require(width > 0 && height > 0, "image size", "sides of at least 1 pixel", &size)?;
        let (what, found) = (format!("pixels of a {size} image"), pixels.len() as u128);
        let expected = u128::from(width) * u128::from(height) * 3;
        let (fits, expected) = (found == expected, format!("{expected} bytes"));
        require(fits, what, expected, format!("{found} bytes"))?;
        Ok(Self { width, height, pixels })
    }

    /// Width in pixels, at least 1.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The bytes `r g b r g b …`, top row first: `3 · width · height` of them.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}x{})", self.width, self.height)
    }
}

#[cfg(feature = "image")]
mod files {
    //! Files and the `image` crate's types from and to [`Image`].

    use std::fmt::Display;
    use std::io::Cursor;
    use std::path::Path;

    use image::ExtendedColorType::Rgb8;
    use image::codecs::jpeg::JpegEncoder;
    use image::{
        DynamicImage, ImageFormat, ImageReader, ImageResult, Limits, RgbImage,
        write_buffer_with_format,
    };

    use super::Image;
    use crate::atomic_file::write_bytes;
    use crate::{Error, Result};

    /// The largest side that is decoded, in pixels.
    const MAX_SIDE: u32 = 16_384;
    /// The most memory that decoding one picture may take, in bytes.
    const MAX_DECODED: u64 = 512 << 20;

    impl Image {
        /// Reads a picture file; the format is recognised by its content. Grey, palette, CMYK and
        /// 16-bit pictures become RGB; transparency is dropped, as `PIL.Image.convert("RGB")` does.
        ///
        /// # Errors
        /// [`Error::Io`] when the file cannot be read; [`Error::InvalidFile`] when it is no picture,
        /// is broken, or is larger than 16,384 pixels a side or 512 MiB decoded.
        pub fn open(path: impl AsRef<Path>) -> Result<Self> {
            let path = path.as_ref();
            let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
            Self::decode(&bytes).map_err(|error| match error {
                Error::InvalidInput { what, expected, found } => {
                    Error::invalid_file(path, what, expected, found)
                }
                other => other,
            })
        }

        /// The picture in the bytes of a file, converted as [`open`](Self::open) does.
        ///
        /// # Errors
        /// [`Error::InvalidInput`] when the bytes are no picture, are broken, or are larger than
        /// 16,384 pixels a side or 512 MiB decoded.
        pub fn decode(bytes: &[u8]) -> Result<Self> {
            let expected =
                format!("PNG, JPEG, WebP, GIF, BMP or TIFF of at most {MAX_SIDE} pixels a side");
            let invalid = |found: String| Error::invalid_input("picture", &expected, found);
            let mut limits = Limits::default();
            limits.max_image_width = Some(MAX_SIDE);
            limits.max_image_height = Some(MAX_SIDE);
            limits.max_alloc = Some(MAX_DECODED);
            let mut reader = ImageReader::new(Cursor::new(bytes))
                .with_guessed_format()
                .map_err(|error| invalid(error.to_string()))?;
            reader.limits(limits);
            let decoded = reader.decode().map_err(|error| invalid(error.to_string()))?;
            Self::try_from(decoded)
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

    impl From<&Image> for RgbImage {
        fn from(image: &Image) -> Self {
            // There are as many pixels as the sides say.
            Self::from_raw(image.width, image.height, image.pixels.to_vec()).unwrap_or_default()
        }
    }

    impl From<Image> for RgbImage {
        fn from(image: Image) -> Self {
            Self::from(&image)
        }
    }

    impl From<&Image> for DynamicImage {
        fn from(image: &Image) -> Self {
            Self::ImageRgb8(image.into())
        }
    }

    impl From<Image> for DynamicImage {
        fn from(image: Image) -> Self {
            Self::from(&image)
        }
    }

    impl TryFrom<RgbImage> for Image {
        type Error = Error;

        fn try_from(image: RgbImage) -> Result<Self> {
            Self::new(image.width(), image.height(), image.into_raw())
        }
    }

    impl TryFrom<DynamicImage> for Image {
        type Error = Error;

        fn try_from(image: DynamicImage) -> Result<Self> {
            Self::try_from(image.into_rgb8())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_pixels_that_do_not_fill_the_picture() {
        let error = Image::new(2, 2, vec![0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "pixels of a 2x2 image: expected 12 bytes, found 11 bytes");
        assert!(Image::new(0, 2, vec![]).is_err());
        // Three times the product is 17,879 beyond what 64 bits hold.
        assert!(Image::new(3_309_942_865, 1_857_710_221, vec![0; 17_879]).is_err());
    }

    #[cfg(feature = "image")]
    #[test]
    fn png_keeps_every_pixel() {
        let image = Image::new(2, 1, vec![1, 2, 3, 250, 251, 252]).unwrap();
        assert_eq!(Image::decode(&image.encode_png().unwrap()).unwrap(), image);
    }

    #[cfg(feature = "image")]
    #[test]
    fn a_format_that_is_not_written_is_refused_with_those_that_are() {
        let (folder, image) = (tempfile::tempdir().unwrap(), Image::new(1, 1, vec![1; 3]).unwrap());
        for name in ["a.avif", "a.exr", "a.xyz", "a"] {
            let error = image.save(folder.path().join(name)).unwrap_err();
            assert!(matches!(error, crate::Error::InvalidInput { .. }), "{error}");
            assert!(error.to_string().contains("png, jpg, webp, gif, bmp or tiff"), "{error}");
        }
        for name in ["a.png", "a.JPEG", "a.webp", "a.gif", "a.bmp", "a.tif"] {
            image.save(folder.path().join(name)).unwrap();
        }
    }

    #[cfg(feature = "image")]
    #[test]
    fn the_image_crates_types_hold_the_same_pixels() {
        let ours = Image::new(2, 1, vec![1, 2, 3, 250, 251, 252]).unwrap();
        let theirs = image::DynamicImage::from(ours.clone());
        assert_eq!(Image::try_from(theirs).unwrap(), ours);
        assert_eq!(image::RgbImage::from(ours.clone()).into_raw(), ours.pixels());
    }

    #[cfg(feature = "image")]
    #[test]
    fn broken_and_huge_pictures_are_errors() {
        assert!(matches!(Image::decode(b"no picture"), Err(crate::Error::InvalidInput { .. })));
        // A PNG header that claims 100,000 x 100,000 pixels.
        let mut huge = Image::new(1, 1, vec![0; 3]).unwrap().encode_png().unwrap();
        huge[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
        assert!(matches!(Image::decode(&huge), Err(crate::Error::InvalidInput { .. })));
    }

    /// References come in every colour model: what Pillow's `convert("RGB")` makes of them.
    #[cfg(feature = "image")]
    #[test]
    fn every_colour_model_becomes_rgb_as_in_pillow() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/");
        for (name, tolerance) in [
            ("rgba.png", 0),
            ("grey.png", 0),
            ("grey_alpha.png", 0),
            ("palette.png", 0),
            ("bilevel.png", 0),
            // Two JPEG decoders round differently.
            ("grey.jpg", 2),
            ("cmyk.jpg", 4),
        ] {
            let image = Image::open(format!("{folder}{name}")).unwrap();
            let pillow =
                Image::open(format!("{folder}{}_rgb.png", name.replace('.', "_"))).unwrap();
            assert_eq!((image.width(), image.height()), (24, 16), "{name}");
            let worst =
                image.pixels().iter().zip(pillow.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(tolerance), "{name} differs by {worst:?}");
        }
    }
}

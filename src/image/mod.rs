//! [`Image`]: shared, immutable 8-bit RGB pixels, the one picture type that parts exchange.

#[cfg(feature = "image")]
mod convert;
#[cfg(feature = "image")]
pub(crate) mod decode;
#[cfg(feature = "image")]
mod encode;
#[cfg(feature = "image")]
pub(crate) mod format;
#[cfg(feature = "image")]
mod orientation;
#[cfg(feature = "image")]
mod over_white;
#[cfg(any(feature = "evaluation", feature = "tch"))]
#[cfg_attr(not(feature = "tch"), allow(dead_code, reason = "filters that checkpoints name"))]
pub(crate) mod resample;
#[cfg(feature = "image")]
mod tiff;
#[cfg(feature = "image")]
mod whole;

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

#[cfg(test)]
mod tests;

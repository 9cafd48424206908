//! [`PictureFormat`]: a picture to the data URL that is sent.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::net::pictures::fit;
use crate::{Image, Result};

/// The shortest side of a picture, in pixels, unless the other becomes too long. transformers'
/// preprocessing takes a height of 1 or 3 for the channels of the picture, and infinity 0.0.78 answers no
/// more after that.
const SHORTEST: u32 = 4;

/// How large a picture may be, and how it is encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct PictureFormat {
    /// The longest side, in pixels.
    pub(super) max_side: u32,
    /// Of a JPEG, in 1 to 100; without one it is a PNG.
    pub(super) quality: Option<u8>,
}

impl PictureFormat {
    /// `image`, scaled down where a side is too long, and enlarged where one is shorter than
    /// [`SHORTEST`].
    pub(super) fn fit(&self, image: &Image) -> Result<Image> {
        let image = fit(image, self.max_side)?;
        let (shorter, longer) =
            (image.width().min(image.height()), image.width().max(image.height()));
        if shorter >= SHORTEST || longer.saturating_mul(SHORTEST) > self.max_side {
            return Ok(image);
        }
        let (width, height) = (image.width() * SHORTEST, image.height() * SHORTEST);
        Image::try_from(resize(&RgbImage::from(&image), width, height, FilterType::Nearest))
    }

    pub(super) fn data_url(&self, image: &Image) -> Result<String> {
        let image = self.fit(image)?;
        let (kind, bytes) = match self.quality {
            Some(quality) => ("jpeg", image.encode_jpeg(quality)?),
            None => ("png", image.encode_png()?),
        };
        Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)))
    }
}

impl fmt::Display for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quality {
            Some(quality) => write!(f, "JPEG {quality}")?,
            None => f.write_str("PNG")?,
        }
        write!(f, " of {} pixels", self.max_side)
    }
}

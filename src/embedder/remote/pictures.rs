//! [`PictureFormat`]: a picture to the data URL that is sent.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::net::pictures::fit;
use crate::{Image, Result};

/// How large a picture may be, and how it is encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct PictureFormat {
    /// The longest side, in pixels.
    pub(super) max_side: u32,
    /// Of a JPEG, in 1 to 100; without one it is a PNG.
    pub(super) quality: Option<u8>,
}

impl PictureFormat {
    /// `image`, scaled down where a side is too long.
    pub(super) fn fit(&self, image: &Image) -> Result<Image> {
        fit(image, self.max_side)
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

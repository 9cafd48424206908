//! Pictures to what a page shows: small enough, as bytes or as an address that holds them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::Result;
use crate::image::Image;

/// Up to this many pixels on its longest side a picture is kept exactly, as PNG: browsers then enlarge
/// it without smoothing.
const EXACT: u32 = 128;
/// The quality of JPEG, in 1 to 100: Pillow's documentation advises against more than 95, and takes 75.
const QUALITY: u8 = 85;

/// A picture on a page.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Thumbnail {
    /// Its address.
    pub(crate) src: String,
    /// In pixels, as it was drawn.
    pub(crate) width: u32,
    /// In pixels, as it was drawn.
    pub(crate) height: u32,
}

/// The bytes of a file of `image` that is at most `side` pixels long, and its type: `png` or `jpeg`.
pub(crate) fn encoded(image: &Image, side: u32) -> Result<(Vec<u8>, &'static str)> {
    let (width, height) = (image.width(), image.height());
    let longest = width.max(height);
    if longest <= EXACT {
        return Ok((image.encode_png()?, "png"));
    }
    if longest <= side {
        return Ok((image.encode_jpeg(QUALITY)?, "jpeg"));
    }
    let scaled = |length: u32| {
        // It fits: it is at most `side`.
        (u64::from(length) * u64::from(side) / u64::from(longest)).max(1) as u32
    };
    let small = resize(&RgbImage::from(image), scaled(width), scaled(height), FilterType::Triangle);
    Ok((Image::try_from(small)?.encode_jpeg(QUALITY)?, "jpeg"))
}

/// The picture in the page itself, at most `side` pixels long.
pub(crate) fn thumbnail(image: &Image, side: u32) -> Result<Thumbnail> {
    let (bytes, kind) = encoded(image, side)?;
    let src = format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(bytes));
    Ok(Thumbnail { src, width: image.width(), height: image.height() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::solid;

    #[test]
    fn small_pictures_are_exact_and_large_ones_small() {
        let small = solid(128, 16, [200, 10, 30]);
        let (bytes, kind) = encoded(&small, 512).unwrap();
        assert_eq!((Image::decode(&bytes).unwrap(), kind), (small, "png"));
        let (bytes, kind) = encoded(&solid(3_000, 2, [0; 3]), 512).unwrap();
        let decoded = Image::decode(&bytes).unwrap();
        assert_eq!((decoded.width(), decoded.height(), kind), (512, 1, "jpeg"));
        let shown = thumbnail(&solid(1_024, 512, [9; 3]), 256).unwrap();
        assert_eq!((shown.width, shown.height), (1_024, 512));
        assert!(shown.src.starts_with("data:image/jpeg;base64,/9j/"), "{}", &shown.src[..40]);
    }
}

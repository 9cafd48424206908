//! A reference to a PNG file within what services take.

use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::{Image, Result};

/// The largest file that OpenAI takes, in bytes: its reference of `images/edits` has "less than 50MB".
const MAX_BYTES: usize = 50_000_000;

/// `image` as a PNG file of at most `max_pixels` pixels and 50 MB, and where it was scaled down for that,
/// from what to what.
pub(super) fn png_within(image: &Image, max_pixels: u64) -> Result<(Vec<u8>, Option<String>)> {
    png_within_bytes(image, max_pixels, MAX_BYTES)
}

fn png_within_bytes(
    image: &Image,
    max_pixels: u64,
    max_bytes: usize,
) -> Result<(Vec<u8>, Option<String>)> {
    let (mut fits, mut most) = (image.clone(), max_pixels);
    loop {
        if pixels(&fits) > most {
            fits = scaled(image, most)?;
        }
        let png = fits.encode_png()?;
        if png.len() <= max_bytes || pixels(&fits) == 1 {
            let size = |image: &Image| format!("{}x{}", image.width(), image.height());
            let note = (fits.width() != image.width() || fits.height() != image.height())
                .then(|| format!("scaled from {} to {}", size(image), size(&fits)));
            return Ok((png, note));
        }
        // A little less than in proportion, so that it comes to an end.
        most = (pixels(&fits) as f64 * 0.9 * max_bytes as f64 / png.len() as f64) as u64;
    }
}

fn pixels(image: &Image) -> u64 {
    u64::from(image.width()) * u64::from(image.height())
}

/// `image` in its shape, with at most `most` pixels, and at least one.
fn scaled(image: &Image, most: u64) -> Result<Image> {
    let scale = (most as f64 / pixels(image) as f64).sqrt();
    let side = |side: u32, other: u64| {
        let side = (f64::from(side) * scale) as u64;
        u32::try_from(side.min(most / other.max(1))).unwrap_or(u32::MAX).max(1)
    };
    let width = side(image.width(), 1);
    let height = side(image.height(), u64::from(width));
    Image::try_from(resize(&RgbImage::from(image), width, height, FilterType::CatmullRom))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: u32, height: u32) -> Image {
        let mut random = fastrand::Rng::with_seed(7);
        let pixels: Vec<u8> = (0..3 * width * height).map(|_| random.u8(..)).collect();
        Image::new(width, height, pixels).unwrap()
    }

    #[test]
    fn what_is_too_large_is_scaled_down_in_its_shape() {
        for (size, most, expected) in [
            ((40, 20), 800, (40, 20)),
            ((40, 20), 200, (20, 10)),
            ((40, 20), 799, (39, 19)),
            ((1000, 1), 100, (100, 1)),
            ((3, 3), 1, (1, 1)),
        ] {
            let (png, note) = png_within(&noise(size.0, size.1), most).unwrap();
            let sent = Image::decode(&png).unwrap();
            assert_eq!((sent.width(), sent.height()), expected, "{size:?} in {most}");
            assert_eq!(note.is_some(), size != expected);
        }
        let note = png_within(&noise(40, 20), 200).unwrap().1;
        assert_eq!(note.unwrap(), "scaled from 40x20 to 20x10");
    }

    #[test]
    fn a_file_that_is_too_long_is_scaled_down_too() {
        let image = noise(64, 64);
        let (png, note) = png_within_bytes(&image, 10_000, 3_000).unwrap();
        assert!(png.len() <= 3_000 && note.is_some(), "{} bytes", png.len());
        let sent = Image::decode(&png).unwrap();
        assert!(sent.width() == sent.height() && sent.width() > 20, "{sent:?}");
        assert!(png_within_bytes(&image, 10_000, 1).is_ok());
    }
}

//! A reference image to the pixels that OmniGen encodes, as diffusers' `OmniGenMultiModalProcessor`
//! makes them with Pillow: neither side much above a bound, both multiples of 16.

use crate::error::require;
use crate::image::Image;
use crate::image::resample::{Filter, resize};
use crate::models::common::fields::MAX_SIDE;
use crate::{Error, Result};

/// Both sides of what is encoded are multiples of this, and at least this long: the VAE's 8 pixels
/// times the transformer's patch of 2 (fixed in diffusers' `crop_image`).
pub(crate) const MULTIPLE: u32 = 16;

/// The most pixels that a thin picture may be enlarged to.
const MAX_PIXELS: u64 = (MAX_SIDE * MAX_SIDE) as u64;

/// Width and height in pixels.
type Size = (u32, u32);

/// Makes `image` smaller until its longer side has at most `max_side` pixels, or larger until its
/// shorter side has 16, and cuts both sides to multiples of 16, evenly from both ends.
///
/// # Errors
/// [`Error::InvalidInput`] if `max_side` is 0, or if `image` is so thin that its shorter side would
/// vanish or that its longer side would grow beyond 8192² pixels in all.
pub(crate) fn prepare(image: &Image, max_side: u32) -> Result<Image> {
    let mut size = (image.width(), image.height());
    let resizings = resizings(size, max_side)?;

    // 1. Each resizing rounds to bytes, so none can be left out.
    let mut resized: Option<Vec<u8>> = None;
    for (to, filter) in resizings {
        let pixels = resized.as_deref().unwrap_or_else(|| image.pixels());
        let (columns, rows) = (0..to.0 as usize, 0..to.1 as usize);
        resized = Some(resize(pixels, usizes(size), usizes(to), filter, columns, rows));
        size = to;
    }

    // 2. The part in the middle.
    let [columns, rows] = [size.0, size.1].map(|side| {
        let first = (side % MULTIPLE / 2) as usize;
        first..first + (side - side % MULTIPLE) as usize
    });
    let (width, height) = (columns.len() as u32, rows.len() as u32);
    if (width, height) == (image.width(), image.height()) && resized.is_none() {
        return Ok(image.clone());
    }
    let pixels = resized.as_deref().unwrap_or_else(|| image.pixels());
    let (from, to) = (usizes(size), usizes(size));
    Image::new(width, height, resize(pixels, from, to, Filter::Nearest, columns, rows))
}

/// Width and height of what [`prepare`] makes of a picture of `size`.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn prepared_size(size: Size, max_side: u32) -> Result<Size> {
    let resized = resizings(size, max_side)?.last().map_or(size, |(size, _)| *size);
    Ok((resized.0 - resized.0 % MULTIPLE, resized.1 - resized.1 % MULTIPLE))
}

/// The sizes that a picture of `size` is brought to, one after the other, and with which filter.
fn resizings(size: Size, max_side: u32) -> Result<Vec<(Size, Filter)>> {
    require(max_side > 0, "largest side of a reference image", "at least 1 pixel", max_side)?;
    let (mut now, mut all) = (size, Vec::new());

    // 1. Halves, while both sides are far too long.
    while u64::from(now.0.min(now.1)) >= 2 * u64::from(max_side) {
        now = (now.0 / 2, now.1 / 2);
        all.push((now, Filter::Box));
    }

    // 2. The longer side as long as allowed.
    let longer = now.0.max(now.1);
    if longer > max_side {
        now = scaled(size, now, f64::from(max_side) / f64::from(longer))?;
        all.push((now, Filter::Bicubic));
    }

    // 3. The shorter side as long as needed.
    let shorter = now.0.min(now.1);
    if shorter < MULTIPLE {
        now = scaled(size, now, f64::from(MULTIPLE) / f64::from(shorter))?;
        all.push((now, Filter::Bicubic));
    }
    Ok(all)
}

/// `now`, which the picture of `size` has become, times `scale`; as Python rounds.
fn scaled(size: Size, now: Size, scale: f64) -> Result<Size> {
    let [width, height] =
        [now.0, now.1].map(|side| (f64::from(side) * scale).round_ties_even() as u64);
    if width.min(height) > 0 && width.saturating_mul(height) <= MAX_PIXELS {
        return Ok((width as u32, height as u32));
    }
    let expected =
        format!("proportions that leave at least 1 and at most {MAX_PIXELS} pixels after resizing");
    let found = format!("{}x{}, which becomes {width}x{height}", size.0, size.1);
    Err(Error::invalid_input("reference image", expected, found))
}

fn usizes((width, height): Size) -> (usize, usize) {
    (width as usize, height as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::common::golden::fixture;
    use crate::models::common::json::read_json;

    /// The picture of tests/fixtures/make_omnigen_pictures.py: no two neighbours alike.
    fn picture(width: u32, height: u32) -> Image {
        let bytes = 0..3 * width * height;
        let byte = |i: u32| {
            let mixed = i.wrapping_mul(i).wrapping_mul(2_654_435_761);
            (mixed.wrapping_add(i.wrapping_mul(40_503)) >> 20) as u8
        };
        Image::new(width, height, bytes.map(byte).collect::<Vec<_>>()).unwrap()
    }

    /// The sum of all bytes, each times a number of its place.
    fn checksum(pixels: &[u8]) -> u64 {
        let place = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
        pixels.iter().zip(0..).fold(0, |sum, (&byte, i)| {
            u64::wrapping_add(sum, u64::from(byte).wrapping_mul(place(i)))
        })
    }

    /// Width, height, largest side; then the size and the checksum of what diffusers makes of it, where
    /// it makes something.
    type Recorded = (u32, u32, u32, Option<(u32, u32, u64)>);

    #[test]
    fn pictures_equal_diffusers_to_the_pixel() {
        let cases: Vec<Recorded> = read_json(&fixture("omnigen_pictures.json")).unwrap();
        assert!(cases.len() > 300);
        let mut refused = 0;
        for (width, height, max_side, expected) in cases {
            let found = prepare(&picture(width, height), max_side);
            let case = format!("{width}x{height}, at most {max_side}");
            match expected {
                Some((to_width, to_height, sum)) => {
                    let found = found.unwrap();
                    assert_eq!((found.width(), found.height()), (to_width, to_height), "{case}");
                    assert_eq!(checksum(found.pixels()), sum, "{case}");
                    let size = prepared_size((width, height), max_side).unwrap();
                    assert_eq!(size, (to_width, to_height), "{case}");
                }
                None => {
                    let error = found.unwrap_err().to_string();
                    let named = error.contains(&format!("{width}x{height}"));
                    assert!(named && error.contains("at least 1"), "{case}: {error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 3);
    }

    #[test]
    fn sizes_are_those_of_large_pictures_too() {
        let last = |size, max_side| resizings(size, max_side).unwrap().last().map(|last| last.0);
        assert_eq!(last((4000, 3000), 1024), Some((1024, 768)));
        assert_eq!(last((2100, 2048), 1024), Some((1024, 999)));
        assert_eq!(last((1000, 700), 1024), None);
        assert_eq!(last((500, 10), 1024), Some((800, 16)));
        assert_eq!(last((1, 5000), 8192), Some((16, 80_000)));
    }

    #[test]
    fn what_no_memory_holds_is_refused_before_any_work() {
        let thin = Image::new(1, 600_000, vec![7; 3 * 600_000]).unwrap();
        let error = prepare(&thin, u32::MAX).unwrap_err().to_string();
        assert!(error.contains("1x600000") && error.contains("16x9600000"), "{error}");
        assert!(error.contains("at most 67108864 pixels"), "{error}");
        let error = prepare(&picture(20, 20), 0).unwrap_err().to_string();
        assert!(error.contains("largest side") && error.contains("found 0"), "{error}");
    }

    #[test]
    fn a_picture_that_fits_is_not_copied() {
        let image = picture(32, 48);
        assert_eq!(prepare(&image, 64).unwrap().pixels().as_ptr(), image.pixels().as_ptr());
    }
}

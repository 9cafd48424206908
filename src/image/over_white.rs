//! Pixels of every colour model to RGB, laid over white where they are transparent.

use image::DynamicImage;

/// `r g b` of each pixel. Of 16 bits the upper 8 are kept, as Pillow does.
pub(super) fn rgb(image: DynamicImage) -> Vec<u8> {
    use DynamicImage::{
        ImageLuma8, ImageLuma16, ImageLumaA8, ImageLumaA16, ImageRgb8, ImageRgb16, ImageRgba8,
        ImageRgba16,
    };
    match image {
        ImageRgb8(image) => image.into_raw(),
        ImageLuma8(image) => each(&image, |[grey]| [grey; 3]),
        ImageLuma16(image) => each(&image, |[grey]| [upper(grey); 3]),
        ImageLumaA8(image) => each(&image, |[grey, alpha]| blend([grey; 3], alpha)),
        ImageLumaA16(image) => each(&image, |[grey, a]| blend([upper(grey); 3], upper(a))),
        ImageRgb16(image) => each(&image, |pixel: [u16; 3]| pixel.map(upper)),
        ImageRgba8(image) => each(&image, |[r, g, b, alpha]| blend([r, g, b], alpha)),
        ImageRgba16(image) => each(&image, |[r, g, b, a]| blend([r, g, b].map(upper), upper(a))),
        // Floating point, in 0 to 1.
        other => rgb(DynamicImage::ImageRgba8(other.into_rgba8())),
    }
}

/// `rgb` of each pixel of `samples`, `N` samples a pixel.
pub(super) fn each<T: Copy, const N: usize>(
    samples: &[T],
    rgb: impl Fn([T; N]) -> [u8; 3],
) -> Vec<u8> {
    let pixels = samples.as_chunks().0;
    let mut out = Vec::with_capacity(pixels.len() * 3);
    for &pixel in pixels {
        out.extend_from_slice(&rgb(pixel));
    }
    out
}

/// A colour over white, rounded as Pillow's `alpha_composite` does.
pub(super) fn blend(rgb: [u8; 3], alpha: u8) -> [u8; 3] {
    let alpha = u32::from(alpha);
    rgb.map(|value| {
        let sum = u32::from(value) * alpha + 255 * (255 - alpha);
        // At most 255: it is a mean of two values that are.
        u8::try_from((sum + 127) / 255).unwrap_or(u8::MAX)
    })
}

/// The upper 8 of 16 bits.
pub(super) const fn upper(value: u16) -> u8 {
    value.to_be_bytes()[0]
}

//! The size of an image to the nearest size that PixArt-Σ was trained on, and a picture of that size
//! to the image.

use tch::Tensor;

use crate::Result;
use crate::error::require;

/// Ratio of height to width, height and width in pixels, and whether networks of every size have the
/// row or only those of 2,048 pixels. Sizes are those for 256 pixels, and grow with the network's.
/// diffusers, `ASPECT_RATIO_256_BIN`, `ASPECT_RATIO_512_BIN`, `ASPECT_RATIO_1024_BIN` and
/// `ASPECT_RATIO_2048_BIN` of `PixArtSigmaPipeline`.
#[rustfmt::skip]
const BINS: [(f64, u32, u32, bool); 40] = [
    (0.25, 128, 512, true),
    (0.26, 128, 496, false),
    (0.27, 128, 480, false),
    (0.28, 128, 464, true),
    (0.32, 144, 448, true),
    (0.33, 144, 432, true),
    (0.35, 144, 416, true),
    (0.4, 160, 400, true),
    (0.42, 160, 384, true),
    (0.48, 176, 368, true),
    (0.5, 176, 352, true),
    (0.52, 176, 336, true),
    (0.57, 192, 336, true),
    (0.6, 192, 320, true),
    (0.68, 208, 304, true),
    (0.72, 208, 288, true),
    (0.78, 224, 288, true),
    (0.82, 224, 272, true),
    (0.88, 240, 272, true),
    (0.94, 240, 256, true),
    (1.0, 256, 256, true),
    (1.07, 256, 240, true),
    (1.13, 272, 240, true),
    (1.21, 272, 224, true),
    (1.29, 288, 224, true),
    (1.38, 288, 208, true),
    (1.46, 304, 208, true),
    (1.67, 320, 192, true),
    (1.75, 336, 192, true),
    (2.0, 352, 176, true),
    (2.09, 368, 176, true),
    (2.4, 384, 160, true),
    (2.5, 400, 160, true),
    (2.89, 416, 144, false),
    (3.0, 432, 144, true),
    (3.11, 448, 144, false),
    (3.62, 464, 128, false),
    (3.75, 480, 128, false),
    (3.88, 496, 128, false),
    (4.0, 512, 128, true),
];

/// Latents a side of the smallest networks that there are sizes for.
const SMALLEST: i64 = 32;
/// Latents a side of the largest.
const LARGEST: i64 = 256;

/// The sizes that one network was trained on.
#[derive(Debug)]
pub(super) struct Bins {
    /// What the sizes of [`BINS`] are multiplied by: 1, 2, 4 or 8.
    factor: u32,
}

impl Bins {
    /// Those of a network that was trained on this many latents a side.
    pub(super) fn new(sample_size: i64) -> Result<Self> {
        let known = [SMALLEST, 64, 128, LARGEST];
        let expected = "a network of sample_size 32, 64, 128 or 256, or off";
        require(known.contains(&sample_size), "resolution binning", expected, sample_size)?;
        Ok(Self { factor: u32::try_from(sample_size / SMALLEST).unwrap_or(1) })
    }

    /// Width and height whose ratio is nearest to that of an image of `size`, width and height. Of two
    /// that are equally near, the lower one is taken.
    pub(super) fn nearest(&self, (width, height): (u32, u32)) -> (u32, u32) {
        let asked = f64::from(height) / f64::from(width);
        let is_largest = i64::from(self.factor) == LARGEST / SMALLEST;
        let known = BINS.iter().filter(|(.., everywhere)| *everywhere || is_largest);
        let distance = |ratio: f64| (ratio - asked).abs();
        let nearest = known.min_by(|one, other| distance(one.0).total_cmp(&distance(other.0)));
        let &(_, height, width, _) = nearest.unwrap_or(&BINS[0]);
        (self.factor * width, self.factor * height)
    }
}

/// `pixels`, `[1, 3, h, w]`, scaled to cover `size`, width and height, and cut to it around the
/// middle.
///
/// diffusers, `PixArtImageProcessor.resize_and_crop_tensor`. That cuts a side off at the point, and so
/// may be left with a pixel less than it was asked for, in which case it returns a single row or
/// column; here a side is never shorter than what is asked for.
pub(super) fn resize_and_crop(pixels: &Tensor, size: (u32, u32)) -> Tensor {
    let (_, _, h, w) = pixels.size4().unwrap_or_default();
    let (width, height) = (i64::from(size.0), i64::from(size.1));
    if (h, w) == (height, width) {
        return pixels.shallow_clone();
    }
    let ratio = (height as f64 / h as f64).max(width as f64 / w as f64);
    let [h, w] =
        [(h, height), (w, width)].map(|(side, asked)| ((side as f64 * ratio) as i64).max(asked));
    let scaled = pixels.upsample_bilinear2d([h, w], false, None, None); // [1, 3, h, w]
    scaled.narrow(2, (h - height) / 2, height).narrow(3, (w - width) / 2, width)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::models::common::golden::{assert_invalid_input, fixture};
    use crate::models::common::json::read_json;

    #[test]
    fn the_nearest_size_is_that_of_diffusers() {
        let cases: Vec<[u32; 5]> = read_json(&fixture("pixart/bins.json")).unwrap();
        assert!(cases.len() > 300);
        for [latents, width, height, drawn_width, drawn_height] in cases {
            let found = Bins::new(latents.into()).unwrap().nearest((width, height));
            assert_eq!(found, (drawn_width, drawn_height), "{latents}: {width}x{height}");
        }
        for latents in [1, 16, 100, 512] {
            assert_invalid_input(Bins::new(latents), "resolution binning");
        }
    }

    #[test]
    fn pixels_are_scaled_to_cover_the_image_and_cut_around_the_middle() {
        let pixels = Tensor::arange(8, (Kind::Float, Device::Cpu)).view([1, 1, 2, 4]);
        let pixels = pixels.repeat([1, 3, 1, 1]);
        let of = |width, height| resize_and_crop(&pixels, (width, height)).get(0).get(0);
        let numbers = |found: Tensor| Vec::<f32>::try_from(found.flatten(0, -1)).unwrap();
        assert_eq!(numbers(of(4, 2)), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        // The same height: of the columns the middle ones.
        assert_eq!(numbers(of(2, 2)), [1.0, 2.0, 5.0, 6.0]);
        // Half as large: the mean of each four.
        assert_eq!(numbers(of(2, 1)), [2.5, 4.5]);
        // 2 · (100 / 2) is 100, while 4 · (29 / 4) and the like may fall short of a whole number.
        for (width, height) in [(29, 1), (1, 29), (100, 7), (113, 57)] {
            assert_eq!(of(width, height).size(), [i64::from(height), i64::from(width)]);
        }
    }
}

//! The size that a request asks for to one that a hosted model draws.

use super::profile::bare;
use crate::generator::remote::asked::SIDE;

/// The sizes that a model of OpenAI's draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sizes {
    /// One of these.
    Fixed(&'static [(u32, u32)]),
    /// Any within the bounds of `gpt-image-2` and later: sides in multiples of 16 of at most 3,840
    /// pixels, from 1:3 to 3:1, with 655,360 to 8,294,400 pixels. From OpenAI's reference of the images API and its guide, and what clients check.
    Free,
}

const MULTIPLE: u32 = 16;
const MAX_SIDE: u32 = 3_840;
const MAX_RATIO: f64 = 3.0;
const MIN_PIXELS: u64 = 655_360;
const MAX_PIXELS: u64 = 8_294_400;

impl Sizes {
    /// Those of the model of this name. Of one that is not known, as newer ones, they are free.
    pub(super) fn of(model: &str) -> Self {
        let name = bare(model);
        match () {
            () if name.starts_with("dall-e-2") => {
                Self::Fixed(&[(256, 256), (512, 512), (1024, 1024)])
            }
            () if name.starts_with("dall-e-3") => {
                Self::Fixed(&[(1024, 1024), (1792, 1024), (1024, 1792)])
            }
            () if name.starts_with("gpt-image-1") || name.starts_with("chatgpt-image") => {
                Self::Fixed(&[(1024, 1024), (1536, 1024), (1024, 1536)])
            }
            () => Self::Free,
        }
    }

    /// The size nearest to `asked` that the model draws: nearest in shape first, then in pixels.
    pub(super) fn nearest(self, asked: (u32, u32)) -> (u32, u32) {
        match self {
            Self::Fixed(sizes) => {
                let distance = |size: &(u32, u32)| {
                    let area = |(w, h): (u32, u32)| f64::from(w) * f64::from(h);
                    let shape = (ratio(*size) / ratio(asked)).ln().abs();
                    // Shapes hardly differ by less than this.
                    ((shape * 1e6).round(), (area(*size) / area(asked)).ln().abs())
                };
                let by_distance =
                    |a: &&(u32, u32), b: &&(u32, u32)| distance(a).partial_cmp(&distance(b));
                let nearest = sizes
                    .iter()
                    .min_by(|a, b| by_distance(a, b).unwrap_or(std::cmp::Ordering::Equal));
                nearest.copied().unwrap_or(asked)
            }
            Self::Free => free(asked),
        }
    }

    /// What the model draws, in words.
    pub(super) fn rule(self) -> String {
        match self {
            Self::Fixed(sizes) => {
                let sizes: Vec<_> = sizes.iter().map(|(w, h)| format!("{w}x{h}")).collect();
                format!("the model draws {}", sizes.join(", "))
            }
            Self::Free => format!(
                "the model draws {MIN_PIXELS} to {MAX_PIXELS} pixels with sides in multiples of \
                 {MULTIPLE} of at most {MAX_SIDE}, from 1:3 to 3:1"
            ),
        }
    }
}

fn ratio((width, height): (u32, u32)) -> f64 {
    f64::from(width) / f64::from(height)
}

fn is_free((width, height): (u32, u32)) -> bool {
    let ratio = ratio((width, height));
    width.is_multiple_of(MULTIPLE)
        && height.is_multiple_of(MULTIPLE)
        && width.max(height) <= MAX_SIDE
        && (1.0 / MAX_RATIO..=MAX_RATIO).contains(&ratio)
        && (MIN_PIXELS..=MAX_PIXELS).contains(&(u64::from(width) * u64::from(height)))
}

/// The size within the bounds whose sides differ least from those of `asked`, scaled into them.
fn free(asked: (u32, u32)) -> (u32, u32) {
    if is_free(asked) {
        return asked;
    }
    let ratio = ratio(asked).clamp(1.0 / MAX_RATIO, MAX_RATIO);
    let pixels = (f64::from(asked.0) * f64::from(asked.1))
        .clamp(MIN_PIXELS as f64, MAX_PIXELS as f64)
        .min(f64::from(MAX_SIDE).powi(2) * ratio.min(1.0 / ratio));
    let (width, height) = ((pixels * ratio).sqrt(), (pixels / ratio).sqrt());
    // Of the sides around these, in steps, the nearest pair that is allowed; there always is one.
    let around = |side: f64| {
        let middle = (side / f64::from(MULTIPLE)).round() as u32;
        (middle.saturating_sub(4).max(1)..=middle + 4).map(|steps| steps * MULTIPLE)
    };
    let off = |(w, h): &(u32, u32)| {
        (f64::from(*w) / width).ln().abs() + (f64::from(*h) / height).ln().abs()
    };
    around(width)
        .flat_map(|w| around(height).map(move |h| (w, h)))
        .filter(|size| is_free(*size))
        .min_by(|a, b| off(a).total_cmp(&off(b)))
        .unwrap_or((SIDE, SIDE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_become_the_nearest_that_the_model_draws() {
        for (model, asked, expected) in [
            ("gpt-image-2", (512, 512), (816, 816)),
            ("gpt-image-2", (64, 64), (816, 816)),
            ("gpt-image-2", (1024, 1024), (1024, 1024)),
            ("gpt-image-2.6-flare", (1920, 1088), (1920, 1088)),
            ("gpt-image-2", (1920, 1080), (1920, 1088)),
            ("gpt-image-2", (3840, 2160), (3840, 2160)),
            ("gpt-image-2", (4096, 4096), (2880, 2880)),
            ("gpt-image-2", (1024, 100), (1408, 480)),
            ("something-newer", (1000, 1000), (1008, 1008)),
            ("gpt-image-1.5", (512, 512), (1024, 1024)),
            ("openai/gpt-image-1-mini", (1920, 1080), (1536, 1024)),
            ("gpt-image-1", (768, 1024), (1024, 1536)),
            ("gpt-image-1", (1000, 1024), (1024, 1024)),
            ("dall-e-2", (300, 310), (256, 256)),
            ("dall-e-3", (1024, 4000), (1024, 1792)),
        ] {
            assert_eq!(Sizes::of(model).nearest(asked), expected, "{model} {asked:?}");
        }
    }

    #[test]
    fn every_size_becomes_one_within_the_bounds() {
        let sides = [1, 15, 16, 100, 480, 512, 819, 1024, 2048, 3840, 3856, 10_000, 16_384];
        for width in sides {
            for height in sides {
                let found = Sizes::Free.nearest((width, height));
                assert!(is_free(found), "{width}x{height}: {found:?}");
            }
        }
    }
}

//! Fifty birds that no model knows, and 200 pictures of them: each species is of one colour.

use imagerag::gallery::Rejected;
use imagerag::gallery::ingest::{Content, Item};
use imagerag::reference::Metadata;
use imagerag::{Image, Result};

/// How many species there are.
pub(crate) const SPECIES: usize = 50;
/// How many pictures of each the gallery has.
const PICTURES: usize = 4;
const FIRST: [&str; 5] = ["tal", "mar", "quin", "ves", "zor"];
const LAST: [&str; 10] = ["abel", "ock", "inda", "ulu", "erry", "oth", "ami", "ix", "une", "ago"];

/// The name of species `n`, from 0 to 49.
pub(crate) fn name(n: usize) -> String {
    format!("{}{}", FIRST[n / LAST.len() % FIRST.len()], LAST[n % LAST.len()])
}

/// The species that `text` names first.
pub(crate) fn named_in(text: &str) -> Option<usize> {
    text.split(|c: char| !c.is_alphanumeric())
        .find_map(|word| (0..SPECIES).find(|&n| name(n) == word))
}

/// A prompt for each species.
pub(crate) fn prompts() -> Vec<String> {
    (0..SPECIES).map(|n| format!("a photo of a {} on a branch", name(n))).collect()
}

/// The pictures of the gallery, drawn.
pub(crate) fn pictures() -> Result<Vec<Result<Item, Rejected>>> {
    let picture = |id: usize| {
        let (n, k) = (id / PICTURES, id % PICTURES);
        // The best picture of each tenth species is overexposed: it takes a second round.
        let saturation = if n % 10 == 2 && k == 0 { 0.5 } else { 1.0 };
        let colour = Colour { hue: hue(n), saturation, value: 1.0 - 0.15 * k as f32 };
        let metadata = Metadata {
            license: Some("CC0-1.0".into()),
            caption: Some(format!("a {}", name(n))),
            ..Metadata::default()
        };
        let content = Content::Image(colour.picture(48, 48)?);
        let item = Item::new(format!("{}-{k}.png", name(n)), content);
        Ok(Ok(item.with_metadata(metadata)))
    };
    (0..SPECIES * PICTURES).map(picture).collect()
}

/// The hue of species `n`, in degrees.
pub(crate) fn hue(n: usize) -> f32 {
    n as f32 * 360.0 / SPECIES as f32
}

/// A colour by hue, in degrees, saturation and value, in [0, 1].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colour {
    pub(crate) hue: f32,
    pub(crate) saturation: f32,
    pub(crate) value: f32,
}

impl Colour {
    /// The mean colour of `images`, of which there is one or more.
    pub(crate) fn of(images: &[Image]) -> Self {
        let mut sums = [0.0f32; 3];
        let mut count = 0.0;
        for pixel in images.iter().flat_map(|image| image.pixels().chunks_exact(3)) {
            count += 255.0;
            for (sum, byte) in sums.iter_mut().zip(pixel) {
                *sum += f32::from(*byte);
            }
        }
        let [r, g, b] = sums.map(|sum| sum / f32::max(count, 1.0));
        let (value, least) = (r.max(g).max(b), r.min(g).min(b));
        let range = (value - least).max(f32::EPSILON);
        let sector = match value {
            v if v == r => (g - b) / range,
            v if v == g => (b - r) / range + 2.0,
            _ => (r - g) / range + 4.0,
        };
        let saturation = (value - least) / value.max(f32::EPSILON);
        Self { hue: (sector * 60.0).rem_euclid(360.0), saturation, value }
    }

    /// A picture of this colour.
    pub(crate) fn picture(self, width: u32, height: u32) -> Result<Image> {
        let channel = |offset: f32| {
            let k = (offset + self.hue / 60.0).rem_euclid(6.0);
            let share = self.value * (1.0 - self.saturation * k.min(4.0 - k).clamp(0.0, 1.0));
            (share * 255.0).round() as u8
        };
        let rgb = [channel(5.0), channel(3.0), channel(1.0)];
        Image::new(width, height, rgb.repeat(width as usize * height as usize))
    }

    /// Whether it is that of species `n`, and not pale.
    pub(crate) fn shows(self, n: usize) -> bool {
        let apart = (self.hue - hue(n)).rem_euclid(360.0);
        self.saturation >= 0.3 && apart.min(360.0 - apart) < 180.0 / SPECIES as f32
    }
}

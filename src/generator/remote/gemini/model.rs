//! [`Model`]: a model's name to what it draws, and a size in pixels to the nearest of it.

/// What a model takes and draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Model {
    /// The most references of a request.
    pub(super) references: usize,
    ratios: &'static [&'static str],
    /// Each with a side of its square in pixels. None for a model of one size, which is not told it.
    sizes: &'static [(&'static str, u32)],
}

/// The aspect ratios of every model, then those of the newer ones alone.
const RATIOS: [&str; 14] = [
    "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "1:4", "4:1", "1:8",
    "8:1",
];
const FIRST_RATIOS: &[&str] = RATIOS.split_at(10).0;
const SIZES: [(&str, u32); 4] = [("512", 512), ("1K", 1024), ("2K", 2048), ("4K", 4096)];

impl Model {
    /// The model of this name, whatever a gateway puts before or behind it. One that is not known
    /// is taken for a newer one than those that are. From Google's guide of image generation and of
    /// Vertex AI, and what clients check.
    pub(super) fn of(name: &str) -> Self {
        let newest = Self { references: 14, ratios: &RATIOS, sizes: &SIZES };
        let name = name.to_ascii_lowercase();
        match () {
            () if name.contains("2.5-flash-image") => {
                Self { references: 3, ratios: FIRST_RATIOS, sizes: &[] }
            }
            () if name.contains("3-pro-image") => {
                Self { ratios: FIRST_RATIOS, sizes: SIZES.split_at(1).1, ..newest }
            }
            () if name.contains("flash-lite-image") => Self { sizes: &[], ..newest },
            () => newest,
        }
    }

    /// The aspect ratio nearest to an image of this width and height.
    pub(super) fn nearest_ratio(&self, width: u32, height: u32) -> &'static str {
        let asked = f64::from(width) / f64::from(height);
        let distance =
            |name: &str| ratio(name).map_or(f64::INFINITY, |ratio| (ratio / asked).ln().abs());
        let nearer = |a: &&&str, b: &&&str| distance(a).total_cmp(&distance(b));
        self.ratios.iter().min_by(nearer).copied().unwrap_or("1:1")
    }

    /// The size nearest in area; `None` where the model draws only one.
    pub(super) fn nearest_size(&self, width: u32, height: u32) -> Option<&'static str> {
        let asked = (f64::from(width) * f64::from(height)).sqrt();
        let distance = |side: u32| (f64::from(side) / asked).ln().abs();
        let nearer = |a: &&(&str, u32), b: &&(&str, u32)| distance(a.1).total_cmp(&distance(b.1));
        self.sizes.iter().min_by(nearer).map(|(name, _)| *name)
    }
}

/// `16:9` as a number; `None` of what is no ratio.
pub(super) fn ratio(name: &str) -> Option<f64> {
    let (width, height) = name.split_once(':')?;
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| *side > 0).map(f64::from);
    Some(side(width)? / side(height)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_their_names() {
        for (name, references, size, ratio) in [
            ("gemini-2.5-flash-image", 3, None, "21:9"),
            ("gemini-2.5-flash-image-preview", 3, None, "21:9"),
            ("google/gemini-2.5-flash-image", 3, None, "21:9"),
            ("gemini-3-pro-image", 14, Some("1K"), "21:9"),
            ("gemini-3-pro-image-preview", 14, Some("1K"), "21:9"),
            ("gemini-3.1-flash-lite-image", 14, None, "8:1"),
            ("gemini-3.1-flash-image", 14, Some("512"), "8:1"),
            ("gemini-nano-banana-2.1", 14, Some("512"), "8:1"),
            ("gemini-9-image", 14, Some("512"), "8:1"),
        ] {
            let model = Model::of(name);
            assert_eq!(model.references, references, "{name}");
            assert_eq!(model.nearest_size(500, 500), size, "{name}");
            assert_eq!(model.nearest_ratio(1600, 200), ratio, "{name}");
        }
    }

    #[test]
    fn the_nearest_shape_and_area_are_chosen() {
        let model = Model::of("gemini-3.1-flash-image");
        for ((width, height), ratio, size) in [
            ((1024, 1024), "1:1", "1K"),
            ((1, 1), "1:1", "512"),
            ((16_384, 16_384), "1:1", "4K"),
            ((1920, 1080), "16:9", "1K"),
            ((1080, 1920), "9:16", "1K"),
            ((1344, 768), "16:9", "1K"),
            ((3840, 2160), "16:9", "2K"),
            ((768, 1024), "3:4", "1K"),
            ((512, 640), "4:5", "512"),
            ((16_384, 1), "8:1", "512"),
            ((1, 16_384), "1:8", "512"),
            ((800, 200), "4:1", "512"),
        ] {
            assert_eq!(model.nearest_ratio(width, height), ratio, "{width}x{height}");
            assert_eq!(model.nearest_size(width, height), Some(size), "{width}x{height}");
        }
        assert_eq!(Model::of("gemini-3-pro-image").nearest_ratio(800, 200), "21:9");
        for nonsense in ["", "16", "16:", ":9", "0:1", "a:b", "16:9:1", "-1:2"] {
            assert_eq!(super::ratio(nonsense), None, "{nonsense}");
        }
    }
}

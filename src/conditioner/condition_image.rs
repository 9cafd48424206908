//! [`ConditionImage`]: a reference that a generator encodes into its own token sequence, with the
//! position of its tokens.

use std::ops::Range;
#[cfg(feature = "tch")]
use std::path::Path;

use crate::Result;
use crate::error::require;
use crate::image::Image;
use crate::named::named;

/// Pixels a side of one token where nothing else is said: FLUX.1's VAE has 8 for each latent, and a
/// token holds 2 x 2 latents.
pub(crate) const PIXELS_PER_TOKEN: u32 = 16;
/// The farthest that tokens are moved, in tokens: the side of the largest image.
const MAX_DELTA: i32 = 1024;

/// A reference image that the generator encodes into its own token sequence (OminiControl).
///
/// ```
/// use imagerag::Image;
/// use imagerag::conditioner::{ConditionImage, ConditionLatents, Conditioning};
///
/// let picture = Image::new(512, 512, vec![90; 512 * 512 * 3])?;
/// let mut condition = ConditionImage::new("subject_512", picture);
/// condition.position_delta = (0, 32); // To the right of an image of 512 pixels.
/// condition.latents = ConditionLatents::Mean; // The same for every seed.
/// condition.validate()?;
///
/// let conditioning = Conditioning::Condition(condition);
/// assert!(conditioning.warnings(512, 512).is_empty());
/// // In a larger image these positions belong to the image itself.
/// assert_eq!(conditioning.warnings(1024, 1024).len(), 1);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConditionImage {
    /// The name of the adapter (LoRA) in the generator that reads it.
    pub adapter: String,
    /// The picture, in the size in which it is encoded. Its sides are multiples of
    /// `pixels_per_token`.
    pub image: Image,
    /// The side of one token in pixels, at least 1; 16 in FLUX.1. It must equal the generator's.
    pub pixels_per_token: u32,
    /// The offset (rows, columns) of its position ids from those of the generated image, in tokens,
    /// each in [-1024, 1024]. Use what the adapter was trained with: with (0, 32), the condition is
    /// to the right of an image of 512 pixels.
    pub position_delta: (i32, i32),
    /// The factor of its position ids, applied after the offset; above 0, 1 changes nothing. A
    /// condition of half the size that covers the whole image has 2.
    pub position_scale: f64,
    /// How strongly condition and image attend to each other: 0 means not at all, 1 as trained;
    /// more than 1 strengthens. Its logarithm is added to the attention logits between the
    /// condition's tokens and all others, in both directions.
    pub strength: f64,
    /// Which latents the VAE makes of the picture.
    pub latents: ConditionLatents,
    /// Whether the condition attends only to itself. Then its keys and values are computed once and
    /// not at every step. Set it only for adapters that were trained so (`independent_condition`);
    /// the released subject adapters were not.
    pub independent: bool,
}

/// Which latents of a condition image enter the sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConditionLatents {
    /// A sample from the VAE's posterior, as in OminiControl's program. Its noise is drawn with the
    /// request's seed, right after the image's starting noise.
    #[default]
    Sample,
    /// The mean of the VAE's posterior, for every seed.
    Mean,
}

/// The name of the adapter in `file`: the file's, without folder and ending. A name is its own.
#[cfg(feature = "tch")]
pub(crate) fn adapter_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    name.strip_suffix(".safetensors").unwrap_or(&name).to_owned()
}

named!(ConditionLatents, "condition latents", { Sample: "sample", Mean: "mean" });

impl ConditionImage {
    /// `image` for `adapter` at the position of the generated image, with strength 1 and sampled
    /// latents.
    pub fn new(adapter: impl Into<String>, image: Image) -> Self {
        Self {
            adapter: adapter.into(),
            image,
            pixels_per_token: PIXELS_PER_TOKEN,
            position_delta: (0, 0),
            position_scale: 1.0,
            strength: 1.0,
            latents: ConditionLatents::default(),
            independent: false,
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) that names what is out of range: sides that are
    /// no whole tokens, a delta of more than 1,024 tokens, a scale that is not above 0, a strength that is
    /// negative, or one of both that is not finite.
    pub fn validate(&self) -> Result<()> {
        let pixels = self.pixels_per_token;
        require(pixels > 0, "pixels of a token", "at least 1", pixels)?;
        for (what, side) in [("width", self.image.width()), ("height", self.image.height())] {
            let what = format!("{what} of the condition image");
            require(side.is_multiple_of(pixels), what, format!("a multiple of {pixels}"), side)?;
        }
        let (rows, columns) = self.position_delta;
        let fits = [rows, columns].iter().all(|delta| (-MAX_DELTA..=MAX_DELTA).contains(delta));
        let expected = format!("rows and columns of -{MAX_DELTA} to {MAX_DELTA} tokens");
        require(fits, "position delta", expected, format!("{rows},{columns}"))?;
        let scale = self.position_scale;
        let fits = scale.is_finite() && scale > 0.0;
        require(fits, "position scale", "a finite number above 0", scale)?;
        let fits = (0.0..f64::INFINITY).contains(&self.strength);
        let expected = "a finite number of at least 0";
        require(fits, "strength of the condition", expected, self.strength)
    }

    /// A warning where tokens of this image stand at positions of the generated image of `width` x
    /// `height` pixels: adapters for subjects are trained with both side by side.
    pub(crate) fn collision(&self, width: u32, height: u32) -> Option<String> {
        let ((rows, columns), scale) = (self.position_delta, self.position_scale);
        let tokens = |side: u32| f64::from(side / self.pixels_per_token.max(1));
        // First and last position, as the generator moves and stretches them.
        let span = |delta: i32, side| {
            let place = |at| (at + f64::from(delta)) * scale + (scale - 1.0) / 2.0;
            place(0.0)..place(tokens(side) - 1.0)
        };
        let meets = |span: Range<f64>, side| span.start <= tokens(side) - 1.0 && span.end >= 0.0;
        let meet = meets(span(rows, self.image.height()), height)
            && meets(span(columns, self.image.width()), width);
        meet.then(|| {
            format!(
                "position delta {rows},{columns} puts tokens of the {}x{} condition on positions of \
                 the {width}x{height} image",
                self.image.width(),
                self.image.height(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(width: u32, height: u32) -> ConditionImage {
        let image = Image::new(width, height, vec![0; (3 * width * height) as usize]);
        ConditionImage::new("subject", image.unwrap())
    }

    #[test]
    fn values_out_of_range_are_named() {
        assert!(condition(48, 32).validate().is_ok());
        let changed = |change: &dyn Fn(&mut ConditionImage)| {
            let mut condition = condition(48, 32);
            change(&mut condition);
            condition.validate().unwrap_err().to_string()
        };
        for (error, words) in [
            (condition(40, 32).validate().unwrap_err().to_string(), "width of the condition image"),
            (condition(48, 8).validate().unwrap_err().to_string(), "a multiple of 16, found 8"),
            (changed(&|c| c.pixels_per_token = 0), "pixels of a token"),
            (changed(&|c| c.pixels_per_token = 24), "height of the condition image"),
            (changed(&|c| c.position_delta = (0, 2000)), "position delta"),
            (changed(&|c| c.position_delta = (i32::MIN, 0)), "position delta"),
            (changed(&|c| c.position_scale = 0.0), "position scale"),
            (changed(&|c| c.position_scale = f64::INFINITY), "position scale"),
            (changed(&|c| c.strength = -0.5), "strength of the condition"),
            (changed(&|c| c.strength = f64::NAN), "strength of the condition"),
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn names_read_back() {
        for latents in [ConditionLatents::Sample, ConditionLatents::Mean] {
            assert_eq!(latents.to_string().parse::<ConditionLatents>().unwrap(), latents);
        }
        let error = "mode".parse::<ConditionLatents>().unwrap_err().to_string();
        assert_eq!(error, "condition latents: expected sample or mean, found mode");
    }

    #[test]
    fn a_delta_that_puts_tokens_on_the_image_is_told() {
        let collides = |delta, scale, (width, height)| {
            let mut condition = condition(512, 256);
            (condition.position_delta, condition.position_scale) = (delta, scale);
            condition.collision(width, height)
        };
        assert_eq!(collides((0, 32), 1.0, (512, 512)), None);
        assert_eq!(collides((0, -32), 1.0, (1024, 1024)), None);
        assert_eq!(collides((-16, 0), 1.0, (1024, 1024)), None);
        assert_eq!(
            collides((0, 32), 1.0, (1024, 768)).unwrap(),
            "position delta 0,32 puts tokens of the 512x256 condition on positions of the 1024x768 \
             image"
        );
        assert!(collides((-15, 0), 1.0, (512, 512)).is_some());
        // Stretched, the last column stands at (31 - 32) * 2 + 0.5.
        assert_eq!(collides((0, -32), 2.0, (512, 512)), None);
        assert!(collides((0, -31), 2.0, (512, 512)).is_some());
    }
}

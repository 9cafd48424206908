//! [`Conditioning`]: what passes from a [`Conditioner`](super::Conditioner) to a generator.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::ConditionImage;
use crate::error::require;
use crate::image::Image;
use crate::{Error, Result};

/// References in the form that a generator consumes.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Conditioning {
    /// No reference: the prompt alone.
    #[default]
    None,
    /// The images themselves, in the order in which the prompt names them.
    Images(Vec<Image>),
    /// Tokens that an image encoder made of the references.
    Tokens(ImageTokens),
    /// One reference that the generator encodes into its own token sequence.
    Condition(ConditionImage),
}

impl Conditioning {
    /// The kind that a generator's `accepts` is compared with.
    pub fn kind(&self) -> ConditioningKind {
        match self {
            Self::None => ConditioningKind::None,
            Self::Images(_) => ConditioningKind::Images,
            Self::Tokens(tokens) => ConditioningKind::Tokens { space: tokens.space.clone() },
            Self::Condition(condition) => {
                ConditioningKind::Condition { adapter: condition.adapter.clone() }
            }
        }
    }

    /// Checks every number that can be checked without knowing the generator.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that names what is out of range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::None | Self::Images(_) => Ok(()),
            Self::Tokens(tokens) => tokens.strength.validate(),
            Self::Condition(condition) => condition.validate(),
        }
    }

    /// Warnings, in words, about what is probably a mistake in an image of `width` x `height`
    /// pixels. The pipeline puts them into the trace.
    pub fn warnings(&self, width: u32, height: u32) -> Vec<String> {
        match self {
            Self::Condition(condition) => condition.collision(width, height).into_iter().collect(),
            Self::None | Self::Images(_) | Self::Tokens(_) => Vec::new(),
        }
    }
}

/// A form of conditioning, as conditioners produce it and generators accept it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConditioningKind {
    /// The prompt alone.
    None,
    /// The reference images themselves.
    Images,
    /// Tokens of one embedding space.
    Tokens {
        /// The name of the encoder and adapter that the tokens belong to. Two spaces fit if their
        /// names are equal.
        space: String,
    },
    /// One image in the generator's own token sequence.
    Condition {
        /// The name of the adapter that reads it. Two kinds fit if these names are equal.
        adapter: String,
    },
}

impl fmt::Display for ConditioningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no conditioning"),
            Self::Images => f.write_str("images"),
            Self::Tokens { space } => write!(f, "tokens of {space}"),
            Self::Condition { adapter } => write!(f, "a condition image for {adapter}"),
        }
    }
}

/// Tokens of reference images, with how strongly and when they act.
///
/// ```
/// use imagerag::conditioner::{Conditioning, ImageTokens};
///
/// // Two tokens of three values, from an encoder of your own.
/// let data = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
/// let mut tokens = ImageTokens::new("my-encoder", 2, 3, data, [0.0; 6])?;
/// tokens.strength.scale = 0.5; // Half as strong as trained,
/// tokens.strength.end = 0.8; // and not in the last fifth of the steps.
///
/// let conditioning = Conditioning::Tokens(tokens);
/// conditioning.validate()?;
/// assert_eq!(conditioning.kind().to_string(), "tokens of my-encoder");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ImageTokens {
    /// The embedding space; see [`ConditioningKind::Tokens`].
    pub space: String,
    /// Number of tokens of all references, which are concatenated.
    pub tokens: usize,
    /// Number of values of a token.
    pub dim: usize,
    /// `[tokens, dim]`, row by row.
    pub data: Arc<[f32]>,
    /// The same shape for the unconditional branch of guidance.
    pub negative: Arc<[f32]>,
    /// How strongly and when the tokens act.
    pub strength: Strength,
}

impl ImageTokens {
    /// Tokens `[tokens, dim]` with the default [`Strength`], and those of the unconditional branch.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when a length is not `tokens · dim` or a value is not finite.
    pub fn new(
        space: impl Into<String>,
        tokens: usize,
        dim: usize,
        data: impl Into<Arc<[f32]>>,
        negative: impl Into<Arc<[f32]>>,
    ) -> Result<Self> {
        let (data, negative) = (data.into(), negative.into());
        for (what, values) in [("image tokens", &data), ("negative image tokens", &negative)] {
            let expected = format!("{tokens} x {dim} = {} values", tokens * dim);
            let fits = values.len() == tokens * dim;
            require(fits, what, expected, format!("{} values", values.len()))?;
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(Error::invalid_input(what, "finite values", value));
            }
        }
        Ok(Self { space: space.into(), tokens, dim, data, negative, strength: Strength::default() })
    }
}

/// How strongly references act, where in the network, and during which steps.
///
/// ```
/// use imagerag::conditioner::Strength;
///
/// // Style without layout, as InstantStyle does: one block of SDXL reads the references.
/// // `IpAdapter::with_strength` takes it.
/// let mut style = Strength::default();
/// style.per_block.insert("up_blocks.0.attentions.1".into(), 1.0);
/// style.validate()?;
/// let layer = |block: &str| format!("{block}.transformer_blocks.0.attn2");
/// assert_eq!(style.scale_of(&layer("up_blocks.0.attentions.1")), 1.0);
/// assert_eq!(style.scale_of(&layer("down_blocks.2.attentions.0")), 0.0);
///
/// // Only in the first half of the steps, when the layout is decided.
/// let mut layout = Strength::new(0.7);
/// layout.end = 0.5;
/// assert!(layout.acts_in(0, 50) && !layout.acts_in(49, 50));
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Strength {
    /// Weight of the references' attention (diffusers' `ip_adapter_scale`): 0 means none, 1 as
    /// trained. The paper uses 0.5.
    pub scale: f64,
    /// Weights of single blocks in place of `scale`, by the block's dotted name or a prefix of it:
    /// `down_blocks.2`, `up_blocks.0.attentions.1`, `mid_block`. The longest prefix that matches
    /// counts. Where the map is not empty, blocks that no entry names get 0, as diffusers'
    /// `set_ip_adapter_scale` does with a dictionary.
    pub per_block: BTreeMap<String, f64>,
    /// The fraction of the steps after which the references begin to act, in [0, 1].
    pub start: f64,
    /// The fraction of the steps after which they stop acting, in [0, 1].
    pub end: f64,
}

impl Default for Strength {
    fn default() -> Self {
        Self { scale: 1.0, per_block: BTreeMap::new(), start: 0.0, end: 1.0 }
    }
}

impl Strength {
    /// The same weight `scale` everywhere and at every step.
    pub fn new(scale: f64) -> Self {
        Self { scale, ..Self::default() }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when a weight is not finite, or `start` and `end` are not in order
    /// within [0, 1].
    pub fn validate(&self) -> Result<()> {
        let weights = std::iter::once(("conditioning scale".to_owned(), self.scale)).chain(
            self.per_block.iter().map(|(block, scale)| (format!("scale of {block}"), *scale)),
        );
        for (what, scale) in weights {
            require(scale.is_finite(), what, "a finite number", scale)?;
        }
        let (start, end) = (self.start, self.end);
        let (fits, what) =
            (0.0 <= start && start <= end && end <= 1.0, "start and end of the conditioning");
        require(fits, what, "0 <= start <= end <= 1", format!("{start} and {end}"))
    }

    /// The weight of the attention layer called `layer`, such as
    /// `down_blocks.1.attentions.0.transformer_blocks.0.attn2`.
    pub fn scale_of(&self, layer: &str) -> f64 {
        if self.per_block.is_empty() {
            return self.scale;
        }
        let matches = |block: &str| {
            let rest = layer.strip_prefix(block);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let matching = self.per_block.iter().filter(|(block, _)| matches(block));
        matching.max_by_key(|(block, _)| block.len()).map_or(0.0, |(_, scale)| *scale)
    }

    /// Whether the references act in step `index` (from 0) of `total`.
    pub fn acts_in(&self, index: usize, total: usize) -> bool {
        let total = total as f64;
        index as f64 / total >= self.start && (index + 1) as f64 / total <= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_named_block_counts_and_unnamed_blocks_are_off() {
        let mut strength = Strength::new(0.5);
        assert_eq!(strength.scale_of("mid_block.attentions.0"), 0.5);
        strength.per_block.insert("up_blocks.0".into(), 0.2);
        strength.per_block.insert("up_blocks.0.attentions.1".into(), 1.0);
        assert_eq!(strength.scale_of("up_blocks.0.attentions.1.transformer_blocks.0.attn2"), 1.0);
        assert_eq!(strength.scale_of("up_blocks.0.attentions.10"), 0.2);
        assert_eq!(strength.scale_of("mid_block.attentions.0"), 0.0);
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let strength = Strength { start: 0.8, end: 0.2, ..Strength::default() };
        assert!(strength.validate().unwrap_err().to_string().contains("0.8 and 0.2"));
        assert!(Strength::new(f64::NAN).validate().is_err());
        assert!(ImageTokens::new("s", 1, 2, vec![0.0; 3], vec![0.0; 2]).is_err());
        assert!(ImageTokens::new("s", 1, 1, vec![f32::NAN], vec![0.0]).is_err());
    }

    #[test]
    fn start_and_end_choose_the_steps() {
        let strength = Strength { start: 0.5, end: 1.0, ..Strength::default() };
        let acting: Vec<_> = (0..4).filter(|&step| strength.acts_in(step, 4)).collect();
        assert_eq!(acting, [2, 3]);
    }
}

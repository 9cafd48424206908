//! [`Usage`]: what calls of paid services used, and [`Price`], what that costs.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// What a call of a model used: tokens that were read and written, images that were drawn.
///
/// ```
/// use imagerag::{Price, Usage};
///
/// let usage: Usage = [Usage::tokens(1_200, 40), Usage::tokens(900, 8), Usage::images(1)].iter().sum();
/// assert_eq!(usage.to_string(), "2100 + 48 tokens, 1 image");
///
/// let price = Price { per_million_prompt_tokens: 2.5, per_image: 0.04, ..Price::default() };
/// assert!((usage.cost(&price) - 0.045_25).abs() < 1e-9);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the request, pictures included.
    pub prompt_tokens: u64,
    /// Tokens of the reply.
    pub completion_tokens: u64,
    /// Images that a paid service drew.
    pub images: u64,
}

impl Usage {
    /// Tokens that were read and written.
    pub const fn tokens(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self { prompt_tokens, completion_tokens, images: 0 }
    }

    /// Images that were drawn.
    pub const fn images(images: u64) -> Self {
        Self { prompt_tokens: 0, completion_tokens: 0, images }
    }

    /// What it costs, in the currency of `price`.
    pub fn cost(&self, price: &Price) -> f64 {
        const MILLION: f64 = 1e6;
        self.prompt_tokens as f64 / MILLION * price.per_million_prompt_tokens
            + self.completion_tokens as f64 / MILLION * price.per_million_completion_tokens
            + self.images as f64 * price.per_image
    }
}

/// What a model costs, in a currency of your choice. The default is free.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Price {
    /// For a million tokens of requests.
    pub per_million_prompt_tokens: f64,
    /// For a million tokens of replies.
    pub per_million_completion_tokens: f64,
    /// For an image.
    pub per_image: f64,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            images: self.images.saturating_add(other.images),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl<'a> Sum<&'a Self> for Usage {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.copied().sum()
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prompt_tokens, completion_tokens, images } = self;
        let tokens = format!("{prompt_tokens} + {completion_tokens} tokens");
        let images = match images {
            1 => "1 image".to_owned(),
            n => format!("{n} images"),
        };
        match (prompt_tokens.saturating_add(*completion_tokens) > 0, self.images > 0) {
            (true, true) => write!(f, "{tokens}, {images}"),
            (false, true) => f.write_str(&images),
            (_, false) => f.write_str(&tokens),
        }
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    #[test]
    fn a_price_from_a_file_may_hold_only_what_differs_and_nothing_else() {
        let price: Price = serde_json::from_str(r#"{"per_image": 0.04}"#).unwrap();
        assert_eq!(price, Price { per_image: 0.04, ..Price::default() });
        let json = serde_json::to_string(&price).unwrap();
        assert_eq!(serde_json::from_str::<Price>(&json).unwrap(), price);
        let error = serde_json::from_str::<Price>(r#"{"per_picture": 0.04}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `per_picture`"), "{error}");
    }
}

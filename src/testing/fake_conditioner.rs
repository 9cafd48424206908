//! [`FakeConditioner`]: tokens that are the references' mean colours.

use std::fmt;

use async_trait::async_trait;

use crate::conditioner::{
    Conditioned, Conditioner, Conditioning, ConditioningKind, ImageTokens, PromptTemplate,
    check_references,
};
use crate::retriever::Reference;
use crate::{Image, Result};

/// One token of three values a reference, in a space of its own.
#[derive(Clone, Debug)]
pub struct FakeConditioner {
    space: String,
    capacity: usize,
}

impl FakeConditioner {
    /// Tokens of `space`, from up to `capacity` references.
    pub fn new(space: impl Into<String>, capacity: usize) -> Self {
        Self { space: space.into(), capacity }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Conditioner for FakeConditioner {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Tokens { space: self.space.clone() }
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    async fn condition(&self, prompt: &str, references: &[Reference]) -> Result<Conditioned> {
        check_references(self, references)?;
        let captions: Vec<&str> = references.iter().map(|r| r.caption.text.as_str()).collect();
        let data: Vec<f32> = references.iter().flat_map(|r| mean_colour(&r.image)).collect();
        let negative = vec![0.0; data.len()];
        let tokens = ImageTokens::new(&self.space, references.len(), 3, data, negative)?;
        Ok(Conditioned {
            prompt: PromptTemplate::Examples.apply(prompt, &captions, &[]),
            conditioning: Conditioning::Tokens(tokens),
        })
    }
}

/// Mean of red, green and blue, in [0, 1].
pub(super) fn mean_colour(image: &Image) -> [f32; 3] {
    let mut sums = [0.0f64; 3];
    for pixel in image.pixels().chunks_exact(3) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += f64::from(*value);
        }
    }
    let pixels = f64::from(image.width()) * f64::from(image.height());
    sums.map(|sum| (sum / pixels / 255.0) as f32)
}

impl fmt::Display for FakeConditioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeConditioner({}, {})", self.space, self.capacity)
    }
}

//! [`FakeConditioner`]: references to tokens that are their mean colours, or to one condition image.

use std::fmt;

use async_trait::async_trait;

use crate::conditioner::{
    ConditionImage, ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind,
    ImageTokens, PromptTemplate,
};
use crate::reference::images;
use crate::{Image, Result};

/// One token of three values a reference, in a space of its own; or one reference as it is.
#[derive(Clone, Debug)]
pub struct FakeConditioner {
    gives: Gives,
    capacity: usize,
}

/// What it makes of references, with the space or the adapter that it is for.
#[derive(Clone, Debug)]
enum Gives {
    Tokens(String),
    Condition(String),
}

impl FakeConditioner {
    /// Tokens of `space`, from up to `capacity` references.
    pub fn new(space: impl Into<String>, capacity: usize) -> Self {
        Self { gives: Gives::Tokens(space.into()), capacity }
    }

    /// One reference as the condition image of `adapter`, where the generated image itself stands.
    pub fn condition_image(adapter: impl Into<String>) -> Self {
        Self { gives: Gives::Condition(adapter.into()), capacity: 1 }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Conditioner for FakeConditioner {
    fn produces(&self) -> ConditioningKind {
        match &self.gives {
            Gives::Tokens(space) => ConditioningKind::Tokens { space: space.clone() },
            Gives::Condition(adapter) => ConditioningKind::Condition { adapter: adapter.clone() },
        }
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        let references = &request.references;
        request.validate(self)?;
        let conditioning = match &self.gives {
            Gives::Tokens(space) => {
                let images = images(references).await?;
                let data: Vec<f32> = images.iter().flat_map(mean_colour).collect();
                let negative = vec![0.0; data.len()];
                let tokens = ImageTokens::new(space, references.len(), 3, data, negative)?;
                Conditioning::Tokens(tokens)
            }
            Gives::Condition(adapter) => {
                let image = references[0].image().await?;
                Conditioning::Condition(ConditionImage::new(adapter, image))
            }
        };
        Ok(Conditioned {
            prompt: PromptTemplate::Examples.apply(&request.prompt, references, &[]),
            conditioning,
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
        let (Gives::Tokens(name) | Gives::Condition(name)) = &self.gives;
        write!(f, "FakeConditioner({name}, {})", self.capacity)
    }
}

//! [`Metric`]: pictures, with what was asked for, to numbers.

mod fingerprint;

use std::fmt::{Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;

use super::dataset::{Class, RealImage};
use crate::forward::forward_part;
use crate::image::Image;
use crate::vlm::Exchange;
use crate::{Result, Usage};

pub use fingerprint::Fingerprint;

/// Gives each picture a number. `Display` is the column's name in tables, such as `CLIP`.
#[async_trait]
pub trait Metric: Display + Debug + Send + Sync + 'static {
    /// How the number is computed. Two metrics with equal fingerprints give equal numbers.
    fn fingerprint(&self) -> Fingerprint;

    /// Whether it compares with real images ([`Subject::real_images`]).
    fn needs_real_images(&self) -> bool {
        false
    }

    /// Whether more is better.
    fn higher_is_better(&self) -> bool {
        true
    }

    /// How many decimals tables show.
    fn decimals(&self) -> usize {
        3
    }

    /// How many questions to a service one score takes.
    fn calls_per_score(&self) -> u64 {
        0
    }

    /// One score for each of `subjects`, in their order. What concerns a single picture, such as a
    /// judge that refuses it, is an [`Outcome`] of its score.
    ///
    /// # Errors
    /// When nothing can be scored, such as [`Error::Unavailable`](crate::Error::Unavailable).
    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>>;
}

forward_part!(Metric {
    fn fingerprint(&self) -> Fingerprint {
        (**self).fingerprint()
    }
    fn needs_real_images(&self) -> bool {
        (**self).needs_real_images()
    }
    fn higher_is_better(&self) -> bool {
        (**self).higher_is_better()
    }
    fn decimals(&self) -> usize {
        (**self).decimals()
    }
    fn calls_per_score(&self) -> u64 {
        (**self).calls_per_score()
    }
    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        (**self).score(subjects).await
    }
});

/// A picture that a system drew, and what it was asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subject {
    /// The picture.
    pub image: Image,
    /// What the system was asked for: the prompt of the item, never the one that a VLM made of it.
    pub prompt: String,
    /// The class that the prompt asks for; its images are in `real_images`.
    pub class: Option<Arc<Class>>,
    /// What it is compared with: real images of the class or of the item.
    pub real_images: Arc<[RealImage]>,
}

impl Subject {
    /// A picture and its prompt.
    pub fn new(image: Image, prompt: impl Into<String>) -> Self {
        Self { image, prompt: prompt.into(), class: None, real_images: Arc::default() }
    }

    /// The same with the class that it should show.
    #[must_use]
    pub fn with_class(mut self, class: Arc<Class>) -> Self {
        self.class = Some(class);
        self
    }

    /// The same with the images that it is compared with.
    #[must_use]
    pub fn with_real_images(mut self, images: impl Into<Arc<[RealImage]>>) -> Self {
        self.real_images = images.into();
        self
    }
}

/// What a metric says of one picture.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// The number, or why there is none.
    pub outcome: Outcome,
    /// The questions to a judge and its answers.
    pub exchanges: Vec<Exchange>,
    /// What the judge used, where its service says.
    pub usage: Option<Usage>,
}

/// A number, or why there is none.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Outcome {
    /// The number; it is finite.
    Value(f64),
    /// The metric does not apply, such as a comparison with real images where there are none.
    NotApplicable(String),
    /// The judge refused.
    Refused(String),
    /// It failed: an answer that makes no sense, a number that is not finite, a service that is down.
    Failed(String),
}

impl Score {
    /// A number. One that is not finite is a failure, so that it is never averaged.
    pub fn value(value: f64) -> Self {
        match value.is_finite() {
            true => Outcome::Value(value).into(),
            false => Outcome::Failed(format!("expected a finite number, found {value}")).into(),
        }
    }

    /// The same with what was said.
    #[must_use]
    pub fn with_exchanges(mut self, exchanges: Vec<Exchange>) -> Self {
        self.usage = exchanges.iter().filter_map(|exchange| exchange.usage).reduce(|a, b| a + b);
        self.exchanges = exchanges;
        self
    }
}

impl From<Outcome> for Score {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, exchanges: Vec::new(), usage: None }
    }
}

//! [`Metric`]: pictures, with what was asked for, to numbers.
//!
//! | metric | compares a picture with | by |
//! |---|---|---|
//! | [`TextSimilarity`] (CLIP, SigLIP, CLIP-T, CLIPScore) | the prompt or the class's name | any [`Embedder`](crate::Embedder) |
//! | [`ImageSimilarity`] (DINO, CLIP-I) | real images | any [`ImageEmbedder`](crate::embedder::ImageEmbedder) |
//! | [`Judge`] (GPTScore, K-Score, VIEScore, your own [`Rubric`]) | the prompt, or real images | any [`Vlm`](crate::Vlm) |
//! | [`VqaScore`] | the prompt | a [`Vlm`](crate::Vlm) that gives log-probabilities |
//!
//! [`diversity`] and [`kid`] are numbers of many pictures together, and so no metrics of one picture.

mod cosine;
mod diversity;
mod fingerprint;
mod hashes;
mod image_similarity;
mod judge;
mod kid;
mod run_means;
mod text_similarity;
mod vqa_score;

use std::fmt::{Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;

use super::dataset::{Class, RealImage};
use crate::forward::forward_part;
use crate::image::Image;
use crate::reference::Picture;
use crate::vlm::Exchange;
use crate::{Error, Result, Usage};

pub use diversity::diversity;
pub use fingerprint::Fingerprint;
pub use hashes::{picture_hash, weights_hash};
pub use image_similarity::{ImageSimilarity, Reduction};
pub use judge::{Combine, Criterion, Judge, Rubric, Scale};
pub use kid::kid;
pub use run_means::run_means;
pub use text_similarity::{ComparedText, TextFormula, TextSimilarity};
pub use vqa_score::VqaScore;

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
    /// When nothing can be scored, such as [`Error::Unavailable`].
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
    /// The [`picture_hash`] of each picture that it must not be compared with: the references that it was
    /// drawn from. What a system has copied would otherwise be measured against itself.
    pub excluded: Vec<String>,
    /// Those references themselves. [`ImageSimilarity`] leaves out what is all but one of them too.
    pub references: Vec<Picture>,
}

impl Subject {
    /// A picture and its prompt.
    pub fn new(image: Image, prompt: impl Into<String>) -> Self {
        let (prompt, real_images) = (prompt.into(), Arc::default());
        let (excluded, references) = (Vec::new(), Vec::new());
        Self { image, prompt, class: None, real_images, excluded, references }
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

    /// The same that is not compared with the pictures of these [`picture_hash`]es.
    #[must_use]
    pub fn with_excluded<S: Into<String>>(mut self, hashes: impl IntoIterator<Item = S>) -> Self {
        self.excluded = hashes.into_iter().map(Into::into).collect();
        self
    }

    /// The same with the references that it was drawn from.
    #[must_use]
    pub fn with_references(mut self, references: impl IntoIterator<Item = Picture>) -> Self {
        self.references = references.into_iter().collect();
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
    /// What the number does not tell by itself, such as real images that could not be read.
    pub notes: Vec<String>,
    /// The number of each run, where a judge was asked several times; their mean is the outcome.
    /// [`run_means`] makes the spread of a whole table of them.
    pub runs: Vec<f64>,
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
    /// A number. One that is not finite is a failure, so that it is never averaged; -0 is 0.
    pub fn value(value: f64) -> Self {
        match value.is_finite() {
            true => Outcome::Value(value + 0.0).into(),
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

    /// The same with what the number does not tell by itself.
    #[must_use]
    pub fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    /// The same with the number of each run.
    #[must_use]
    pub fn with_runs(mut self, runs: Vec<f64>) -> Self {
        self.runs = runs.into_iter().map(|value| value + 0.0).collect(); // -0 is 0.
        self
    }
}

impl Outcome {
    /// What an error about one picture means for it: a refusal or a failure.
    pub(crate) fn of_error(error: &Error) -> Self {
        match error {
            Error::Refused { .. } => Self::Refused(error.chain().to_string()),
            _ => Self::Failed(error.chain().to_string()),
        }
    }
}

impl From<Outcome> for Score {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, exchanges: Vec::new(), usage: None, notes: Vec::new(), runs: Vec::new() }
    }
}

//! [`ImageSimilarity`]: a picture and real images of its class to the cosine of their embeddings.

mod real_images;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::cosine::{cosine, cosine_of, image_embeddings, widened};
use super::fingerprint::model;
use super::{Fingerprint, Metric, Outcome, Score, Subject};
use crate::embedder::{Embedding, ImageEmbedder};
use crate::error::require;
use crate::{Image, Result};
use real_images::RealImages;

/// How much a picture looks like real images of what it should show, by the cosine of their embeddings:
/// CLIP-I with the image tower of CLIP, and the DINO score of DreamBooth and of the paper.
///
/// The paper does not say which DINO it uses, with which real images it compares, or how several of them
/// become one number. Here these are settings, and stand in the [`Fingerprint`]. Numbers of two backbones,
/// of two reductions, or of DINO's `official` and `file` preprocessing are not comparable.
///
/// Real images are read and embedded when they are first needed, and their embeddings are kept in memory
/// for the other systems: 65,536 of them, those that were used last. One that cannot be read is left out,
/// and the score has a [note](Score::notes) of it.
///
/// Real images that the picture was drawn from are left out, or copying would be measured: those of
/// [`Subject::excluded`], by their pixels, and [near-duplicates](Self::with_near_duplicates) of
/// [`Subject::references`]. Notes count them.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use std::sync::Arc;
/// use futures::executor::block_on;
/// use imagerag::evaluation::dataset::RealImage;
/// use imagerag::evaluation::metric::{ImageSimilarity, Metric, Outcome, Subject};
/// use imagerag::testing::{FakeEmbedder, solid};
///
/// let dino = ImageSimilarity::new("DINO", Arc::new(FakeEmbedder)); // A `DinoEmbedder`, for instance.
/// let real = [[200, 0, 0], [190, 10, 0]].map(|rgb| RealImage::new(format!("{rgb:?}"), solid(8, 8, rgb).into()));
/// let picture = Subject::new(solid(8, 8, [180, 0, 0]), "A photo of a red car").with_real_images(real);
/// let scores = block_on(dino.score(&[picture]))?;
/// let Outcome::Value(similarity) = scores[0].outcome else { panic!() };
/// assert!(similarity > 0.99);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Debug)]
pub struct ImageSimilarity {
    name: String,
    embedder: Arc<dyn ImageEmbedder>,
    real: RealImages,
    reduction: Reduction,
    most: Option<usize>,
    seed: u64,
    near_duplicates: Option<f64>,
    decimals: usize,
    weights: String,
    preprocessing: String,
}

/// From this cosine on a real image is left out as a copy of a reference. It is ours, and cautious: copies
/// that were changed much are still compared with, and honest images of one class are hardly ever this
/// much alike. It was not measured on released checkpoints.
const NEAR_DUPLICATE: f64 = 0.98;

/// How the cosines of one picture with several real images become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their mean, as DreamBooth.
    #[default]
    Mean,
    /// The cosine with the centroid of the real images: the mean of their embeddings of length 1. It is
    /// higher than the mean of the cosines.
    Centroid,
    /// The largest: the real image that is most alike. It rises with the number of real images.
    Max,
}

impl ImageSimilarity {
    /// The mean cosine with all real images under the column's `name`, such as `DINO`.
    pub fn new(name: impl Into<String>, embedder: Arc<dyn ImageEmbedder>) -> Self {
        let preprocessing = embedder.preprocessing().unwrap_or_default();
        Self {
            name: name.into(),
            real: RealImages::new(Arc::clone(&embedder)),
            embedder,
            reduction: Reduction::Mean,
            most: None,
            seed: 0,
            near_duplicates: Some(NEAR_DUPLICATE),
            decimals: 3,
            weights: String::new(),
            preprocessing,
        }
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The same compared with at most so many real images of a class, which `seed` chooses: the same ones
    /// for every picture and, but for what a picture [must not be compared with](Subject::excluded), for
    /// every system. Those of a smaller number are among those of a larger one. All by default.
    #[must_use]
    pub const fn with_at_most(mut self, images: usize, seed: u64) -> Self {
        (self.most, self.seed) = (Some(images), seed);
        self
    }

    /// The same that leaves out real images whose embedding by this metric's own embedder has a cosine of
    /// at least `cosine` with that of a reference that the picture was drawn from: the same photograph
    /// scaled or compressed anew, which has other pixels. 0.98 by default, a cautious choice: a smaller
    /// number finds copies that were changed more, and begins to leave out honest images of the class.
    /// `None` leaves out equal pixels alone. References are embedded once.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for a number that is not in (0, 1].
    pub fn with_near_duplicates(mut self, cosine: Option<f64>) -> Result<Self> {
        let fits = cosine.is_none_or(|cosine| cosine > 0.0 && cosine <= 1.0);
        let found = cosine.unwrap_or_default();
        require(fits, "cosine of near-duplicates", "above 0 and at most 1", found)?;
        self.near_duplicates = cosine;
        Ok(self)
    }

    /// The same with so many decimals in tables; 3 by default.
    #[must_use]
    pub const fn with_decimals(mut self, decimals: usize) -> Self {
        self.decimals = decimals;
        self
    }

    /// The same with the model's [`weights_hash`](super::weights_hash) in the fingerprint. Without it the
    /// folder of the checkpoint stands for the weights.
    #[must_use]
    pub fn with_weights(mut self, hash: impl Into<String>) -> Self {
        self.weights = hash.into();
        self
    }

    /// The same with how the model prepares pictures in the fingerprint, such as `official` or `file`. By
    /// default it is what the embedder [says](ImageEmbedder::preprocessing).
    #[must_use]
    pub fn with_preprocessing(mut self, words: impl Into<String>) -> Self {
        self.preprocessing = words.into();
        self
    }

    /// The score of the picture with this embedding.
    async fn compared(&self, subject: &Subject, picture: &Embedding) -> Result<Score> {
        let most = self.most.unwrap_or(usize::MAX);
        let chosen = self.real.chosen(subject, most, self.seed, self.near_duplicates).await?;
        let mut notes = Vec::new();
        if let [first, ..] = &*chosen.unreadable {
            let (gone, tried) = (chosen.unreadable.len(), chosen.tried);
            notes.push(format!("{gone} of {tried} real images could not be read, first {first}"));
        }
        if chosen.excluded > 0 {
            let count = chosen.excluded;
            notes.push(format!("{count} real images left out that it was drawn from"));
        }
        if chosen.alike > 0 {
            let count = chosen.alike;
            notes.push(format!(
                "{count} real images left out that are all but what it was drawn from"
            ));
        }
        if let [first, ..] = &*chosen.unknown {
            let gone = chosen.unknown.len();
            notes.push(format!(
                "{gone} references could not be read, so that near-duplicates of them were not looked for, \
                 first {first}"
            ));
        }
        if chosen.embeddings.is_empty() {
            let of = subject.class.as_ref().map_or_else(String::new, |class| {
                format!(" of the class {} ({})", class.name, class.id)
            });
            // Images that are there and cannot be read are a fault, which may pass.
            let outcome = match chosen.unreadable.is_empty() {
                true if chosen.tried > 0 => Outcome::NotApplicable(format!(
                    "there are no real images{of} but those that it was drawn from"
                )),
                true => Outcome::NotApplicable(format!("there are no real images{of}")),
                false => Outcome::Failed(format!("no real image{of} can be read: {}", notes[0])),
            };
            return Ok(Score::from(outcome).with_notes(notes));
        }
        let value = self.reduction.of(picture, &chosen.embeddings)?;
        Ok(Score::value(value).with_notes(notes))
    }
}

impl Reduction {
    /// The number of a picture and at least one real image.
    fn of(self, picture: &Embedding, real: &[Embedding]) -> Result<f64> {
        let cosines: Vec<f64> =
            real.iter().map(|one| cosine(picture, one)).collect::<Result<_>>()?;
        Ok(match self {
            Self::Mean => cosines.iter().sum::<f64>() / cosines.len() as f64,
            Self::Max => cosines.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Centroid => {
                let mut sum = vec![0.0; picture.dim()];
                for one in real {
                    sum.iter_mut().zip(widened(one.values())).for_each(|(sum, v)| *sum += v);
                }
                cosine_of(widened(picture.values()), sum.into_iter())
            }
        })
    }
}

impl fmt::Display for ImageSimilarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl Metric for ImageSimilarity {
    fn fingerprint(&self) -> Fingerprint {
        let formula = match self.reduction {
            Reduction::Mean => "mean over real images of cosine(picture, real image)",
            Reduction::Centroid => "cosine(picture, centroid of real images)",
            Reduction::Max => "maximum over real images of cosine(picture, real image)",
        };
        let chosen = match self.most {
            None => "all real images".to_owned(),
            Some(most) => format!("at most {most} real images of seed {}", self.seed),
        };
        let alike = match self.near_duplicates {
            None => String::new(),
            Some(cosine) => format!(" and those with a cosine of at least {cosine:?} with one"),
        };
        let settings = format!("{chosen} but those that it was drawn from{alike}");
        Fingerprint::new(formula)
            .with_model(model(&*self.embedder, &self.weights))
            .with_weights(&self.weights)
            .with_preprocessing(&self.preprocessing)
            .with_settings(settings)
    }

    fn needs_real_images(&self) -> bool {
        true
    }

    fn decimals(&self) -> usize {
        self.decimals
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        let images: Vec<Image> = subjects.iter().map(|subject| subject.image.clone()).collect();
        let pictures = image_embeddings(&*self.embedder, &images).await?;
        let mut scores = Vec::with_capacity(subjects.len());
        for (subject, picture) in subjects.iter().zip(pictures) {
            scores.push(match picture {
                Ok(picture) => self.compared(subject, &picture).await?,
                Err(error) => Outcome::of_error(&error).into(),
            });
        }
        Ok(scores)
    }
}

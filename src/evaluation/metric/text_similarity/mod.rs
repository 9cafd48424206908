//! [`TextSimilarity`]: a picture and a text to the cosine of their embeddings.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::cosine::{cosine, is_about_one};
use super::fingerprint::model;
use super::{Fingerprint, Metric, Outcome, Score, Subject};
use crate::embedder::{Embedder, EmbedderExt, Embedding, Gathered, PartlyEmbedded, check_dim};
use crate::forward::check_count;
use crate::{Error, Image, Result, Usage};

/// How well a picture matches a text, by the cosine of their embeddings.
///
/// | made by | formula | text |
/// |---|---|---|
/// | [`new`](Self::new): the paper's CLIP and SigLIP, CLIP-T | cosine, in [-1, 1] | the prompt |
/// | [`clip_score`](Self::clip_score): CLIPScore | 2.5 · max(cosine, 0) | "A photo depicts " and the prompt |
/// | [`percent`](Self::percent): as torchmetrics | 100 · cosine | the prompt |
///
/// So one picture has the numbers 0.31, 0.78 and 31, and none of the three is comparable with another: the
/// [`Fingerprint`] says which one it is. SigLIP's too is the cosine, as in the paper, and not the
/// probability that `SiglipEmbedder::probability` gives. A text that is too long for the model is cut, and
/// keeps its end token.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::evaluation::metric::{Metric, Outcome, Subject, TextSimilarity};
/// use imagerag::testing::{FakeEmbedder, solid};
///
/// let clip = TextSimilarity::new("CLIP", FakeEmbedder); // A `ClipEmbedder`, for instance.
/// let picture = Subject::new(solid(8, 8, [200, 0, 0]), "A photo of a red car");
/// let scores = block_on(clip.score(&[picture]))?;
/// let Outcome::Value(cosine) = scores[0].outcome else { panic!() };
/// assert!(cosine > 0.99);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextSimilarity {
    name: String,
    embedder: Arc<dyn Embedder>,
    formula: TextFormula,
    text: ComparedText,
    prefix: String,
    decimals: usize,
    weights: String,
    preprocessing: String,
}

/// The number that a [`TextSimilarity`] makes of a cosine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFormula {
    /// The cosine itself, in [-1, 1].
    #[default]
    Cosine,
    /// 2.5 · max(cosine, 0), in [0, 2.5] (Hessel et al. 2021, CLIPScore).
    ClipScore,
    /// 100 · cosine, in [-100, 100], as torchmetrics. That clamps the mean over all pictures at 0, which
    /// is left to whoever takes the mean.
    Percent,
}

/// The text that a picture is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparedText {
    /// The prompt of the item.
    #[default]
    Prompt,
    /// The name of the class that it asks for; a prompt without one has no number.
    ClassName,
}

impl TextSimilarity {
    /// The raw cosine of a picture and its prompt under the column's `name`, such as `CLIP`.
    pub fn new(name: impl Into<String>, embedder: impl Embedder) -> Self {
        Self {
            name: name.into(),
            embedder: Arc::new(embedder),
            formula: TextFormula::Cosine,
            text: ComparedText::Prompt,
            prefix: String::new(),
            decimals: 3,
            weights: String::new(),
            preprocessing: String::new(),
        }
    }

    /// CLIPScore (Hessel et al. 2021): 2.5 · max(cosine, 0) with "A photo depicts " before the prompt. The
    /// paper's is OpenAI's CLIP ViT-B/32.
    pub fn clip_score(embedder: impl Embedder) -> Self {
        Self::new("CLIPScore", embedder)
            .with_formula(TextFormula::ClipScore)
            .with_prefix("A photo depicts ")
    }

    /// torchmetrics' scale: 100 · cosine with the bare prompt. Its default model is OpenAI's CLIP ViT-L/14.
    /// Beyond 77 tokens torchmetrics loses the end token and gives other, lower numbers.
    pub fn percent(embedder: impl Embedder) -> Self {
        Self::new("100 CLIP", embedder).with_formula(TextFormula::Percent).with_decimals(2)
    }

    /// The same with another formula.
    #[must_use]
    pub const fn with_formula(mut self, formula: TextFormula) -> Self {
        self.formula = formula;
        self
    }

    /// The same compared with another text; the prompt by default.
    #[must_use]
    pub const fn with_text(mut self, text: ComparedText) -> Self {
        self.text = text;
        self
    }

    /// The same with words before the text, with the space between them; none by default.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The same with so many decimals in tables; 3 by default.
    #[must_use]
    pub const fn with_decimals(mut self, decimals: usize) -> Self {
        self.decimals = decimals;
        self
    }

    /// The same with the model's [`weights_hash`](super::weights_hash) in the fingerprint. Without it
    /// the folder of the checkpoint stands for the weights.
    #[must_use]
    pub fn with_weights(mut self, hash: impl Into<String>) -> Self {
        self.weights = hash.into();
        self
    }

    /// The same with how the model prepares pictures in the fingerprint, in words.
    #[must_use]
    pub fn with_preprocessing(mut self, words: impl Into<String>) -> Self {
        self.preprocessing = words.into();
        self
    }

    fn text_of(&self, subject: &Subject) -> Option<String> {
        let text = match self.text {
            ComparedText::Prompt => &subject.prompt,
            ComparedText::ClassName => &subject.class.as_ref()?.name,
        };
        Some(format!("{}{text}", self.prefix))
    }

    fn value(&self, text: &Embedding, image: &Embedding) -> Result<f64> {
        let cosine = cosine(text, image)?;
        Ok(match self.formula {
            TextFormula::Cosine => cosine,
            TextFormula::ClipScore => 2.5 * cosine.max(0.0),
            TextFormula::Percent => 100.0 * cosine,
        })
    }

    /// The embedding of each text, or why it has none, and what that cost.
    async fn texts(&self, texts: Vec<String>) -> Result<(Texts, Option<Usage>)> {
        let mut known = Texts::new();
        if texts.is_empty() {
            return Ok((known, None));
        }
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        match self.embedder.embed_texts(&borrowed).await {
            Ok(found) => {
                check_count(&self.embedder, "embeddings", texts.len(), found.len())?;
                check_dim(&*self.embedder, &found)?;
                let usage = found.usage;
                known.extend(texts.into_iter().zip(found.into_iter().map(Ok)));
                return Ok((known, usage));
            }
            Err(error) if !is_about_one(&error) => return Err(error),
            Err(_) => {}
        }
        for text in texts {
            match self.embedder.embed_text(&text).await {
                Err(error) if !is_about_one(&error) => return Err(error),
                found => known.insert(text, found.map_err(|error| Outcome::of_error(&error))),
            };
        }
        Ok((known, None))
    }
}

/// Texts and their embeddings, or what a picture that is compared with one has instead of a number.
type Texts = HashMap<String, Result<Embedding, Outcome>>;

impl fmt::Display for TextSimilarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl Metric for TextSimilarity {
    fn fingerprint(&self) -> Fingerprint {
        let text = match self.text {
            ComparedText::Prompt => "prompt",
            ComparedText::ClassName => "class name",
        };
        let cosine = match self.prefix.as_str() {
            "" => format!("cosine(picture, {text})"),
            prefix => format!("cosine(picture, {prefix:?} + {text})"),
        };
        let formula = match self.formula {
            TextFormula::Cosine => cosine,
            TextFormula::ClipScore => format!("2.5 max({cosine}, 0)"),
            TextFormula::Percent => format!("100 {cosine}"),
        };
        Fingerprint::new(formula)
            .with_model(model(&self.embedder, &self.weights))
            .with_weights(&self.weights)
            .with_preprocessing(&self.preprocessing)
    }

    fn decimals(&self) -> usize {
        self.decimals
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        let texts: Vec<Option<String>> =
            subjects.iter().map(|subject| self.text_of(subject)).collect();
        let mut unique: Vec<String> = texts.iter().flatten().cloned().collect();
        unique.sort();
        unique.dedup();
        let (known, mut usage) = self.texts(unique).await?;

        let places = || (0..subjects.len()).filter(|&at| texts[at].is_some());
        let images: Vec<Image> = places().map(|at| subjects[at].image.clone()).collect();
        let gathered = Gathered::new(images.len());
        let outcome = gathered.ask(&*self.embedder, &images).await;
        let found: PartlyEmbedded = gathered.end(outcome);
        usage = usage.into_iter().chain(found.usage).reduce(|a, b| a + b);

        let missing = || Outcome::NotApplicable("the prompt asks for no class".into());
        let mut scores: Vec<Score> = subjects.iter().map(|_| missing().into()).collect();
        let refused: HashMap<usize, &Error> =
            found.refused.iter().map(|(at, error)| (*at, error)).collect();
        for (place, at) in places().enumerate() {
            let image = found.embeddings[place].as_ref();
            let text = texts[at].as_ref().and_then(|text| known.get(text));
            scores[at] = match (text, image, refused.get(&place), &found.error) {
                (Some(Ok(text)), Some(image), ..) => Score::value(self.value(text, image)?),
                (Some(Err(outcome)), ..) => outcome.clone().into(),
                (_, None, Some(error), _) => Outcome::of_error(error).into(),
                (_, None, None, Some(error)) => Outcome::of_error(error).into(),
                _ => Outcome::Failed("it has no embedding".into()).into(),
            };
        }
        let nothing = found.embeddings.iter().all(Option::is_none) && found.refused.is_empty();
        if let Some(error) = found.error.filter(|_| nothing) {
            return Err(error);
        }
        // Of one call for all of them, so that the sum over scores is what was paid.
        if let Some(first) = scores.first_mut() {
            first.usage = usage;
        }
        Ok(scores)
    }
}

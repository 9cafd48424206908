//! [`Judge`]: a vision-language model and a [`Rubric`] to a number.

mod conversation;
mod ready_made;
mod rubric;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::stream::{self, StreamExt};

use super::cosine::is_about_one;
use super::{Fingerprint, Metric, Outcome, Score, Subject, picture_hash};
use crate::critic::TEMPERATURES;
use crate::error::at_least_one;
use crate::vlm::parse::{self, Asked, Unscored};
use crate::vlm::{ChatRequest, ExchangeLog, Vlm};
use crate::{Error, Image, Result, pool};

pub use rubric::{Combine, Criterion, Rubric, Scale};

/// Asks a vision-language model for numbers by a [`Rubric`], with the structure of DreamBench++: the rubric,
/// a fixed consent of the model, then the images and the text.
///
/// - A reply must hold exactly one number for each criterion, in words, as JSON or in Markdown; thoughts
///   are not read. A reply that does not is asked for again, up to [`tries`](Rubric::tries) in all, at a
///   higher temperature where it was low.
/// - A refusal, a number that the scale does not have, none or several are never a 0: the outcome says
///   what it was. If one of several [`runs`](Rubric::runs) has no number, the picture has none.
/// - Everything that was said is in [`Score::exchanges`].
///
/// Judges differ by model, version and words: numbers of two judges are not comparable. Pictures are sent
/// as the [`Vlm`] sends them; `OpenAiVlm` sends JPEG at quality 90, with the service's own choice of
/// detail.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::evaluation::metric::{Judge, Metric, Outcome, Rubric, Subject};
/// use imagerag::testing::{FakeVlm, solid};
///
/// let vlm = FakeVlm::new(["The bird is there, its tail is short. Score: 3"]); // An `OpenAiVlm`, for instance.
/// let judge = Judge::new(vlm, Rubric::gpt_score())?;
/// let picture = Subject::new(solid(8, 8, [0, 140, 70]), "A photo of a quetzal");
/// let scores = block_on(judge.score(&[picture]))?;
/// assert_eq!(scores[0].outcome, Outcome::Value(0.75));
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Judge {
    vlm: Arc<dyn Vlm>,
    rubric: Rubric,
    concurrency: usize,
}

impl Judge {
    /// A judge by `rubric`.
    ///
    /// # Errors
    /// As [`Rubric::validate`].
    pub fn new(vlm: impl Vlm, rubric: Rubric) -> Result<Self> {
        rubric.validate()?;
        Ok(Self { vlm: Arc::new(vlm), rubric, concurrency: 4 })
    }

    /// The same with so many pictures judged at a time; 4 by default.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for 0.
    pub fn with_concurrency(mut self, pictures: usize) -> Result<Self> {
        at_least_one("pictures judged at a time", pictures)?;
        self.concurrency = pictures;
        Ok(self)
    }

    /// The rubric.
    pub const fn rubric(&self) -> &Rubric {
        &self.rubric
    }

    async fn judge(&self, subject: &Subject, log: &ExchangeLog) -> Result<Score> {
        let (references, notes) = match self.references(subject).await {
            Ok(found) => found,
            Err(outcome) => return Ok(outcome.into()),
        };
        let (side, image) = (self.rubric.image_side, subject.image.clone());
        let fitted = pool::run("scaling pictures", move || {
            let fit = |image: &Image| conversation::fitted(image, side);
            Ok((references.iter().map(fit).collect::<Result<Vec<_>>>()?, fit(&image)?))
        });
        let (references, picture) = fitted.await?;
        let request = self.rubric.conversation(subject, references, picture);
        let mut runs = Vec::with_capacity(self.rubric.runs);
        for run in 1..=self.rubric.runs {
            let purpose = match self.rubric.runs {
                1 => "judgement".to_owned(),
                all => format!("judgement, run {run} of {all}"),
            };
            match self.ask(&request, &purpose, log).await? {
                Ok(value) => runs.push(value),
                Err(outcome) => return Ok(Score::from(outcome).with_notes(notes).with_runs(runs)),
            }
        }
        let mean = runs.iter().sum::<f64>() / runs.len() as f64;
        let score = Score::value(mean).with_notes(notes);
        Ok(if runs.len() > 1 { score.with_runs(runs) } else { score })
    }

    /// One number, or what the picture has instead.
    async fn ask(
        &self,
        request: &ChatRequest,
        purpose: &str,
        log: &ExchangeLog,
    ) -> Result<Result<f64, Outcome>> {
        let asked: Vec<Asked<'_>> = self
            .rubric
            .criteria
            .iter()
            .map(|one| Asked { name: &one.name, not_applicable: one.not_applicable })
            .collect();
        let scale = &self.rubric.scale;
        let mut problem = Unscored::Unclear(String::new());
        for attempt in 0..self.rubric.tries {
            let least = TEMPERATURES[attempt.min(TEMPERATURES.len() - 1)];
            let temperature = self.rubric.temperature.max(least);
            let request = request.clone().with_temperature(temperature);
            let reply = log.ask(&self.vlm, purpose, &request).await?;
            match parse::scores(&reply, &asked, scale.max) {
                Err(found) => problem = found,
                Ok(values) => match values.iter().position(|value| !scale.contains(*value)) {
                    None => return Ok(Ok(self.rubric.combined(&values))),
                    Some(at) => {
                        let (name, found) = (asked[at].name, values[at]);
                        let words = format!("expected {scale} for {name}, found {found}");
                        problem = Unscored::Unclear(words);
                    }
                },
            }
        }
        let tries = self.rubric.tries;
        Ok(Err(match problem {
            Unscored::Refused(words) => Outcome::Refused(words),
            Unscored::Unclear(found) => {
                Outcome::Failed(format!("no reply of {tries} can be read, the last one: {found}"))
            }
        }))
    }

    /// The real images that the judge is shown, and what is to be told of them.
    async fn references(&self, subject: &Subject) -> Result<(Vec<Image>, Vec<String>), Outcome> {
        let wanted = self.rubric.references;
        let excluded: HashSet<&str> = subject.excluded.iter().map(String::as_str).collect();
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        for real in subject.real_images.iter() {
            if found.len() == wanted {
                break;
            }
            match real.picture.forgetful().load().await {
                Err(error) => unreadable.push(format!("{}: {}", real.id, error.chain())),
                Ok(image) if excluded.contains(&*picture_hash(&image)) => {}
                Ok(image) => found.push(image),
            }
        }
        let mut notes = Vec::new();
        if let [first, ..] = &*unreadable {
            notes
                .push(format!("{} real images could not be read, first {first}", unreadable.len()));
        }
        match (found.len(), notes.first()) {
            (count, _) if count == wanted => Ok((found, notes)),
            (0, None) => Err(Outcome::NotApplicable("there are no real images to show".into())),
            (0, Some(note)) => Err(Outcome::Failed(note.clone())),
            (count, _) => {
                notes.push(format!("{count} real images were shown, not {wanted}"));
                Ok((found, notes))
            }
        }
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rubric.name)
    }
}

#[async_trait]
impl Metric for Judge {
    fn fingerprint(&self) -> Fingerprint {
        // The column's name is no part of a number. All floats are written exactly.
        let Rubric {
            name: _,
            task: _, // In the hash of the words, as the criteria's descriptions.
            criteria,
            scale,
            combine,
            best,
            references,
            shows_prompt,
            image_side,
            temperature,
            runs,
            tries,
        } = &self.rubric;
        let weights: f64 = criteria.iter().map(|one| one.weight).sum();
        let term = |one: &Criterion| {
            let (name, weight) = (&one.name, one.weight / weights);
            let none = one.not_applicable.map(|number| format!(" (N/A is {number:?})"));
            let name = format!("{name}{}", none.unwrap_or_default());
            match combine {
                Combine::Mean => format!("{weight:?} {name}"),
                Combine::GeometricMean => format!("{name}^{weight:?}"),
            }
        };
        let terms: Vec<String> = criteria.iter().map(term).collect();
        let terms = terms.join(if *combine == Combine::Mean { " + " } else { " " });
        let settings = format!(
            "words {}, temperature {temperature:?}, {runs} runs of at most {tries} tries, {references} \
             real images, prompt shown: {shows_prompt}",
            self.rubric.words_hash(),
        );
        Fingerprint::new(format!("{terms}; {scale}, the best gives {best:?}"))
            .with_model(format!("{:#}", self.vlm))
            .with_preprocessing(format!("longer side {image_side}, bicubic"))
            .with_settings(settings)
    }

    fn needs_real_images(&self) -> bool {
        self.rubric.references > 0
    }

    fn calls_per_score(&self) -> u64 {
        self.rubric.runs as u64
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        judged(
            subjects,
            self.concurrency,
            |subject, log| async move { self.judge(subject, &log).await },
        )
        .await
    }
}

/// The score of each subject, `concurrency` of them at a time, with what was said. An error about one of
/// them is its outcome. One about the service, such as a wrong key, keeps the others from being asked.
///
/// # Errors
/// The first error, where no subject has another outcome.
pub(super) async fn judged<'a, F>(
    subjects: &'a [Subject],
    concurrency: usize,
    judge: impl Fn(&'a Subject, ExchangeLog) -> F + Send + Sync,
) -> Result<Vec<Score>>
where
    F: Future<Output = Result<Score>> + Send,
{
    let down: OnceLock<String> = OnceLock::new();
    let (judge, down) = (&judge, &down);
    let calls = subjects.iter().map(|subject| async move {
        if let Some(reason) = down.get() {
            let outcome = Outcome::Failed(format!("not asked, because before it {reason}"));
            return (Score::from(outcome), None);
        }
        let log = ExchangeLog::default();
        let (score, error) = match judge(subject, log.clone()).await {
            Ok(score) => (score, None),
            Err(error) => {
                if error.is_about_access() || matches!(error, Error::Unavailable { .. }) {
                    let _ = down.set(error.chain().to_string());
                }
                (Outcome::of_error(&error).into(), Some(error))
            }
        };
        (score.with_exchanges(log.take()), error)
    });
    let calls = stream::iter(calls.collect::<Vec<_>>()).buffered(concurrency);
    let (scores, errors): (Vec<Score>, Vec<Option<Error>>) = calls.unzip().await;
    let is_answered = |score: &Score| !matches!(score.outcome, Outcome::Failed(_));
    let first = errors.into_iter().flatten().find(|error| !is_about_one(error));
    match first {
        Some(error) if !scores.iter().any(is_answered) => Err(error),
        _ => Ok(scores),
    }
}

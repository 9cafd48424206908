//! [`Robustness`]: can a vision-language model tell what a picture lacks? The paper's experiment E.5.

mod answer;
mod questions;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt};

use super::dataset::{Class, Dataset};
use super::experiment::{Journal, Records};
use super::metric::picture_hash;
use crate::critic::{Critic, CritiqueRequest, Query};
use crate::error::require;
use crate::{Error, Image, Result};

pub use answer::{KindResult, RobustnessAnswer, RobustnessResult};
pub use questions::{PromptKind, RobustnessQuestion};

/// After so many failures in a row a critic is given up for this run, as a system of an experiment is: a
/// service that is down would fail everything.
const FAILURES_IN_A_ROW: usize = 10;

/// How many concepts a critic may name: as many as there are.
const MAX_CONCEPTS: usize = 64;

/// Shows critics one real picture of each of some classes with three kinds of prompts, and counts how often
/// they say rightly whether the picture matches and what is missing (appendix E.5 of the paper).
///
/// | kind | prompt | of 20 classes | right is |
/// |---|---|---|---|
/// | 1 | A photo of a *class* | 20 | a match |
/// | 2 | A photo of a *class* and a *other* | 380 | no match, and *other* among the missing concepts |
/// | 3 | A photo of a *other* | 380 | no match; whether *other* must be named the paper does not say, so both are counted |
///
/// What is tested is what the loop uses: any [`Critic`], such as [`GuidedCot`](crate::critic::GuidedCot)
/// with the paper's questions, of which the decision and the missing concepts are asked. Each answer is
/// added to a [`Journal`] with the critic's words, so that a run which was ended goes on, and a critic that
/// is added later is asked alone.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-rob-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// use futures::executor::block_on;
/// use imagerag::critic::GuidedCot;
/// use imagerag::evaluation::dataset::{Class, Dataset, RealImage};
/// use imagerag::evaluation::robustness::{Candidate, PromptKind, Robustness};
/// use imagerag::testing::{FakeVlm, solid};
///
/// let mut birds = Dataset::new("birds");
/// for (id, name, rgb) in [("1", "quetzal", [0, 140, 70]), ("2", "kea", [90, 100, 60])] {
///     let mut class = Class::new(id, name);
///     class.images.push(RealImage::new(format!("{id}/a.jpg"), solid(8, 8, rgb).into()));
///     birds.classes.push(class);
/// }
/// let robustness = Robustness::new(&birds, 2, 0)?;
/// assert_eq!(robustness.questions().len(), 2 + 2 + 2);
///
/// let llava = GuidedCot::new(FakeVlm::answering(|_| Ok("No"))); // An `OpenAiVlm`, for instance.
/// let candidates = [Candidate::new("LLaVA", llava)];
/// let results = block_on(robustness.run(folder.join("answers.jsonl"), &candidates, |_| {}))?;
/// assert_eq!(results[0].of(PromptKind::Class).correct, 0);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Robustness {
    /// Each with its images, those first that are taken first.
    classes: Vec<Class>,
}

/// A critic that is tested.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// Its name in tables. Answers are kept under it.
    pub name: String,
    /// Whatever else its answers depend on, such as its model's version and its questions. Where it
    /// changes, everything is asked again.
    pub settings: String,
    /// The critic.
    pub critic: Arc<dyn Critic>,
    /// How many questions it is asked at a time, at least 1.
    pub concurrency: usize,
}

impl Candidate {
    /// A critic that is asked 4 questions at a time. Its settings are its `Display` in the form `{:#}`,
    /// which has the model's and the questions too.
    pub fn new(name: impl Into<String>, critic: impl Critic) -> Self {
        let (name, settings) = (name.into(), format!("{critic:#}"));
        Self { name, settings, critic: Arc::new(critic), concurrency: 4 }
    }

    /// The same with other settings: whatever else its answers depend on.
    #[must_use]
    pub fn with_settings(mut self, settings: impl Into<String>) -> Self {
        self.settings = settings.into();
        self
    }

    /// The same with so many questions at a time; 0 counts as 1.
    #[must_use]
    pub const fn with_concurrency(mut self, questions: usize) -> Self {
        self.concurrency = questions;
        self
    }
}

/// One answer more of a run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RobustnessProgress<'a> {
    /// The answer.
    pub answer: &'a RobustnessAnswer,
    /// How many answers there are, with those of earlier runs.
    pub done: usize,
    /// How many there will be.
    pub of: usize,
}

impl Robustness {
    /// The experiment with as many `classes` of `dataset`, which `seed` chooses among those that have
    /// images: the paper takes 20 of iNaturalist. Of classes with the same name the first one is taken.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for fewer than 2 classes, or more than the data set has.
    pub fn new(dataset: &Dataset, classes: usize, seed: u64) -> Result<Self> {
        let classes = questions::classes(dataset, classes, seed)?;
        Ok(Self { classes })
    }

    /// All questions, class after class: of n classes n of the first kind, and n · (n − 1) of each other.
    pub fn questions(&self) -> Vec<RobustnessQuestion> {
        questions::of(&self.classes)
    }

    /// Asks every candidate what is not in the journal at `path` yet, all candidates side by side, and
    /// tells `progress` of each answer. What failed in an earlier run is asked again. The results are in
    /// the order of `candidates`.
    ///
    /// An error of a critic is part of the results. After ten in a row, or one about its access, such as a
    /// wrong key, it is given up for this run ([`RobustnessResult::given_up`]), and the others go on.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is no candidate or two have one name; those of [`Journal::open`]
    /// and [`Journal::append`]; the last one of a class of which no image can be read.
    pub async fn run(
        &self,
        path: impl AsRef<Path>,
        candidates: &[Candidate],
        mut progress: impl FnMut(RobustnessProgress<'_>) + Send,
    ) -> Result<Vec<RobustnessResult>> {
        require(!candidates.is_empty(), "candidates", "at least 1", 0)?;
        let names: HashSet<&str> = candidates.iter().map(|one| one.name.as_str()).collect();
        let unique = names.len() == candidates.len();
        require(
            unique,
            "names of candidates",
            "each once",
            format!("{} twice", twice(candidates)),
        )?;

        let (mut journal, Records { records, notes }) = Journal::open(path)?;
        let pictures = self.pictures().await?;
        let questions = self.questions();
        let mut answers: HashMap<Key, RobustnessAnswer> = records
            .into_iter()
            .map(|answer: RobustnessAnswer| (Key::of(&answer), answer.judged()))
            .collect();
        let of = candidates.len() * questions.len();
        let is_answered = |answers: &HashMap<Key, RobustnessAnswer>, key: &Key| {
            answers.get(key).is_some_and(|answer| answer.failure.is_none())
        };
        let mut done = 0;
        let failures: Vec<Failures> = candidates.iter().map(|_| Failures::default()).collect();
        let mut streams = Vec::new();
        for (candidate, failures) in candidates.iter().zip(&failures) {
            let mut open = Vec::new();
            for question in &questions {
                let picture = &pictures[&question.class];
                match is_answered(&answers, &Key::asked(candidate, question, picture)) {
                    true => done += 1,
                    false => open.push((question, picture)),
                }
            }
            let asked = open
                .into_iter()
                .map(move |(question, picture)| ask(candidate, question, picture, failures));
            let asked = stream::iter(asked.collect::<Vec<_>>());
            streams.push(asked.buffer_unordered(candidate.concurrency.max(1)));
        }
        let mut answered = stream::select_all(streams);
        while let Some(answer) = answered.next().await {
            let Some(answer) = answer else { continue };
            journal.append(&answer)?;
            done += usize::from(answer.failure.is_none());
            progress(RobustnessProgress { answer: &answer, done, of });
            answers.insert(Key::of(&answer), answer);
        }
        drop(answered);
        let results = candidates.iter().zip(failures).map(|(candidate, failures)| {
            let keys = questions
                .iter()
                .map(|question| Key::asked(candidate, question, &pictures[&question.class]));
            let answers = keys.filter_map(|key| answers.get(&key).cloned());
            let (answers, given_up) = (answers.collect(), failures.given_up());
            RobustnessResult::new(&candidate.name, &questions, answers, given_up, notes.clone())
        });
        Ok(results.collect())
    }

    /// The picture of each class, by its identifier: the first one that can be read.
    async fn pictures(&self) -> Result<HashMap<String, Shown>> {
        let mut pictures = HashMap::new();
        for class in &self.classes {
            let mut problem = Error::invalid_input(format!("class {}", class.id), "images", "none");
            for real in &class.images {
                match real.picture.forgetful().load().await {
                    Err(error) => problem = error,
                    Ok(image) => {
                        let (id, hash) = (real.id.clone(), picture_hash(&image));
                        pictures.insert(class.id.clone(), Shown { id, hash, image });
                        break;
                    }
                }
            }
            if !pictures.contains_key(&class.id) {
                return Err(problem);
            }
        }
        Ok(pictures)
    }
}

fn twice(candidates: &[Candidate]) -> &str {
    let mut met = HashSet::new();
    let twice = candidates.iter().find(|one| !met.insert(one.name.as_str()));
    twice.map_or("none", |one| &one.name)
}

/// The real picture of a class.
struct Shown {
    id: String,
    hash: String,
    image: Image,
}

/// What an answer is the answer to.
#[derive(PartialEq, Eq, Hash)]
struct Key([String; 5]);

impl Key {
    fn of(answer: &RobustnessAnswer) -> Self {
        let RobustnessAnswer { critic, settings, class, prompt, picture, .. } = answer;
        Self([critic, settings, class, prompt, picture].map(Clone::clone))
    }

    fn asked(candidate: &Candidate, question: &RobustnessQuestion, picture: &Shown) -> Self {
        let Candidate { name, settings, .. } = candidate;
        let RobustnessQuestion { class, prompt, .. } = question;
        Self([name, settings, class, prompt, &picture.hash].map(Clone::clone))
    }
}

/// How a candidate fails in this run.
#[derive(Default)]
struct Failures {
    in_a_row: AtomicUsize,
    /// Questions that were left because it was given up.
    left: AtomicUsize,
}

impl Failures {
    fn is_given_up(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= FAILURES_IN_A_ROW
    }

    fn add(&self, problem: Option<&Error>) {
        match problem {
            // What is in progress while a candidate is given up changes nothing.
            _ if self.is_given_up() => {}
            None => self.in_a_row.store(0, Ordering::Relaxed),
            Some(error)
                if error.is_about_access() || matches!(error, Error::Unavailable { .. }) =>
            {
                self.in_a_row.store(FAILURES_IN_A_ROW, Ordering::Relaxed);
            }
            Some(_) => drop(self.in_a_row.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn given_up(&self) -> Option<String> {
        let left = self.left.load(Ordering::Relaxed);
        (left > 0).then(|| {
            format!(
                "given up after {FAILURES_IN_A_ROW} failures in a row, or one about its access; \
                 {left} questions were not asked"
            )
        })
    }
}

/// The answer of a candidate; none where it was given up and is not asked.
async fn ask(
    candidate: &Candidate,
    question: &RobustnessQuestion,
    picture: &Shown,
    failures: &Failures,
) -> Option<RobustnessAnswer> {
    if failures.is_given_up() {
        failures.left.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    let mut request = CritiqueRequest::new(&question.prompt, Some(picture.image.clone()));
    (request.query, request.max_concepts) = (Query::Concept, MAX_CONCEPTS);
    let log = request.log.clone();
    let critique = candidate.critic.critique(&request).await;
    failures.add(critique.as_ref().err());
    let answer = RobustnessAnswer::new(question, critique, log.take());
    Some(RobustnessAnswer {
        critic: candidate.name.clone(),
        settings: candidate.settings.clone(),
        image: picture.id.clone(),
        picture: picture.hash.clone(),
        ..answer
    })
}

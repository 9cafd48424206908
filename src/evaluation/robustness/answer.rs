//! Critiques to right and wrong answers, and those to counts by kind of prompt.

use serde::{Deserialize, Serialize};

use super::{PromptKind, RobustnessQuestion};
use crate::Result;
use crate::critic::{Critique, Verdict};
use crate::evaluation::statistics::{Confidence, Interval, wilson};
use crate::text::words;
use crate::vlm::Exchange;

/// What a critic said of one prompt and picture: a line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RobustnessAnswer {
    /// The candidate's name.
    pub critic: String,
    /// Its settings.
    pub settings: String,
    /// What the prompt asked for.
    pub kind: PromptKind,
    /// The class of the picture, by its identifier.
    pub class: String,
    /// The name of that class.
    pub class_name: String,
    /// The name of what the picture does not show; none in the first kind.
    pub other_name: Option<String>,
    /// The prompt.
    pub prompt: String,
    /// The picture, by its identifier in the data set.
    pub image: String,
    /// Its [`picture_hash`](crate::evaluation::metric::picture_hash).
    pub picture: String,
    /// What the critic said, where it did not fail.
    pub verdict: Option<Verdict>,
    /// Why, where it gave a reason.
    pub reason: Option<String>,
    /// What it decided: whether the picture matches the prompt. None where that cannot be read. It is known
    /// also where the list of missing concepts cannot be read, so that `verdict` is undetermined.
    #[serde(default)]
    pub matches: Option<bool>,
    /// Whether the decision is right: a match or no match.
    pub decision_correct: bool,
    /// Whether what is missing is named too, where something is missing.
    pub correct: bool,
    /// The error with all its causes, where the critic failed.
    pub failure: Option<String>,
    /// Every question to the model and its answer.
    #[serde(default)]
    pub exchanges: Vec<Exchange>,
}

impl RobustnessAnswer {
    /// The answer to `question`, of nobody and about no picture yet.
    pub(super) fn new(
        question: &RobustnessQuestion,
        critique: Result<Critique>,
        exchanges: Vec<Exchange>,
    ) -> Self {
        let RobustnessQuestion { kind, class, class_name, other_name, prompt } = question.clone();
        let (verdict, reason, failure) = match critique {
            Ok(Critique { verdict, reason }) => (Some(verdict), reason, None),
            Err(error) => (None, None, Some(error.chain().to_string())),
        };
        let answer = Self {
            critic: String::new(),
            settings: String::new(),
            kind,
            class,
            class_name,
            other_name,
            prompt,
            image: String::new(),
            picture: String::new(),
            verdict,
            reason,
            matches: None,
            decision_correct: false,
            correct: false,
            failure,
            exchanges,
        };
        answer.judged()
    }

    /// The same with its decision, and whether that and what is named are right, from the critic's words.
    pub(super) fn judged(mut self) -> Self {
        // Only after a "no" is a model asked for what is missing.
        let asked = |purpose| self.exchanges.iter().any(|exchange| exchange.purpose == purpose);
        self.matches = match &self.verdict {
            Some(Verdict::Match) => Some(true),
            Some(Verdict::Missing(_)) => Some(false),
            Some(Verdict::Undetermined) if asked("missing concepts") => Some(false),
            _ => None,
        };
        self.decision_correct = self.matches == Some(self.other_name.is_none());
        self.correct = self.decision_correct
            && self.other_name.as_ref().is_none_or(|other| {
                let Some(Verdict::Missing(captions)) = &self.verdict else { return false };
                captions.iter().any(|one| is_named(other, &one.concept, &self.class_name))
            });
        self
    }

    fn is_undetermined(&self) -> bool {
        self.verdict == Some(Verdict::Undetermined)
    }
}

/// Whether `concept` names `other`: it has all of its words, or it is a part of them that is no part of the
/// name of `class`, such as "an earthworm" for a common earthworm. "An albatross" names no Laysan albatross
/// beside a black-footed one.
fn is_named(other: &str, concept: &str, class: &str) -> bool {
    let words_of = |text: &str| -> Vec<String> {
        let few = ["a", "an", "the", "of", "photo", "picture", "image"];
        let words = words(text).into_iter().filter(|word| !few.contains(&word.as_str()));
        words.map(|word| word.strip_suffix('s').map_or(word.clone(), str::to_owned)).collect()
    };
    let [other, concept, class] = [other, concept, class].map(words_of);
    let has_all = |all: &[String], some: &[String]| {
        !some.is_empty() && some.iter().all(|word| all.contains(word))
    };
    has_all(&concept, &other) || has_all(&other, &concept) && !has_all(&class, &concept)
}

/// How a critic answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RobustnessResult {
    /// The candidate's name.
    pub critic: String,
    /// Counts of each kind, in the paper's order.
    pub kinds: Vec<KindResult>,
    /// All answers, in the order of the questions.
    pub answers: Vec<RobustnessAnswer>,
    /// Why it was not asked further, where it was given up.
    #[serde(default)]
    pub given_up: Option<String>,
    /// What of the journal could not be read, a line each.
    pub notes: Vec<String>,
}

/// How often a critic was right about prompts of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KindResult {
    /// The kind.
    pub kind: PromptKind,
    /// Questions of it.
    pub questions: usize,
    /// Those that the critic answered, also with that it cannot tell.
    pub answered: usize,
    /// Right answers that name what is missing, where something is.
    pub correct: usize,
    /// Right decisions, whatever is named.
    pub decision_correct: usize,
    /// Answers whose decision cannot be read: refusals, and replies that make no sense. They are wrong.
    pub undetermined: usize,
    /// Answers of no match whose list of what is missing cannot be read. Their decision counts, and they name
    /// nothing.
    #[serde(default)]
    pub unnamed: usize,
    /// Questions at which it failed, as when its service was down. They are neither right nor wrong.
    pub failed: usize,
}

impl KindResult {
    /// The share of right answers, in [0, 1]; none where there are no answers.
    pub fn accuracy(&self) -> Option<f64> {
        (self.answered > 0).then(|| self.correct as f64 / self.answered as f64)
    }

    /// The share of right decisions, in [0, 1]; none where there are no answers.
    pub fn decision_accuracy(&self) -> Option<f64> {
        (self.answered > 0).then(|| self.decision_correct as f64 / self.answered as f64)
    }

    /// The Wilson interval of [`accuracy`](Self::accuracy).
    pub fn interval(&self, confidence: Confidence) -> Option<Interval> {
        wilson(self.correct, self.answered, confidence)
    }

    /// The Wilson interval of [`decision_accuracy`](Self::decision_accuracy).
    pub fn decision_interval(&self, confidence: Confidence) -> Option<Interval> {
        wilson(self.decision_correct, self.answered, confidence)
    }
}

impl RobustnessResult {
    pub(super) fn new(
        critic: &str,
        questions: &[RobustnessQuestion],
        answers: Vec<RobustnessAnswer>,
        given_up: Option<String>,
        notes: Vec<String>,
    ) -> Self {
        let of = |kind| {
            let of_kind = || answers.iter().filter(move |answer| answer.kind == kind);
            let count = |is: fn(&RobustnessAnswer) -> bool| of_kind().filter(|one| is(one)).count();
            KindResult {
                kind,
                questions: questions.iter().filter(|question| question.kind == kind).count(),
                answered: count(|answer| answer.failure.is_none()),
                correct: count(|answer| answer.correct),
                decision_correct: count(|answer| answer.decision_correct),
                undetermined: count(|one| one.is_undetermined() && one.matches.is_none()),
                unnamed: count(|one| one.is_undetermined() && one.matches.is_some()),
                failed: count(|answer| answer.failure.is_some()),
            }
        };
        let kinds = PromptKind::ALL.map(of).to_vec();
        Self { critic: critic.to_owned(), kinds, answers, given_up, notes }
    }

    /// The counts of a kind.
    pub fn of(&self, kind: PromptKind) -> KindResult {
        let zero = KindResult {
            kind,
            questions: 0,
            answered: 0,
            correct: 0,
            decision_correct: 0,
            undetermined: 0,
            unnamed: 0,
            failed: 0,
        };
        self.kinds.iter().copied().find(|one| one.kind == kind).unwrap_or(zero)
    }

    /// The answers that are wrong: a wrong decision, or one without what is missing.
    pub fn wrong(&self) -> impl Iterator<Item = &RobustnessAnswer> {
        self.answers.iter().filter(|answer| !answer.correct && answer.failure.is_none())
    }
}

//! [`Analysis`]: who was preferred, how surely, and how far people agree.

use crate::evaluation::statistics::{Interval, McNemar, WinRate};

/// What a study found.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Analysis {
    /// The identifier of the study.
    pub study: String,
    /// Its version: other answers are not in here.
    pub version: String,
    /// How many participants are in the results.
    pub participants: usize,
    /// How many of them did not answer everything. Their answers count.
    pub partial: usize,
    /// How many of them left an attention check unanswered, but did not fail by that: they left other pages
    /// unanswered too, or the study allows it.
    #[serde(default)]
    pub unchecked: usize,
    /// How many answers are in the results, those to checks aside.
    pub answers: usize,
    /// Participants who failed more attention checks than the study allows.
    pub dropped: Vec<Dropped>,
    /// Files and answers that are not in the results, and why.
    pub left_out: Vec<LeftOut>,
    /// Who was preferred, by pair of systems and question.
    pub preferences: Vec<Preference>,
    /// How often the left picture was chosen. Far from ½, participants did not look.
    pub left: WinRate,
    /// Strengths where more than two systems were compared, by question.
    pub strengths: Vec<Strength>,
    /// How often pictures of each system were answered by yes.
    pub contains: Vec<Contains>,
    /// Whether yes became more frequent, on the same items.
    pub paired: Vec<PairedContains>,
}

/// A participant who was left out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Their identifier.
    pub participant: String,
    /// How many checks they failed.
    pub failed: usize,
    /// How many checks they answered or, where they answered everything else, should have answered.
    pub checks: usize,
}

/// A file, or answers in it, that were left out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// The name of the file.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// How often a method was preferred to its base.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Preference {
    /// The question.
    pub question: String,
    /// The system that it is compared with.
    pub base: String,
    /// The system.
    pub method: String,
    /// How often the method was chosen, and how often the base.
    pub choices: WinRate,
    /// The share of the method, in [0, 1].
    pub rate: f64,
    /// Its interval as if all choices were independent.
    pub wilson: Option<Interval>,
    /// Its interval over participants, which is the one to trust; none for fewer than two.
    pub over_participants: Option<Interval>,
    /// How many participants chose.
    pub participants: usize,
    /// Krippendorff's α of the choices, by item.
    pub agreement: Option<f64>,
}

/// The strength of a system among those that were compared, by the model of Bradley and Terry.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Strength {
    /// The question.
    pub question: String,
    /// The system.
    pub system: String,
    /// Its logarithm; the mean over systems is 0.
    pub strength: f64,
    /// Its interval over participants.
    pub over_participants: Option<Interval>,
}

/// How often pictures of a system contain what they should.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Contains {
    /// The question.
    pub question: String,
    /// The system.
    pub system: String,
    /// Yes as wins, no as losses.
    pub answers: WinRate,
    /// The share of yes, in [0, 1].
    pub rate: f64,
    /// Its interval as if all answers were independent.
    pub wilson: Option<Interval>,
    /// Its interval over participants; none for fewer than two.
    pub over_participants: Option<Interval>,
    /// How many participants answered.
    pub participants: usize,
    /// Krippendorff's α of the answers, by item.
    pub agreement: Option<f64>,
}

/// Whether a method's pictures contain what its base's, of the same items, do not.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct PairedContains {
    /// The question.
    pub question: String,
    /// The system that it is compared with.
    pub base: String,
    /// The system.
    pub method: String,
    /// Items by the majority of their answers, the base's before and the method's after.
    pub items: McNemar,
    /// The exact two-sided p-value of McNemar's test.
    pub p_value: f64,
    /// Items without an answer to both pictures, or with as many yes as no.
    pub undecided: usize,
}

//! What the folder of a study says: the content of `study.json`, which the page reads too.

use super::settings::StudyKind;

/// Everything that a participant's browser knows. Nothing in it names a system.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Published {
    /// The identifier of the study.
    pub study: String,
    /// A hash of all the rest. Answers to another version are not mixed with those to this one.
    pub version: String,
    pub title: String,
    pub kind: StudyKind,
    pub consent: String,
    pub questions: Vec<String>,
    /// BLAKE3 of the salt, in hexadecimal: proves later that the key was not changed.
    pub salt_hash: String,
    pub max_failed_checks: usize,
    /// The same in words; empty where there are no checks.
    pub drop_rule: String,
    pub post_to: Option<String>,
    pub screens: Vec<Screen>,
    /// What each participant sees, in order.
    pub lists: Vec<Vec<Shown>>,
}

/// One page of the study.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Screen {
    /// Opaque; answers name it.
    pub item: String,
    pub prompt: String,
    /// The name of what the real image shows.
    pub concept: Option<String>,
    pub reference: Option<Photo>,
    /// Two pictures of a comparison, one of a rating, by their opaque names without ending.
    pub pictures: Vec<String>,
    /// The picture that participants are told to choose, where the check is of this kind.
    pub told: Option<String>,
}

/// A real image.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Photo {
    /// Its opaque name without ending.
    pub picture: String,
    /// Author, license and origin, as far as they are known.
    pub credit: Option<String>,
}

/// A screen as one participant sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Shown {
    /// Its place among the screens.
    pub screen: usize,
    /// Whether the second picture is on the left.
    pub swapped: bool,
}

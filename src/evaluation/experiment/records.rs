//! What an experiment writes down: one line a picture, one line a score, and who made them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::Usage;
use crate::evaluation::metric::{Fingerprint, Outcome};
use crate::pipeline::StopReason;
use crate::reference::Provenance;
use crate::vlm::Exchange;

/// Everything that a report is made of: the newest record of each picture and each score of one
/// experiment, in the order of its systems, data sets and items.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Results {
    /// The folder that the files of pictures and traces are relative to.
    pub folder: PathBuf,
    /// The systems, in the order of the tables' rows.
    pub systems: Vec<SystemRecord>,
    /// The data sets, in the order of the tables' columns.
    pub datasets: Vec<DatasetRecord>,
    /// The metrics, in the order of the tables' columns.
    pub metrics: Vec<MetricRecord>,
    /// One for each system, item and seed that was drawn or failed. What is missing was not tried yet.
    pub pictures: Vec<PictureRecord>,
    /// One for each picture and metric.
    pub scores: Vec<ScoreRecord>,
}

/// A system, as it was when it drew.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct SystemRecord {
    /// Its name in tables.
    pub name: String,
    /// The hash of everything that its pictures depend on: parts, settings, drawing options.
    pub settings: String,
    /// The system whose pictures are its drafts.
    pub base: Option<String>,
    /// Its parts and settings, in words, a line each.
    pub description: String,
    /// How many pictures it is to draw.
    #[serde(default)]
    pub pictures: usize,
}

/// A data set.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct DatasetRecord {
    /// Its name in tables.
    pub name: String,
    /// Names of its classes, by their identifiers.
    pub classes: BTreeMap<String, String>,
    /// How many items are drawn.
    pub items: usize,
    /// The seeds of each item, where the item has none of its own.
    pub seeds: Vec<u64>,
    /// The terms of the set.
    pub license: Option<String>,
    /// What its reader left out, and why.
    pub notes: Vec<String>,
}

/// A metric.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct MetricRecord {
    /// [`Fingerprint::key`], by which scores name it.
    pub key: String,
    /// Its name in tables.
    pub name: String,
    /// How it computes its number.
    pub fingerprint: Fingerprint,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// How many decimals tables show.
    pub decimals: usize,
}

/// One picture, or why there is none: a system, an item and a seed.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct PictureRecord {
    /// The system's name.
    pub system: String,
    /// The hash of the system's settings.
    pub settings: String,
    /// The data set's name.
    pub dataset: String,
    /// The item's identifier.
    pub item: String,
    /// The seed.
    pub seed: u64,
    /// The item's prompt.
    pub prompt: String,
    /// The class that it asks for, by its identifier.
    pub class: Option<String>,
    /// The item's category.
    pub category: Option<String>,
    /// How it ended.
    pub ended: Ended,
    /// How long it took; seconds in JSON.
    #[serde(with = "crate::seconds")]
    pub elapsed: Duration,
    /// What each part used, where its service says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usage: BTreeMap<String, Usage>,
    /// How many questions services were asked.
    #[serde(default)]
    pub calls: u64,
}

/// How drawing ended.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With a picture.
    Drawn(Drawing),
    /// Without one.
    Failed {
        /// The error with all its causes.
        error: String,
        /// Whether a service refused on grounds of its policy.
        refused: bool,
        /// The trace of what was done before, where there is one: a file of JSON.
        trace: Option<String>,
    },
}

/// A picture with what it was made of.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Drawing {
    /// The picture.
    pub picture: StoredPicture,
    /// The draft, where the system has one. It equals the picture where the draft was good enough.
    pub draft: Option<StoredPicture>,
    /// The references that the picture was drawn with.
    pub references: Vec<StoredReference>,
    /// Why the loop stopped.
    pub stop: Option<StopReason>,
    /// The trace: a file of JSON.
    pub trace: Option<String>,
    /// Whether the critic or planner could not say what to change, such as a vision-language model that
    /// declined or whose replies made no sense. The picture was then drawn without it: of what the prompt
    /// itself retrieves, or as the draft is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undetermined: bool,
}

/// A picture in a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredPicture {
    /// The file, relative to [`Results::folder`].
    pub file: String,
    /// BLAKE3 of its size and pixels, in hexadecimal: scores name the picture by it.
    pub hash: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// A reference in a file.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StoredReference {
    /// The reference.
    pub picture: StoredPicture,
    /// What it was found for.
    pub caption: String,
    /// Where it comes from, its license and score.
    pub provenance: Provenance,
}

/// What a metric says of one picture.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ScoreRecord {
    /// [`StoredPicture::hash`] of the picture.
    pub picture: String,
    /// [`MetricRecord::key`] of the metric.
    pub metric: String,
    /// The data set of the item that it was drawn for.
    pub dataset: String,
    /// The item that it was drawn for, by its identifier.
    pub item: String,
    /// The hash of the prompt, and of the identifiers of the real images where the metric compares with
    /// them. A score with another one is out of date.
    pub subject: String,
    /// The number, or why there is none.
    pub outcome: Outcome,
    /// The questions to a judge and its answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
    /// What the judge used, where its service says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the number does not tell by itself, such as real images that could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The number of each run, where a judge was asked several times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<f64>,
}

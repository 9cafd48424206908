//! An experiment's folder to [`Results`].

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::outline::{Outline, PlannedDataset, PlannedItem, Row};
use super::records::{Ended, PictureRecord, ScoreRecord};
use super::store::{Held, PictureKey, ScoreKey};
use super::{Drawing, MetricRecord, Results, SystemRecord};
use crate::evaluation::metric::Outcome;
use crate::{Error, Result};

impl Results {
    /// The results of the newest run in `folder`, as far as it came. No models are needed.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when no experiment was run in `folder`; those of reading it.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let outline = Outline::load(folder)?.ok_or_else(|| {
            Error::invalid_file(folder, "experiment", "a folder with experiment.json", "none")
        })?;
        Ok(assemble(folder, outline, &Held::read(folder)?))
    }

    /// What these results lack, a line for each system and each metric with the counts: pictures and scores
    /// that failed, were refused or are missing. Empty where everything has its picture and its number, or
    /// a metric that does not apply. A table of such results is one of a part.
    pub fn incomplete(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for SystemRecord { name, pictures, .. } in &self.systems {
            let own = || self.pictures.iter().filter(|picture| picture.system == *name);
            let [mut failed, mut refused] = [0; 2];
            for picture in own() {
                if let Ended::Failed { refused: is_refused, .. } = picture.ended {
                    *(if is_refused { &mut refused } else { &mut failed }) += 1;
                }
            }
            let missing = pictures.saturating_sub(own().count());
            lines.extend(line(name, "pictures", *pictures, [failed, refused, missing]));
        }
        for MetricRecord { key, name, .. } in &self.metrics {
            let found: HashMap<_, _> = self
                .scores
                .iter()
                .filter(|score| score.metric == *key)
                .map(|score| ((&score.picture, &score.dataset, &score.item), &score.outcome))
                .collect();
            let ([mut failed, mut refused, mut missing], mut all) = ([0; 3], 0);
            for picture in &self.pictures {
                let Ended::Drawn(Drawing { picture: drawn, .. }) = &picture.ended else { continue };
                all += 1;
                match found.get(&(&drawn.hash, &picture.dataset, &picture.item)) {
                    None => missing += 1,
                    Some(Outcome::Failed(_)) => failed += 1,
                    Some(Outcome::Refused(_)) => refused += 1,
                    Some(Outcome::Value(_) | Outcome::NotApplicable(_)) => {}
                }
            }
            lines.extend(line(name, "scores", all, [failed, refused, missing]));
        }
        lines
    }

    /// A line for each system of which the critic or planner could not always say what to change
    /// ([`Drawing::undetermined`]), with how often. Its rows show what the fallback draws, more than what
    /// the vision-language model is worth.
    pub fn undetermined(&self) -> Vec<String> {
        let of = |SystemRecord { name, .. }: &SystemRecord| {
            let drawn = self.pictures.iter().filter(|picture| picture.system == *name);
            let drawn: Vec<bool> = drawn
                .filter_map(|picture| match &picture.ended {
                    Ended::Drawn(drawing) => Some(drawing.undetermined),
                    Ended::Failed { .. } => None,
                })
                .collect();
            let (all, count) =
                (drawn.len(), drawn.iter().filter(|undetermined| **undetermined).count());
            (count > 0).then(|| {
                format!(
                    "{name}: the critic could not say what to change of {count} of {all} pictures"
                )
            })
        };
        self.systems.iter().filter_map(of).collect()
    }
}

/// `NAME: of ALL WHAT 2 failed, 1 refused`; nothing where nothing is lacking.
fn line(name: &str, what: &str, all: usize, counts: [usize; 3]) -> Option<String> {
    let counts = counts.into_iter().zip(["failed", "were refused", "are missing"]);
    let counts: Vec<String> = counts
        .filter(|(count, _)| *count > 0)
        .map(|(count, how)| format!("{count} {how}"))
        .collect();
    (!counts.is_empty()).then(|| format!("{name}: of {all} {what} {}", counts.join(", ")))
}

pub(super) fn assemble(folder: &Path, outline: Outline, held: &Held) -> Results {
    let mut results = Results { folder: folder.to_owned(), ..Results::default() };
    let mut met = HashSet::new();
    for Known { dataset, item, record } in known(&outline, held) {
        results.pictures.push(record.clone());
        let Ended::Drawn(drawing) = &record.ended else { continue };
        for metric in &outline.metrics {
            let key = ScoreKey {
                picture: drawing.picture.hash.clone(),
                metric: metric.record.key.clone(),
                subject: metric.subject(dataset, item, drawing),
            };
            // Systems that drew the same picture of an item share its score.
            let is_new = met.insert((key.clone(), dataset.record.name.as_str(), item.id.as_str()));
            if let Some(score) = held.scores.get(&key).filter(|_| is_new) {
                let (dataset, item) = (dataset.record.name.clone(), item.id.clone());
                results.scores.push(ScoreRecord { dataset, item, ..score.clone() });
            }
        }
    }
    results.systems = outline.systems;
    results.datasets = outline.datasets.into_iter().map(|dataset| dataset.record).collect();
    results.metrics = outline.metrics.into_iter().map(|metric| metric.record).collect();
    results
}

/// A picture that was drawn, or failed.
pub(super) struct Known<'a> {
    pub(super) dataset: &'a PlannedDataset,
    pub(super) item: &'a PlannedItem,
    pub(super) record: &'a PictureRecord,
}

/// What was tried of all that `outline` asks for, in its order.
pub(super) fn known<'a>(outline: &'a Outline, held: &'a Held) -> impl Iterator<Item = Known<'a>> {
    let rows = outline.rows.iter().filter_map(|row| Some((row, outline.dataset(&row.dataset)?)));
    rows.flat_map(move |(row, dataset)| {
        units(row, dataset).filter_map(move |(item, key)| {
            Some(Known { dataset, item, record: held.pictures.get(&key)? })
        })
    })
}

/// Each item and seed of `row`, with the key of its picture.
pub(super) fn units<'a>(
    row: &'a Row,
    dataset: &'a PlannedDataset,
) -> impl Iterator<Item = (&'a PlannedItem, PictureKey)> {
    dataset
        .planned
        .iter()
        .flat_map(move |item| item.seeds.iter().map(move |&seed| (item, key(row, item, seed))))
}

/// The key of the picture of one item and seed.
pub(super) fn key(row: &Row, item: &PlannedItem, seed: u64) -> PictureKey {
    PictureKey {
        system: row.system.clone(),
        settings: row.settings.clone(),
        dataset: row.dataset.clone(),
        item: item.id.clone(),
        prompt: item.prompt.clone(),
        seed,
    }
}

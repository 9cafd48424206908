//! An experiment's folder to [`Results`].

use std::collections::HashSet;
use std::path::Path;

use super::Results;
use super::outline::{Outline, PlannedDataset, PlannedItem, Row};
use super::records::{Ended, PictureRecord, ScoreRecord};
use super::store::{Held, PictureKey, ScoreKey};
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

//! Results to what every part of a report asks for: the pictures of each system and data set, and the
//! score of each picture by each metric.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::evaluation::experiment::{
    DatasetRecord, Ended, PictureRecord, Results, ScoreRecord, StoredPicture,
};
use crate::evaluation::metric::Outcome;

/// An item of a data set and a seed: what systems are compared on.
pub(super) type Place<'a> = (&'a str, u64);

/// [`Results`] with an index.
pub(super) struct Grid<'a> {
    pub(super) results: &'a Results,
    /// The names of the systems, each once: one that several settings have is told apart by their hash.
    pub(super) systems: Vec<String>,
    /// By system and data set, the pictures by item and seed.
    pictures: Vec<Vec<BTreeMap<Place<'a>, &'a PictureRecord>>>,
    /// By hash of the picture, key of the metric, data set and item. The last counts.
    scores: HashMap<[&'a str; 4], &'a ScoreRecord>,
    /// How many records are of a system, settings or a data set that the results no longer have.
    pub(super) strangers: usize,
}

impl<'a> Grid<'a> {
    pub(super) fn new(results: &'a Results) -> Self {
        let mut pictures =
            vec![vec![BTreeMap::new(); results.datasets.len()]; results.systems.len()];
        let systems: HashMap<_, _> = (results.systems.iter().enumerate())
            .map(|(at, system)| ((&*system.name, &*system.settings), at))
            .collect();
        let datasets: HashMap<_, _> =
            results.datasets.iter().enumerate().map(|(at, set)| (&*set.name, at)).collect();
        let mut strangers = 0;
        for record in &results.pictures {
            let system = systems.get(&(&*record.system, &*record.settings));
            match (system, datasets.get(&*record.dataset)) {
                (Some(&system), Some(&dataset)) => {
                    let place = (&*record.item, record.seed);
                    pictures[system][dataset].insert(place, record);
                }
                _ => strangers += 1,
            }
        }
        let key = |score: &'a ScoreRecord| {
            [&*score.picture, &*score.metric, &*score.dataset, &*score.item]
        };
        let scores = results.scores.iter().map(|score| (key(score), score)).collect();
        Self { results, systems: names(results), pictures, scores, strangers }
    }

    /// The pictures of a system on a data set.
    pub(super) fn pictures(
        &self,
        system: usize,
        dataset: usize,
    ) -> &BTreeMap<Place<'a>, &'a PictureRecord> {
        &self.pictures[system][dataset]
    }

    /// Every item and seed of a data set that any system tried, in the order of the records.
    pub(super) fn places(&self, dataset: usize) -> Vec<Place<'a>> {
        let name = &self.results.datasets[dataset].name;
        let mut seen = BTreeSet::new();
        let of_set = self.results.pictures.iter().filter(|record| record.dataset == *name);
        let places = of_set.map(|record| (&*record.item, record.seed));
        places
            .filter(|place| self.pictures.iter().any(|system| system[dataset].contains_key(place)))
            .filter(|place| seen.insert(*place))
            .collect()
    }

    /// How many pictures a system draws for a data set: one for each item and seed. An item has the
    /// seeds of the set, or one of its own.
    pub(super) fn expected(&self, dataset: usize) -> usize {
        let set = &self.results.datasets[dataset];
        let mut seeds = BTreeMap::<&str, BTreeSet<u64>>::new();
        for (item, seed) in self.places(dataset) {
            seeds.entry(item).or_default().insert(seed);
        }
        let each = set.seeds.len().max(1);
        let known: usize = seeds.values().map(|found| of_item(set, found)).sum();
        known + set.items.saturating_sub(seeds.len()) * each
    }

    /// The system that `system` is compared with, by its own record or by the name `base`.
    pub(super) fn base(&self, system: usize, base: Option<&str>) -> Option<usize> {
        let name = base.or(self.results.systems[system].base.as_deref())?;
        let at = self.systems.iter().position(|label| label == name);
        let at = at.or_else(|| self.results.systems.iter().position(|other| other.name == name));
        at.filter(|&at| at != system)
    }

    /// The score of a picture by a metric.
    pub(super) fn score(&self, record: &PictureRecord, metric: usize) -> Option<&'a ScoreRecord> {
        let hash = &drawn(record)?.hash;
        let key = &self.results.metrics[metric].key;
        self.scores.get(&[hash.as_str(), key, &record.dataset, &record.item]).copied()
    }

    /// What a metric says of a picture; of one that could not be drawn, why not. Nothing where it is not
    /// drawn or scored yet.
    pub(super) fn outcome(&self, record: &PictureRecord, metric: usize) -> Option<Outcome> {
        match &record.ended {
            Ended::Drawn(_) => self.score(record, metric).map(|score| score.outcome.clone()),
            Ended::Failed { error, refused: true, .. } => Some(Outcome::Refused(error.clone())),
            Ended::Failed { error, .. } => Some(Outcome::Failed(error.clone())),
        }
    }

    /// The number that a metric gives a picture, where it gives one.
    pub(super) fn value(&self, record: &PictureRecord, metric: usize) -> Option<f64> {
        match self.score(record, metric)?.outcome {
            Outcome::Value(value) => Some(value).filter(|value| value.is_finite()),
            _ => None,
        }
    }
}

/// The picture of a record, where there is one.
pub(super) fn drawn(record: &PictureRecord) -> Option<&StoredPicture> {
    match &record.ended {
        Ended::Drawn(drawing) => Some(&drawing.picture),
        Ended::Failed { .. } => None,
    }
}

/// The class of a record; of an item without one, the item.
pub(super) fn class(record: &PictureRecord) -> &str {
    record.class.as_deref().unwrap_or(&record.item)
}

/// How many pictures an item has, some seeds of which were tried.
fn of_item(set: &DatasetRecord, tried: &BTreeSet<u64>) -> usize {
    let are_of_set = tried.iter().all(|seed| set.seeds.contains(seed));
    if are_of_set { set.seeds.len().max(1) } else { tried.len() }
}

fn names(results: &Results) -> Vec<String> {
    let label = |(name, settings): (&String, &String)| {
        let same = results.systems.iter().filter(|other| other.name == *name).count();
        let hash: String = settings.chars().take(8).collect();
        if same > 1 { format!("{name} ({hash})") } else { name.clone() }
    };
    results.systems.iter().map(|system| label((&system.name, &system.settings))).collect()
}

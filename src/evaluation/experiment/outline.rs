//! [`Outline`]: an experiment to what its folder tells of it, so that results are read without models.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::hash::hash_of;
use super::{DatasetRecord, Drawing, Experiment, MetricRecord, System, SystemRecord};
use crate::atomic_file::write_bytes;
use crate::error::require;
use crate::evaluation::dataset::{Dataset, Item, RealImage};
use crate::evaluation::metric::Metric;
use crate::{Error, Result, lenient, regular_file};

/// The file of the newest run's outline, in the experiment's folder.
const FILE: &str = "experiment.json";

/// What a run draws and scores: its rows, items and columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Outline {
    pub(super) systems: Vec<SystemRecord>,
    pub(super) datasets: Vec<PlannedDataset>,
    pub(super) metrics: Vec<PlannedMetric>,
    /// Which settings a system has on a data set, in the order of both.
    pub(super) rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PlannedDataset {
    #[serde(flatten)]
    pub(super) record: DatasetRecord,
    pub(super) planned: Vec<PlannedItem>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PlannedItem {
    pub(super) id: String,
    pub(super) prompt: String,
    pub(super) class: Option<String>,
    pub(super) category: Option<String>,
    pub(super) seeds: Vec<u64>,
    /// The hash of the identifiers of the real images that it is compared with.
    pub(super) real_images: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PlannedMetric {
    #[serde(flatten)]
    pub(super) record: MetricRecord,
    /// Whether it compares with real images.
    pub(super) compares: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) system: String,
    pub(super) dataset: String,
    pub(super) settings: String,
    /// The base and its settings there.
    pub(super) base: Option<(String, String)>,
}

impl Outline {
    pub(super) fn of(experiment: &Experiment) -> Result<Self> {
        let Experiment { systems, datasets, metrics, seeds, .. } = experiment;
        experiment.budget.check(&experiment.prices)?;
        require(experiment.concurrency > 0, "concurrency", "at least 1", 0)?;
        named("metrics", metrics.iter().map(ToString::to_string))?;
        named("data sets", datasets.iter().map(|dataset| dataset.name.clone()))?;
        named("systems", systems.iter().map(|system| system.name().to_owned()))?;
        twice(metrics)?;
        unique("names of metrics", metrics.iter().map(ToString::to_string))?;
        unique("names of data sets", datasets.iter().map(|dataset| dataset.name.clone()))?;
        unique("seeds", seeds.iter().map(u64::to_string))?;
        require(!seeds.is_empty(), "seeds", "at least one", 0)?;
        unique(
            "systems on data sets",
            systems.iter().flat_map(|system| {
                let on = datasets.iter().filter(|dataset| system.is_on(&dataset.name));
                on.map(|dataset| format!("{} on {}", system.name(), dataset.name))
            }),
        )?;
        let mut rows = Vec::new();
        for system in systems {
            system.check(datasets)?;
            let on = datasets.iter().filter(|dataset| system.is_on(&dataset.name));
            for dataset in on {
                let base = base_of(systems, system, &dataset.name)?;
                let settings = settings_of(systems, system, &dataset.name, &mut Vec::new())?;
                let (system, dataset) = (system.name().to_owned(), dataset.name.clone());
                rows.push(Row { system, dataset, settings, base });
            }
        }
        let datasets: Vec<PlannedDataset> =
            datasets.iter().map(|one| planned(one, seeds)).collect::<Result<_>>()?;
        Ok(Self {
            systems: records(systems, &rows, &datasets),
            datasets,
            metrics: metrics.iter().map(|metric| metric_record(&**metric)).collect(),
            rows,
        })
    }

    /// That of the newest run in `folder`; `None` where there was none.
    pub(super) fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = regular_file::read(&path)?;
        let invalid = |error| Error::invalid_file(&path, "outline", "one of an experiment", error);
        lenient::json(&bytes).map(Some).map_err(invalid)
    }

    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let invalid = |error| Error::invalid_input("outline", "what JSON can hold", error);
        write_bytes(&path, &serde_json::to_vec_pretty(self).map_err(invalid)?)
    }

    pub(super) fn dataset(&self, name: &str) -> Option<&PlannedDataset> {
        self.datasets.iter().find(|dataset| dataset.record.name == name)
    }
}

impl PlannedMetric {
    /// The hash of what the metric is told about the picture of `drawing`, beside its pixels.
    pub(super) fn subject(
        &self,
        dataset: &PlannedDataset,
        item: &PlannedItem,
        drawing: &Drawing,
    ) -> String {
        let class = item.class.as_ref().and_then(|class| dataset.record.classes.get(class));
        let mut told = vec![item.prompt.as_str(), class.map_or("", String::as_str)];
        if self.compares {
            told.push(&item.real_images);
            told.extend(drawing.references.iter().map(|one| one.picture.hash.as_str()));
        }
        hash_of(told)
    }
}

/// What a picture of `item` is compared with: the item's own real images, else those of its class.
pub(super) fn real_images<'a>(dataset: &'a Dataset, item: &'a Item) -> &'a [RealImage] {
    let class = || item.class.as_deref().and_then(|class| dataset.class(class));
    match item.images.is_empty() {
        true => class().map_or(&[], |class| &class.images),
        false => &item.images,
    }
}

fn planned(dataset: &Dataset, seeds: &[u64]) -> Result<PlannedDataset> {
    let of = |what: &str| format!("{what} of data set {}", dataset.name);
    require(!dataset.items.is_empty(), of("items"), "at least one", 0)?;
    unique(of("items"), dataset.items.iter().map(|item| item.id.clone()))?;
    let classes: BTreeMap<String, String> =
        dataset.classes.iter().map(|class| (class.id.clone(), class.name.clone())).collect();
    let mut images: BTreeMap<&str, String> = BTreeMap::new();
    for class in &dataset.classes {
        images.insert(&class.id, images_hash(&class.images));
    }
    let item = |item: &Item| {
        let of_class = || item.class.as_deref().and_then(|class| images.get(class).cloned());
        PlannedItem {
            id: item.id.clone(),
            prompt: item.prompt.clone(),
            class: item.class.clone(),
            category: item.category.clone(),
            seeds: item.seed.map_or_else(|| seeds.to_owned(), |seed| vec![seed]),
            real_images: match item.images.is_empty() {
                true => of_class().unwrap_or_else(|| images_hash(&[])),
                false => images_hash(&item.images),
            },
        }
    };
    let record = DatasetRecord {
        name: dataset.name.clone(),
        classes,
        items: dataset.items.len(),
        seeds: seeds.to_owned(),
        license: dataset.license.clone(),
        notes: dataset.notes.clone(),
    };
    Ok(PlannedDataset { record, planned: dataset.items.iter().map(item).collect() })
}

fn images_hash(images: &[RealImage]) -> String {
    hash_of(images.iter().map(|image| image.id.as_str()))
}

fn metric_record(metric: &dyn Metric) -> PlannedMetric {
    let fingerprint = metric.fingerprint();
    let record = MetricRecord {
        key: fingerprint.key(),
        name: metric.to_string(),
        fingerprint,
        higher_is_better: metric.higher_is_better(),
        decimals: metric.decimals(),
    };
    PlannedMetric { record, compares: metric.needs_real_images() }
}

/// One for each name: a system that is another on each data set is one row.
fn records(systems: &[System], rows: &[Row], datasets: &[PlannedDataset]) -> Vec<SystemRecord> {
    let pictures = |row: &Row| -> usize {
        let of_row = datasets.iter().filter(|dataset| dataset.record.name == row.dataset);
        of_row.flat_map(|dataset| &dataset.planned).map(|item| item.seeds.len()).sum()
    };
    let mut records: Vec<SystemRecord> = Vec::new();
    for system in systems {
        if records.iter().any(|record| record.name == system.name()) {
            continue;
        }
        let same: Vec<&System> =
            systems.iter().filter(|other| other.name() == system.name()).collect();
        let describe = |system: &&System| match system.only() {
            Some(only) => format!("on {}:\n{}", only.join(", "), system.description()),
            None => system.description(),
        };
        let own = rows.iter().filter(|row| row.system == system.name());
        let mut settings: Vec<&str> = own.map(|row| row.settings.as_str()).collect();
        settings.dedup();
        let of_name = rows.iter().filter(|row| row.system == system.name());
        records.push(SystemRecord {
            name: system.name().to_owned(),
            settings: match settings[..] {
                [one] => one.to_owned(),
                _ => hash_of(settings),
            },
            base: system.base().map(str::to_owned),
            description: same.iter().map(describe).collect::<Vec<_>>().join("\n"),
            pictures: of_name.map(pictures).sum(),
        });
    }
    records
}

fn find<'a>(systems: &'a [System], name: &str, dataset: &str) -> Option<&'a System> {
    systems.iter().find(|system| system.name() == name && system.is_on(dataset))
}

/// The base of `system` on `dataset`, with its settings.
fn base_of(systems: &[System], system: &System, dataset: &str) -> Result<Option<(String, String)>> {
    let Some(name) = system.base() else { return Ok(None) };
    let base = find(systems, name, dataset).ok_or_else(|| {
        let names: Vec<_> = systems.iter().map(System::name).collect();
        let expected = format!("a system on {dataset}, of {}", names.join(", "));
        Error::invalid_input(format!("base of system {}", system.name()), expected, name)
    })?;
    let settings = settings_of(systems, base, dataset, &mut vec![system.name().to_owned()])?;
    Ok(Some((name.to_owned(), settings)))
}

/// The hash of the settings of `system` and of its bases; `above` are the systems that led here.
fn settings_of(
    systems: &[System],
    system: &System,
    dataset: &str,
    above: &mut Vec<String>,
) -> Result<String> {
    let name = system.name().to_owned();
    let is_new = !above.contains(&name);
    above.push(name);
    require(is_new, "bases of systems", "no circle", above.join(" over "))?;
    let base = system.base().and_then(|base| find(systems, base, dataset));
    let base = base.map(|base| settings_of(systems, base, dataset, above)).transpose()?;
    Ok(system.settings_over(base.as_deref()))
}

/// That nothing has a name that a table cannot show.
fn named(what: &str, names: impl Iterator<Item = String>) -> Result<()> {
    for name in names {
        let is_name = !name.trim().is_empty() && !name.contains(char::is_control);
        require(is_name, format!("names of {what}"), "a name on one line", format!("{name:?}"))?;
    }
    Ok(())
}

/// That no metric computes what another one does.
fn twice(metrics: &[Arc<dyn Metric>]) -> Result<()> {
    for (at, metric) in metrics.iter().enumerate() {
        let fingerprint = metric.fingerprint();
        if let Some(other) = metrics[..at].iter().find(|other| other.fingerprint() == fingerprint) {
            let found = format!("{other} and {metric}, both {fingerprint}");
            return Err(Error::invalid_input("metrics", "each once", found));
        }
    }
    Ok(())
}

fn unique(what: impl Into<String>, all: impl Iterator<Item = String>) -> Result<()> {
    let mut met = HashSet::new();
    for one in all {
        if met.contains(&one) {
            return Err(Error::invalid_input(what, "each once", format!("{one} again")));
        }
        met.insert(one);
    }
    Ok(())
}

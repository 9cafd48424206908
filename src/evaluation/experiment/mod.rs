//! [`Experiment`]: systems, data sets and metrics to pictures and scores on disk, each made once.

mod control;
mod cost;
mod draw;
mod hash;
mod journal;
mod lazy;
mod outline;
mod plan;
mod progress;
mod records;
mod results;
mod score;
mod store;
mod system;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::evaluation::dataset::Dataset;
use crate::evaluation::metric::Metric;
use crate::{Price, Result};

pub use cost::{Budget, Spent, money};
pub use journal::{Journal, Records};
pub use plan::{Estimate, Plan, PlannedWork};
pub use progress::{Event, RunSummary, Stop};
pub use records::{
    DatasetRecord, Drawing, Ended, MetricRecord, PictureRecord, Results, ScoreRecord,
    StoredPicture, StoredReference, SystemRecord,
};
pub use system::{Draw, System, SystemError, SystemOutcome};

use control::Control;
use outline::Outline;
use store::{Held, Store};

/// Every system draws every item of every data set once, and every metric scores every picture once. What
/// is done is in the folder, and stays done: a run that was killed goes on where it was, a metric that is
/// added draws nothing, and what is changed of a system draws its pictures again beside the old ones.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// # use imagerag::testing::FakeGenerator;
/// use futures::executor::block_on;
/// use imagerag::evaluation::dataset::{Dataset, Item};
/// use imagerag::evaluation::experiment::{Experiment, System};
///
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-x-{}", std::process::id()));
/// let mut birds = Dataset::new("birds");
/// birds.items = vec![Item::new("1", "A photo of a quetzal"), Item::new("2", "A photo of a kea")];
/// let experiment = Experiment::new(&folder)
///     .system(System::generator("SDXL", FakeGenerator::new()))
///     .dataset(birds)
///     .with_seeds([0, 1]);
///
/// println!("{}", experiment.plan()?);
/// let done = block_on(experiment.run(|event| println!("{event}")))?;
/// assert_eq!((done.drawn, done.failed), (4, 0));
/// assert_eq!(block_on(experiment.run(|_| {}))?.drawn, 0); // Nothing is left to do.
/// assert_eq!(experiment.results()?.pictures.len(), 4);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # The folder
/// - `pictures.jsonl` and `scores.jsonl` are [journals](Journal) of [`PictureRecord`] and [`ScoreRecord`].
/// - `pictures/`, `references/` and `traces/` hold files that are named by the hash of what they hold.
/// - `experiment.json` says what the newest run was to draw and to score.
///
/// Every path in it is relative to the folder, which may be moved.
#[derive(Clone, Debug)]
pub struct Experiment {
    folder: PathBuf,
    systems: Vec<System>,
    datasets: Vec<Arc<Dataset>>,
    metrics: Vec<Arc<dyn Metric>>,
    seeds: Vec<u64>,
    concurrency: usize,
    budget: Budget,
    prices: BTreeMap<String, Price>,
    retries_failed: bool,
    stop: Stop,
}

impl Experiment {
    /// An experiment in `folder`, which is made when it is first run; one that is there goes on.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            systems: Vec::new(),
            datasets: Vec::new(),
            metrics: Vec::new(),
            seeds: vec![0],
            concurrency: 4,
            budget: Budget::default(),
            prices: BTreeMap::new(),
            retries_failed: false,
            stop: Stop::default(),
        }
    }

    /// Adds a system: a row of the tables.
    #[must_use]
    pub fn system(mut self, system: System) -> Self {
        self.systems.push(system);
        self
    }

    /// Adds a data set.
    #[must_use]
    pub fn dataset(mut self, dataset: Dataset) -> Self {
        self.datasets.push(Arc::new(dataset));
        self
    }

    /// Adds a metric: a column of the tables.
    #[must_use]
    pub fn metric(mut self, metric: impl Metric) -> Self {
        self.metrics.push(Arc::new(metric));
        self
    }

    /// The seeds that each item is drawn with, where it has none of its own; 0 alone by default, as one
    /// picture a class is what the paper's standard errors agree with.
    #[must_use]
    pub fn with_seeds(mut self, seeds: impl Into<Vec<u64>>) -> Self {
        self.seeds = seeds.into();
        self
    }

    /// How many pictures of one system are worked on at a time, and how many batches of one metric; at least
    /// 1, and 4 by default. The generator is busy while a vision-language model replies
    /// about other pictures.
    #[must_use]
    pub const fn with_concurrency(mut self, pictures: usize) -> Self {
        self.concurrency = pictures;
        self
    }

    /// The most that all runs together may take: see [`Budget`].
    #[must_use]
    pub const fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// What the part of this name costs: a model's name, as traces and [`Spent::usage`] have it.
    #[must_use]
    pub fn with_price(mut self, part: impl Into<String>, price: Price) -> Self {
        self.prices.insert(part.into(), price);
        self
    }

    /// Whether what failed or was refused in an earlier run is tried again; it is not by default.
    #[must_use]
    pub const fn with_retry_failed(mut self, retry: bool) -> Self {
        self.retries_failed = retry;
        self
    }

    /// What ends a run from elsewhere, such as a handler of Ctrl-C.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Where everything is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a run would do, and what that is expected to take. Nothing is written.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for two systems, data sets, items, metrics or
    /// seeds that cannot be told apart, for a base that is not there, for a name that is empty or has a line
    /// break, and for a concurrency, a budget, a price or a drawing option that makes no sense; those of
    /// reading the folder.
    pub fn plan(&self) -> Result<Plan> {
        let outline = Outline::of(self)?;
        let held = Held::read(&self.folder)?;
        Ok(plan::plan(self, &outline, &held))
    }

    /// Draws and scores what is missing, system after system and then metric after metric, and tells
    /// `on_event` of each. What a dropped future had in progress is lost, and nothing else; what
    /// [`stop`](Self::stop) ends finishes first.
    ///
    /// # Errors
    /// Those of [`plan`](Self::plan); [`Error::Unavailable`](crate::Error::Unavailable) when another run has
    /// the folder open; [`Error::Io`](crate::Error::Io) when it cannot be written. What fails of single
    /// pictures and scores is recorded with them. A system that cannot be loaded, whose key a service does
    /// not take, or whose size or steps its generator cannot draw is given up, and nothing is recorded.
    pub async fn run(&self, mut on_event: impl FnMut(&Event) + Send) -> Result<RunSummary> {
        let outline = Outline::of(self)?;
        let (mut store, mut held) = Store::open(&self.folder)?;
        outline.save(&self.folder)?;
        let mut control = Control::new(self, &held, &mut on_event);
        draw::draw(self, &outline, &mut store, &mut held, &mut control).await?;
        score::score(self, &outline, &mut store, &mut held, &mut control).await?;
        Ok(control.summary(&held))
    }

    /// What there is of this experiment; nothing is drawn or scored.
    ///
    /// # Errors
    /// Those of [`plan`](Self::plan).
    pub fn results(&self) -> Result<Results> {
        let held = Held::read(&self.folder)?;
        Ok(results::assemble(&self.folder, Outline::of(self)?, &held))
    }
}

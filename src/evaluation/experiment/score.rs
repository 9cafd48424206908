//! What is missing of a run's scores to scores, metric after metric.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use futures::stream::FuturesUnordered;

use super::control::{Control, Work};
use super::outline::{Outline, PlannedMetric, real_images};
use super::results::{Known, known};
use super::store::{Held, ScoreKey, Store, read_picture};
use super::{Ended, Experiment, PictureRecord, ScoreRecord, waiting};
use crate::evaluation::dataset::{Class, Dataset, RealImage};
use crate::evaluation::metric::{Metric, Outcome, Score, Subject};
use crate::pool::panic_message;
use crate::reference::Picture;
use crate::{Error, Result};

/// How many pictures a metric is given at once: all are in memory.
const BATCH: usize = 8;

/// A score that is missing.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    key: ScoreKey,
    picture: PictureRecord,
}

pub(super) async fn score(
    experiment: &Experiment,
    outline: &Outline,
    store: &mut Store,
    held: &mut Held,
    control: &mut Control<'_>,
) -> Result<()> {
    for (metric, planned) in experiment.metrics.iter().zip(&outline.metrics) {
        let missing = missing(experiment, outline, held, planned);
        if missing.is_empty() {
            continue;
        }
        let mut work = Work { calls: metric.calls_per_score(), ..Work::default() };
        let known = held.scores.values().filter(|score| score.metric == planned.record.key);
        known.for_each(|score| work.add_score(score));
        control.begin(planned.record.name.clone(), missing.len(), work);
        score_all(experiment, metric, missing, store, held, control).await?;
    }
    Ok(())
}

async fn score_all(
    experiment: &Experiment,
    metric: &Arc<dyn Metric>,
    missing: Vec<Unit>,
    store: &mut Store,
    held: &mut Held,
    control: &mut Control<'_>,
) -> Result<()> {
    let (mut missing, mut running) = (missing.into_iter(), FuturesUnordered::new());
    let (mut broken, mut in_progress) = (None, 0);
    loop {
        while running.len() < experiment.concurrency && broken.is_none() {
            let room = control.room(&held.spent, in_progress);
            let batch: Vec<Unit> = missing.by_ref().take(room.min(BATCH)).collect();
            if batch.is_empty() {
                break;
            }
            in_progress += batch.len();
            let seen = SeenClasses::of(&experiment.datasets, &batch);
            running
                .push(attempt(Arc::clone(metric), experiment.folder.clone(), batch, seen).boxed());
        }
        let tell = |elapsed| control.waiting(format!("{in_progress} scores of {metric}"), elapsed);
        let Some((records, error)) = waiting::next(&mut running, tell).await else { break };
        in_progress = in_progress.saturating_sub(records.len());
        for record in records {
            store.scores.append(&record)?;
            held.add_score(record.clone());
            control.score(record, &held.spent);
        }
        broken = broken.or(error);
    }
    if let Some(error) = broken {
        control.give_up(&metric.to_string(), missing.len(), &error);
    }
    Ok(())
}

/// What `metric` has not scored yet of the pictures that are drawn; with what failed where that is tried
/// again.
pub(super) fn missing(
    experiment: &Experiment,
    outline: &Outline,
    held: &Held,
    metric: &PlannedMetric,
) -> Vec<Unit> {
    let (mut missing, mut met) = (Vec::new(), HashSet::new());
    for Known { dataset, item, record: picture } in known(outline, held) {
        let Ended::Drawn(drawing) = &picture.ended else { continue };
        let key = ScoreKey {
            picture: drawing.picture.hash.clone(),
            metric: metric.record.key.clone(),
            subject: metric.subject(dataset, item, drawing),
        };
        let is_done = match held.scores.get(&key).map(|score| &score.outcome) {
            None => false,
            Some(Outcome::Failed(_) | Outcome::Refused(_)) => !experiment.retries_failed,
            Some(_) => true,
        };
        if !is_done && met.insert(key.clone()) {
            missing.push(Unit { key, picture: picture.clone() });
        }
    }
    // Pictures of a class together: its real images are looked at once.
    missing.sort_by(|a: &Unit, b| {
        (&a.picture.dataset, &a.picture.class).cmp(&(&b.picture.dataset, &b.picture.class))
    });
    missing
}

type Compared = (Option<Arc<Class>>, Arc<[RealImage]>);

/// What the pictures of a batch are compared with. It is made for each batch, so that the pixels of real
/// images go with it.
struct SeenClasses(HashMap<(String, String), Compared>);

impl SeenClasses {
    fn of(datasets: &[Arc<Dataset>], batch: &[Unit]) -> Self {
        let mut seen = HashMap::new();
        for PictureRecord { dataset, item, .. } in batch.iter().map(|unit| &unit.picture) {
            let known = datasets.iter().find(|one| one.name == *dataset);
            let found =
                known.and_then(|one| Some((one, one.items.iter().find(|it| it.id == *item)?)));
            let Some((known, item)) = found else { continue };
            let key = (dataset.clone(), item.id.clone());
            seen.entry(key).or_insert_with(|| {
                let class = item.class.as_deref().and_then(|class| known.class(class));
                let images = real_images(known, item).iter().map(forgetful).collect();
                (class.map(|class| Arc::new(class.clone())), images)
            });
        }
        Self(seen)
    }
}

fn forgetful(image: &RealImage) -> RealImage {
    RealImage { picture: image.picture.forgetful(), ..image.clone() }
}

/// The scores of `batch`; where the metric fails as a whole they are failures, and its error is told too.
async fn attempt(
    metric: Arc<dyn Metric>,
    root: PathBuf,
    batch: Vec<Unit>,
    seen: SeenClasses,
) -> (Vec<ScoreRecord>, Option<String>) {
    let (mut records, mut asked, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    for unit in batch {
        let Ended::Drawn(drawing) = &unit.picture.ended else { continue };
        let image = match read_picture(&root, &drawing.picture).await {
            Ok(image) => image,
            Err(error) => {
                let failed = Outcome::Failed(error.chain().to_string());
                records.push(record(unit, failed.into()));
                continue;
            }
        };
        let mut subject = Subject::new(image, &unit.picture.prompt);
        let key = (unit.picture.dataset.clone(), unit.picture.item.clone());
        if let Some((class, images)) = seen.0.get(&key) {
            subject.class.clone_from(class);
            subject.real_images = Arc::clone(images);
        }
        let references = drawing.references.iter();
        subject.excluded = references.clone().map(|one| one.picture.hash.clone()).collect();
        let files = references.map(|one| Picture::file(root.join(&one.picture.file)));
        subject.references = files.collect();
        subjects.push(subject);
        asked.push(unit);
    }
    let scores = AssertUnwindSafe(metric.score(&subjects)).catch_unwind().await;
    let scores = scores.unwrap_or_else(|panic| {
        let said = format!("it panicked: {}", panic_message(panic.as_ref()));
        Err(Error::backend(metric.to_string(), said))
    });
    let scores = scores.and_then(|scores| match scores.len() == asked.len() {
        true => Ok(scores),
        false => {
            let found = format!("{} scores of {} pictures", scores.len(), asked.len());
            Err(Error::backend(metric.to_string(), format!("expected one each, found {found}")))
        }
    });
    match scores {
        Ok(scores) => {
            records.extend(asked.into_iter().zip(scores).map(|(unit, score)| record(unit, score)));
            (records, None)
        }
        Err(error) => {
            let outcome = Outcome::of_error(&error);
            records.extend(asked.into_iter().map(|unit| record(unit, outcome.clone().into())));
            (records, Some(error.chain().to_string()))
        }
    }
}

fn record(unit: Unit, score: Score) -> ScoreRecord {
    let Unit { key, picture } = unit;
    let Score { outcome, exchanges, usage, notes, runs } = score;
    let outcome = match outcome {
        // JSON has no number that is not finite.
        Outcome::Value(value) => Score::value(value).outcome,
        outcome => outcome,
    };
    ScoreRecord {
        picture: key.picture,
        metric: key.metric,
        dataset: picture.dataset,
        item: picture.item,
        subject: key.subject,
        outcome,
        exchanges,
        usage,
        notes,
        runs,
    }
}

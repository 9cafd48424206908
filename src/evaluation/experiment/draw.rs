//! What is missing of a run's pictures to pictures, many at a time and each acknowledged when it is on the
//! disk.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Instant;

use futures::FutureExt;
use futures::stream::FuturesUnordered;

use super::control::{Control, Work};
use super::outline::{Outline, PlannedItem, Row};
use super::results::{key, units};
use super::store::{Held, PictureKey, Store, keep_picture, keep_trace, read_picture};
use super::{
    Drawing, Ended, Experiment, PictureRecord, StoredPicture, StoredReference, System, SystemError,
    SystemOutcome, waiting,
};
use crate::critic::Verdict;
use crate::pipeline::{RagTrace, Record, StageTrace, StopReason};
use crate::pool::panic_message;
use crate::{Error, Result};

/// After so many failures in a row, which are no refusals, a system is given up for this run: a service
/// that is down would fail everything.
const FAILURES_IN_A_ROW: usize = 10;

/// What every picture of a system is asked for with, by the names that errors have.
const OPTIONS: [&str; 5] = ["width", "height", "steps", "guidance_scale", "negative_prompt"];

/// Where pictures are, and where the references are that they were drawn with.
const PICTURES: &str = "pictures";
const REFERENCES: &str = "references";

/// A picture that is missing.
#[derive(Clone, Debug)]
pub(super) struct Unit<'a> {
    pub(super) row: &'a Row,
    pub(super) item: &'a PlannedItem,
    pub(super) seed: u64,
}

/// The draft of a picture.
enum Draft {
    /// The system draws it itself.
    Own,
    Of(StoredPicture),
    /// The base has no picture: why, and whether it was refused.
    Failed(String, bool),
    /// The base was not tried yet.
    Missing,
}

pub(super) async fn draw(
    experiment: &Experiment,
    outline: &Outline,
    store: &mut Store,
    held: &mut Held,
    control: &mut Control<'_>,
) -> Result<()> {
    for system in bases_first(&experiment.systems) {
        let missing = missing(experiment, outline, held, system);
        if missing.is_empty() {
            continue;
        }
        control.begin(system.name().to_owned(), missing.len(), work(outline, held, system));
        let drawn = draw_all(experiment, system, missing, store, held, control).await;
        system.finished();
        drawn?;
    }
    Ok(())
}

/// What is known of the costs of `system`.
fn work(outline: &Outline, held: &Held, system: &System) -> Work {
    let calls = system.calls_per_picture();
    let mut work = Work { draws: true, calls, ..Work::default() };
    let rows = outline.rows.iter().filter(|row| row.system == system.name());
    for row in rows {
        let Some(dataset) = outline.dataset(&row.dataset) else { continue };
        let known = units(row, dataset).filter_map(|(_, key)| held.pictures.get(&key));
        known.for_each(|record| work.add_picture(record));
    }
    work
}

/// What became of a picture that was begun.
enum Attempt {
    /// It was drawn, or failed.
    Ended(Box<PictureRecord>),
    /// The system cannot draw any.
    Broken(String),
}

async fn draw_all(
    experiment: &Experiment,
    system: &System,
    missing: Vec<Unit<'_>>,
    store: &mut Store,
    held: &mut Held,
    control: &mut Control<'_>,
) -> Result<()> {
    let name = system.name();
    if control.room(&held.spent, 0) == 0 {
        return Ok(());
    }
    if let Err(error) = system.prepare().await {
        control.give_up(name, missing.len(), &error.chain().to_string());
        return Ok(());
    }
    let (mut missing, mut running) = (missing.into_iter(), FuturesUnordered::new());
    let (mut failures, mut without_draft, mut broken) = (0, 0, None);
    let mut not_tried = 0;
    loop {
        while running.len() < experiment.concurrency
            && failures < FAILURES_IN_A_ROW
            && broken.is_none()
            && control.room(&held.spent, running.len()) > 0
            && let Some(unit) = missing.next()
        {
            let draft = draft(held, &unit);
            if matches!(draft, Draft::Missing) {
                without_draft += 1;
                continue;
            }
            let record = empty_record(&unit);
            running.push(attempt(system.clone(), experiment.folder.clone(), record, draft).boxed());
        }
        let count = running.len();
        let tell = |elapsed| control.waiting(format!("{count} pictures of {name}"), elapsed);
        let Some(attempt) = waiting::next(&mut running, tell).await else { break };
        let record = match attempt? {
            Attempt::Ended(record) => *record,
            Attempt::Broken(error) => {
                not_tried += 1;
                broken.get_or_insert(error);
                continue;
            }
        };
        failures = match &record.ended {
            Ended::Failed { refused: false, .. } => failures + 1,
            _ => 0,
        };
        store.pictures.append(&record)?;
        held.add_picture(record.clone());
        control.picture(record, &held.spent);
    }
    if without_draft > 0 {
        control.note(format!("{name}: {without_draft} pictures wait for those of its base"));
    }
    let left = missing.len() + not_tried;
    if let Some(error) = broken {
        control.give_up(name, left, &error);
    } else if failures >= FAILURES_IN_A_ROW {
        control.give_up(name, left, &format!("{failures} failures in a row"));
    }
    Ok(())
}

/// What `system` has not drawn yet; with what failed where that is tried again.
pub(super) fn missing<'a>(
    experiment: &Experiment,
    outline: &'a Outline,
    held: &Held,
    system: &System,
) -> Vec<Unit<'a>> {
    let rows =
        outline.rows.iter().filter(|row| row.system == system.name() && system.is_on(&row.dataset));
    let mut missing = Vec::new();
    for row in rows {
        let Some(dataset) = outline.dataset(&row.dataset) else { continue };
        for (item, key) in units(row, dataset) {
            let is_done = match held.pictures.get(&key).map(|record| &record.ended) {
                None => false,
                Some(Ended::Failed { .. }) => !experiment.retries_failed,
                // A folder may have been copied in part.
                Some(Ended::Drawn(drawing)) => {
                    experiment.folder.join(&drawing.picture.file).exists()
                }
            };
            if !is_done {
                missing.push(Unit { row, item, seed: key.seed });
            }
        }
    }
    missing
}

/// The systems in their order, but each behind its base.
pub(super) fn bases_first(systems: &[System]) -> Vec<&System> {
    fn add<'a>(systems: &'a [System], system: &'a System, ordered: &mut Vec<&'a System>) {
        if ordered.iter().any(|met| std::ptr::eq(*met, system)) {
            return;
        }
        // `Outline::of` has refused circles.
        for base in systems.iter().filter(|other| Some(other.name()) == system.base()) {
            add(systems, base, ordered);
        }
        ordered.push(system);
    }
    let mut ordered = Vec::new();
    systems.iter().for_each(|system| add(systems, system, &mut ordered));
    ordered
}

fn draft(held: &Held, unit: &Unit<'_>) -> Draft {
    let Some((base, settings)) = &unit.row.base else { return Draft::Own };
    let own = key(unit.row, unit.item, unit.seed);
    let of_base = PictureKey { system: base.clone(), settings: settings.clone(), ..own };
    match held.pictures.get(&of_base).map(|record| &record.ended) {
        None => Draft::Missing,
        Some(Ended::Drawn(drawing)) => Draft::Of(drawing.picture.clone()),
        Some(Ended::Failed { error, refused, .. }) => {
            Draft::Failed(format!("{base}, its base, has no picture: {error}"), *refused)
        }
    }
}

fn empty_record(unit: &Unit<'_>) -> PictureRecord {
    let Unit { row, item, seed } = unit;
    PictureRecord {
        system: row.system.clone(),
        settings: row.settings.clone(),
        dataset: row.dataset.clone(),
        item: item.id.clone(),
        seed: *seed,
        prompt: item.prompt.clone(),
        class: item.class.clone(),
        category: item.category.clone(),
        ended: Ended::Failed { error: String::new(), refused: false, trace: None },
        elapsed: std::time::Duration::ZERO,
        usage: std::collections::BTreeMap::new(),
        calls: 0,
    }
}

/// Draws one picture, and writes its files.
async fn attempt(
    system: System,
    root: PathBuf,
    mut record: PictureRecord,
    draft: Draft,
) -> Result<Attempt> {
    let ended = |record| Ok(Attempt::Ended(Box::new(record)));
    let draft = match draft {
        Draft::Own | Draft::Missing => None,
        Draft::Of(stored) => match read_picture(&root, &stored).await {
            Ok(image) => Some(image),
            Err(error) => return ended(failed(record, error.chain().to_string(), false)),
        },
        Draft::Failed(error, refused) => return ended(failed(record, error, refused)),
    };
    let began = Instant::now();
    let drawing = AssertUnwindSafe(system.draw(&record.prompt, record.seed, draft)).catch_unwind();
    let drawn = drawing.await.unwrap_or_else(|panic| {
        let said = format!("it panicked: {}", panic_message(panic.as_ref()));
        Err(Error::backend(system.name(), said).into())
    });
    record.elapsed = began.elapsed();
    match drawn {
        Ok(outcome) => ended(finished(&root, record, outcome).await?),
        Err(SystemError { source, .. }) if is_about_system(&source) => {
            Ok(Attempt::Broken(source.chain().to_string()))
        }
        Err(SystemError { source, trace }) => {
            if let Some(trace) = &trace {
                account(&mut record, trace);
            }
            let refused = matches!(*source, Error::Refused { .. });
            let trace = match trace {
                Some(trace) => Some(keep_trace(&root, trace.to_json()).await?),
                None => None,
            };
            let error = source.chain().to_string();
            record.ended = Ended::Failed { error, refused, trace };
            ended(record)
        }
    }
}

/// Whether every picture of the system would fail so: for what it is asked for with each, for its key or
/// model, or because its parts do not fit each other.
fn is_about_system(error: &Error) -> bool {
    match error {
        Error::InvalidInput { what, .. } => OPTIONS.contains(&what.as_str()),
        Error::Incompatible { .. } | Error::MissingPart { .. } => true,
        error => error.is_about_access(),
    }
}

async fn finished(
    root: &std::path::Path,
    mut record: PictureRecord,
    outcome: SystemOutcome,
) -> Result<PictureRecord> {
    let SystemOutcome { image, draft, references, stop, trace, usage } = outcome;
    record.usage = usage;
    if let Some(trace) = &trace {
        account(&mut record, trace);
    }
    let mut drawing = Drawing {
        picture: keep_picture(root, PICTURES, image).await?,
        draft: None,
        references: Vec::new(),
        stop,
        trace: None,
        undetermined: trace.as_ref().is_some_and(is_undetermined),
    };
    if let Some(draft) = draft {
        drawing.draft = Some(keep_picture(root, PICTURES, draft).await?);
    }
    for reference in references {
        let picture = match reference.picture.load().await {
            Ok(image) => keep_picture(root, REFERENCES, image).await?,
            Err(error) => return Ok(failed(record, error.chain().to_string(), false)),
        };
        let (caption, provenance) = (reference.caption.text, reference.provenance);
        drawing.references.push(StoredReference { picture, caption, provenance });
    }
    if let Some(trace) = trace {
        drawing.trace = Some(keep_trace(root, trace.to_json()).await?);
    }
    record.ended = Ended::Drawn(drawing);
    Ok(record)
}

/// Whether the critic or planner of a request could not say what to change.
fn is_undetermined(trace: &RagTrace) -> bool {
    let could_not_say = |stage: &StageTrace| match &stage.record {
        Some(Record::Captions { fallback, .. }) => *fallback,
        Some(Record::Critique(critique)) => critique.verdict == Verdict::Undetermined,
        Some(Record::Plan { edits }) => edits.is_none(),
        // A reply that is no prompt leaves the prompt as it is.
        Some(Record::Rephrased(prompt)) => {
            let mut replies = stage.exchanges.iter().filter_map(|exchange| exchange.reply.as_ref());
            *prompt == trace.prompt
                && !replies.next_back().is_some_and(|reply| reply.contains(prompt))
        }
        _ => false,
    };
    let stop = trace.stop;
    matches!(stop, Some(StopReason::Undetermined | StopReason::NoPlan))
        || trace.stages.iter().any(could_not_say)
}

fn failed(mut record: PictureRecord, error: String, refused: bool) -> PictureRecord {
    record.ended = Ended::Failed { error, refused, trace: None };
    record
}

/// Adds what `trace` says of costs.
fn account(record: &mut PictureRecord, trace: &RagTrace) {
    record.calls += trace.exchanges().count() as u64;
    for (part, usage) in trace.usage_by_part() {
        *record.usage.entry(part.to_owned()).or_default() += usage;
    }
}

//! The pictures of each prompt, system by system, as the page shows them.

use serde::Serialize;
use serde_json::Value;

use super::pictures::Pictures;
use super::traces::Traces;
use crate::evaluation::experiment::{Drawing, Ended, PictureRecord, StoredReference};
use crate::evaluation::metric::Outcome;
use crate::evaluation::report::grid::{Grid, Place, class};
use crate::pipeline::StopReason;
use crate::pipeline::page::{ExchangeView, HitView};

/// A prompt with a seed.
#[derive(Serialize)]
pub(super) struct ItemView<'a> {
    dataset: usize,
    item: &'a str,
    seed: u64,
    prompt: &'a str,
    class: &'a str,
    class_name: Option<&'a str>,
    category: Option<&'a str>,
    /// One for each system; none where it was not tried.
    records: Vec<Option<RecordView<'a>>>,
}

/// What a system made of it.
#[derive(Serialize)]
struct RecordView<'a> {
    /// `drawn`, `references`, `draft`, `failed` or `refused`.
    outcome: &'static str,
    picture: Option<String>,
    file: Option<&'a str>,
    draft: Option<String>,
    references: Vec<HitView>,
    stop: Option<String>,
    /// Whether the critic could not say what to change.
    undetermined: bool,
    error: Option<&'a str>,
    elapsed: f64,
    usage: Vec<(&'a str, String)>,
    /// One for each metric; none where it was not scored.
    scores: Vec<Option<ScoreView>>,
    trace: Value,
    /// Where the trace is a file: its address.
    trace_file: Option<String>,
}

#[derive(Serialize)]
struct ScoreView {
    value: Option<f64>,
    /// Why there is no number.
    problem: Option<String>,
    exchanges: Value,
}

/// Every prompt and seed, in the order of the results. Pictures and traces that it shows are asked for.
pub(super) fn all<'a>(
    grid: &Grid<'a>,
    pictures: &mut Pictures<'a>,
    traces: &mut Traces,
) -> Vec<ItemView<'a>> {
    let mut items = Vec::new();
    for dataset in 0..grid.results.datasets.len() {
        for place in grid.places(dataset) {
            items.extend(item(grid, dataset, place, pictures, traces));
        }
    }
    items
}

fn item<'a>(
    grid: &Grid<'a>,
    dataset: usize,
    place: Place<'a>,
    pictures: &mut Pictures<'a>,
    traces: &mut Traces,
) -> Option<ItemView<'a>> {
    let records: Vec<Option<&'a PictureRecord>> = (0..grid.systems.len())
        .map(|system| grid.pictures(system, dataset).get(&place).copied())
        .collect();
    let first = records.iter().flatten().next()?;
    let class = class(first);
    let record = |record: Option<&'a PictureRecord>| Some(view(grid, record?, pictures, traces));
    Some(ItemView {
        dataset,
        item: place.0,
        seed: place.1,
        prompt: &first.prompt,
        class,
        class_name: grid.results.datasets[dataset].classes.get(class).map(String::as_str),
        category: first.category.as_deref(),
        records: records.iter().copied().map(record).collect(),
    })
}

fn view<'a>(
    grid: &Grid<'a>,
    record: &'a PictureRecord,
    pictures: &mut Pictures<'a>,
    traces: &mut Traces,
) -> RecordView<'a> {
    let usage = record.usage.iter().map(|(part, used)| (&**part, used.to_string()));
    let scores = (0..grid.results.metrics.len()).map(|metric| {
        let score = grid.score(record, metric)?;
        let (value, problem) = match &score.outcome {
            Outcome::Value(value) => (Some(*value).filter(|value| value.is_finite()), None),
            Outcome::NotApplicable(why) => (None, Some(format!("not applicable: {why}"))),
            Outcome::Refused(why) => (None, Some(format!("refused: {why}"))),
            Outcome::Failed(why) => (None, Some(format!("failed: {why}"))),
        };
        let exchanges: Vec<ExchangeView> = score.exchanges.iter().map(Into::into).collect();
        Some(ScoreView { value, problem, exchanges: traces.shared(&exchanges) })
    });
    let scores = scores.collect();
    let mut view = RecordView {
        outcome: "drawn",
        picture: None,
        file: None,
        draft: None,
        references: Vec::new(),
        stop: None,
        undetermined: false,
        error: None,
        elapsed: record.elapsed.as_secs_f64(),
        usage: usage.collect(),
        scores,
        trace: Value::Null,
        trace_file: None,
    };
    let (trace, references) = match &record.ended {
        Ended::Drawn(drawing) => {
            fill(&mut view, drawing, pictures);
            (&drawing.trace, &*drawing.references)
        }
        Ended::Failed { error, refused, trace } => {
            view.outcome = if *refused { "refused" } else { "failed" };
            view.error = Some(error);
            (trace, &[][..])
        }
    };
    if let Some(trace) = trace {
        (view.trace, view.trace_file) = traces.add(trace, references, &view.draft, &view.picture);
    }
    view
}

fn fill<'a>(view: &mut RecordView<'a>, drawing: &'a Drawing, pictures: &mut Pictures<'a>) {
    view.picture = Some(pictures.add(&drawing.picture));
    view.file = Some(&drawing.picture.file);
    view.draft = drawing.draft.as_ref().map(|draft| pictures.add(draft));
    let reference = |reference: &'a StoredReference| {
        let key = pictures.add(&reference.picture);
        HitView::of(&reference.caption, &reference.provenance, Some(key))
    };
    view.references = drawing.references.iter().map(reference).collect();
    view.undetermined = drawing.undetermined;
    view.stop = drawing.stop.map(|stop| stop.to_string());
    let is_draft = view.draft.is_some() && view.draft == view.picture;
    view.outcome = match drawing.stop {
        _ if is_draft => "draft",
        Some(StopReason::Matched { round: 0 }) => "draft",
        _ if view.references.is_empty() => "drawn",
        _ => "references",
    };
}

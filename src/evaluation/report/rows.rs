//! Results to JSON lines: one a picture, with everything that is known of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::grid::Grid;
use super::table::metric_name;
use crate::Usage;
use crate::evaluation::experiment::{
    Ended, MetricRecord, PictureRecord, Results, StoredPicture, StoredReference,
};
use crate::evaluation::metric::{Fingerprint, Outcome};
use crate::pipeline::StopReason;
use crate::vlm::Exchange;

/// One picture as a line.
#[derive(Serialize)]
struct Line<'a> {
    system: &'a str,
    settings: &'a str,
    dataset: &'a str,
    item: &'a str,
    seed: u64,
    class: Option<&'a str>,
    class_name: Option<&'a str>,
    category: Option<&'a str>,
    prompt: &'a str,
    file: Option<&'a str>,
    hash: Option<&'a str>,
    error: Option<&'a str>,
    refused: bool,
    stop: Option<StopReason>,
    undetermined: bool,
    draft: Option<&'a StoredPicture>,
    references: &'a [StoredReference],
    trace: Option<&'a str>,
    elapsed: f64,
    usage: &'a BTreeMap<String, Usage>,
    scores: BTreeMap<String, ScoreLine<'a>>,
}

#[derive(Serialize)]
struct ScoreLine<'a> {
    key: &'a str,
    fingerprint: &'a Fingerprint,
    outcome: &'a Outcome,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    exchanges: &'a [Exchange],
}

/// Every picture that was tried, one JSON object a line: system, item, class, seed, prompt; the file
/// with its hash, or the error; draft, references with source and license, the file of the trace; and
/// what each metric says of it, with the metric's fingerprint and the words of a judge. Files are
/// relative to [`Results::folder`].
pub fn to_jsonl(results: &Results) -> String {
    let grid = Grid::new(results);
    let mut lines = String::new();
    for dataset in 0..results.datasets.len() {
        for place in grid.places(dataset) {
            for system in 0..results.systems.len() {
                if let Some(record) = grid.pictures(system, dataset).get(&place) {
                    match serde_json::to_string(&line(&grid, dataset, record)) {
                        Ok(line) => lines.extend([line.as_str(), "\n"]),
                        Err(error) => drop(writeln!(lines, "{{\"error\": \"{error}\"}}")),
                    }
                }
            }
        }
    }
    lines
}

fn line<'a>(grid: &Grid<'a>, dataset: usize, record: &'a PictureRecord) -> Line<'a> {
    let classes = &grid.results.datasets[dataset].classes;
    let scores = (0..grid.results.metrics.len()).filter_map(|metric| {
        let score = grid.score(record, metric)?;
        let MetricRecord { key, fingerprint, .. } = &grid.results.metrics[metric];
        let (outcome, exchanges) = (&score.outcome, &*score.exchanges);
        let line = ScoreLine { key, fingerprint, outcome, exchanges };
        Some((metric_name(grid.results, metric), line))
    });
    let (drawing, error, refused, trace) = match &record.ended {
        Ended::Drawn(drawing) => (Some(drawing), None, false, &drawing.trace),
        Ended::Failed { error, refused, trace } => (None, Some(&**error), *refused, trace),
    };
    Line {
        system: &record.system,
        settings: &record.settings,
        dataset: &record.dataset,
        item: &record.item,
        seed: record.seed,
        class: record.class.as_deref(),
        class_name: record.class.as_ref().and_then(|class| classes.get(class)).map(String::as_str),
        category: record.category.as_deref(),
        prompt: &record.prompt,
        file: drawing.map(|drawing| &*drawing.picture.file),
        hash: drawing.map(|drawing| &*drawing.picture.hash),
        error,
        refused,
        stop: drawing.and_then(|drawing| drawing.stop),
        undetermined: drawing.is_some_and(|drawing| drawing.undetermined),
        draft: drawing.and_then(|drawing| drawing.draft.as_ref()),
        references: drawing.map_or(&[], |drawing| &drawing.references),
        trace: trace.as_deref(),
        elapsed: record.elapsed.as_secs_f64(),
        usage: &record.usage,
        scores: scores.collect(),
    }
}

//! [`Table`]: systems as rows, metrics on data sets as columns, means with standard errors as cells.

mod csv;
mod latex;
mod markdown;

pub(super) use markdown::{escaped, markdown};

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::grid::{Grid, class};
use crate::evaluation::experiment::Results;
use crate::evaluation::statistics::{Paired, Resampling, Summary, holm};

/// How well each system does on each data set by each metric.
///
/// A cell is the mean over classes with its standard error; pictures of one class are averaged first.
/// What has no number is counted beside it, and never averaged. [`to_markdown`](Self::to_markdown),
/// [`to_latex`](Self::to_latex) and [`to_csv`](Self::to_csv) write it.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Table {
    /// The columns: each data set, and in it each metric.
    pub columns: Vec<Column>,
    /// The rows: the systems in the order of the results.
    pub rows: Vec<Row>,
}

/// A metric on a data set.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Column {
    /// The data set's name.
    pub dataset: String,
    /// The metric's name. Where several metrics have one name, it ends in the model of its own, such as
    /// `CLIP (ViT-B-32)`, or in its key where the models do not tell them apart.
    pub metric: String,
    /// The metric's name alone, which several columns of a data set may have.
    pub metric_name: String,
    /// How the number is computed, in one line.
    pub fingerprint: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// How many decimals are shown.
    pub decimals: usize,
}

/// A system.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Row {
    /// The system's name. Where several settings have one name, it ends in the hash of its own.
    pub system: String,
    /// The system's name alone, which several rows may have.
    pub system_name: String,
    /// The system that it is compared with.
    pub base: Option<String>,
    /// One for each column.
    pub cells: Vec<Cell>,
}

/// A number of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Cell {
    /// The mean, its standard error, and what was left out of it.
    pub summary: Summary,
    /// Whether no other system is better, as far as the decimals that are shown tell.
    pub best: bool,
    /// How much it differs from the base system on the same items and seeds.
    pub difference: Option<Difference>,
}

/// A paired difference to the base system.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The mean difference with its standard error, interval and test.
    pub paired: Paired,
    /// The p-value of the sign-flip test, adjusted by Holm's method for the data sets on which the
    /// system is compared by this metric.
    pub p_value: Option<f64>,
}

/// What a table compares.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TableOptions {
    /// Whether systems are compared with their base system.
    pub differences: bool,
    /// The system that all others are compared with; otherwise each with its own
    /// ([`SystemRecord::base`](crate::evaluation::experiment::SystemRecord::base)).
    pub base: Option<String>,
    /// Number and seed of the resamples of tests and intervals.
    pub resampling: Resampling,
}

impl TableOptions {
    /// Compares systems with their base system.
    #[must_use]
    pub fn with_differences(mut self) -> Self {
        self.differences = true;
        self
    }

    /// Compares all systems with the one of this name.
    #[must_use]
    pub fn with_base(mut self, name: impl Into<String>) -> Self {
        (self.differences, self.base) = (true, Some(name.into()));
        self
    }
}

impl Table {
    /// The table of all systems, data sets and metrics of `results`.
    pub fn of(results: &Results, options: &TableOptions) -> Self {
        Self::of_grid(&Grid::new(results), options)
    }

    pub(super) fn of_grid(grid: &Grid<'_>, options: &TableOptions) -> Self {
        let Results { datasets, metrics, .. } = grid.results;
        let mut columns = Vec::new();
        let mut places = Vec::new();
        for (d, dataset) in datasets.iter().enumerate() {
            for (m, metric) in metrics.iter().enumerate() {
                places.push((d, m));
                columns.push(Column {
                    dataset: dataset.name.clone(),
                    metric: metric_name(grid.results, m),
                    metric_name: metric.name.clone(),
                    fingerprint: metric.fingerprint.to_string(),
                    higher_is_better: metric.higher_is_better,
                    decimals: metric.decimals,
                });
            }
        }
        let expected: Vec<_> = (0..datasets.len()).map(|dataset| grid.expected(dataset)).collect();
        let row = |system: usize| {
            let base = grid.base(system, options.base.as_deref()).filter(|_| options.differences);
            let cell = |&(dataset, metric): &(usize, usize)| Cell {
                summary: summary(grid, system, dataset, metric, expected[dataset]),
                best: false,
                difference: base.map(|base| Difference {
                    paired: paired(grid, [base, system], dataset, metric, options.resampling),
                    p_value: None,
                }),
            };
            let cells = places.iter().map(cell).collect();
            let base = base.map(|base| grid.systems[base].clone());
            let system_name = grid.results.systems[system].name.clone();
            Row { system: grid.systems[system].clone(), system_name, base, cells }
        };
        // Intervals and tests draw 10,000 times for each cell.
        let rows = (0..grid.systems.len()).into_par_iter().map(row).collect();
        let mut table = Self { rows, columns };
        table.mark_best();
        table.adjust(&places);
        table
    }

    /// Marks the best number of each column, and all that look the same.
    fn mark_best(&mut self) {
        for (at, column) in self.columns.iter().enumerate() {
            let sign = if column.higher_is_better { 1.0 } else { -1.0 };
            let shown = |mean: f64| number(mean, column.decimals);
            let means = self.rows.iter().filter_map(|row| row.cells[at].summary.mean);
            let Some(best) = means.max_by(|a, b| (sign * a).total_cmp(&(sign * b))) else {
                continue;
            };
            for row in &mut self.rows {
                let cell = &mut row.cells[at];
                cell.best = cell.summary.mean.is_some_and(|mean| shown(mean) == shown(best));
            }
        }
    }

    /// Adjusts the p-values of each system and metric for the number of data sets.
    fn adjust(&mut self, places: &[(usize, usize)]) {
        let metrics = places.iter().map(|(_, metric)| metric + 1).max().unwrap_or(0);
        for row in &mut self.rows {
            for metric in 0..metrics {
                let of_metric = |at: &usize| places[*at].1 == metric;
                let columns: Vec<_> = (0..places.len()).filter(of_metric).collect();
                let p_value = |cell: &Cell| Some(cell.difference?.paired.test?.p_value);
                let raw: Vec<_> =
                    columns.iter().map(|&at| p_value(&row.cells[at]).unwrap_or(f64::NAN)).collect();
                for (&at, adjusted) in columns.iter().zip(holm(&raw)) {
                    if let Some(difference) = &mut row.cells[at].difference {
                        difference.p_value = Some(adjusted).filter(|p| !p.is_nan());
                    }
                }
            }
        }
    }
}

/// The name of a metric. Where several fingerprints have one name, it ends in the model of its own, or
/// in its key where the models do not tell them apart.
pub(super) fn metric_name(results: &Results, metric: usize) -> String {
    let record = &results.metrics[metric];
    let same: Vec<_> = results.metrics.iter().filter(|other| other.name == record.name).collect();
    let models: BTreeSet<_> = same.iter().map(|metric| &metric.fingerprint.model).collect();
    let is_told = models.len() == same.len() && models.iter().all(|model| !model.is_empty());
    let key = record.key.chars().take(8).collect();
    let own = if is_told { &record.fingerprint.model } else { &key };
    if same.len() > 1 { format!("{} ({own})", record.name) } else { record.name.clone() }
}

fn summary(
    grid: &Grid<'_>,
    system: usize,
    dataset: usize,
    metric: usize,
    expected: usize,
) -> Summary {
    let pictures = grid.pictures(system, dataset);
    let outcome = |record| (class(record), grid.outcome(record, metric));
    let outcomes: Vec<_> = pictures.values().map(|record| outcome(record)).collect();
    let missing = expected.saturating_sub(pictures.len());
    let tried = outcomes.iter().map(|(class, outcome)| (*class, outcome.as_ref()));
    Summary::over_classes(tried.chain(std::iter::repeat_n(("", None), missing)))
}

fn paired(
    grid: &Grid<'_>,
    [first, second]: [usize; 2],
    dataset: usize,
    metric: usize,
    resampling: Resampling,
) -> Paired {
    let [first, second] = [first, second].map(|system| grid.pictures(system, dataset));
    let value = |record: Option<&&_>| record.and_then(|record| grid.value(record, metric));
    let pairs = second
        .iter()
        .map(|(place, record)| (class(record), value(first.get(place)), value(Some(record))));
    Paired::over_classes(pairs, resampling)
}

/// A number with so many decimals; one that rounds to 0 has no sign.
pub(super) fn number(value: f64, decimals: usize) -> String {
    // What `f64` tells apart has 17 digits.
    let text = format!("{value:.*}", decimals.min(17));
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|byte| matches!(byte, b'0' | b'.')) => rest.to_owned(),
        _ => text,
    }
}

impl Column {
    /// The arrow behind the metric's name: up where more is better.
    pub(super) const fn arrow(&self) -> &'static str {
        if self.higher_is_better { "↑" } else { "↓" }
    }
}

impl Cell {
    /// What was left out of the mean, in words, such as `3 refused, 1 missing`; empty where nothing was.
    pub fn left_out(&self) -> String {
        let Summary { missing, not_applicable, refused, failed, .. } = self.summary;
        let counts = [
            (missing, "missing"),
            (refused, "refused"),
            (failed, "failed"),
            (not_applicable, "not applicable"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        counts.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    }
}

impl Difference {
    /// `▲` where the system is better than its base, `▼` where it is worse, nothing where both are equal
    /// in the decimals that are shown, or not compared.
    pub fn arrow(&self, column: &Column) -> &'static str {
        let Some(mean) = self.paired.mean else { return "" };
        if number(mean, column.decimals) == number(0.0, column.decimals) {
            return "";
        }
        if (mean > 0.0) == column.higher_is_better { "▲" } else { "▼" }
    }

    /// The difference with its sign and p-value, such as `+0.017 (p = 0.003)`; nothing where no pair is
    /// complete.
    pub fn words(&self, column: &Column) -> String {
        let Some(mean) = self.paired.mean else { return String::new() };
        let text = number(mean, column.decimals);
        let sign = if text.starts_with('-') { "" } else { "+" };
        let p_value = match self.p_value {
            Some(p) if p < 0.001 => " (p < 0.001)".to_owned(),
            Some(p) => format!(" (p = {p:.3})"),
            None => String::new(),
        };
        format!("{sign}{text}{p_value}")
    }
}

//! Results to one HTML file: tables that sort, plots, and every item with what was drawn and said.

mod items;
mod pictures;
mod traces;

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use super::grid::Grid;
use super::paper::{Comparison, ComparisonRow};
use super::table::{Cell, Column, Row, Table, metric_name, number};
use crate::evaluation::experiment::{DatasetRecord, Ended, MetricRecord};
use crate::page::{Page, TRACE, Thumbnail};
use crate::{Error, Result, Usage};

use items::ItemView;
use pictures::Pictures;
use traces::Traces;

/// What the page shows, in order.
pub(super) struct Shown<'a> {
    pub(super) title: &'a str,
    pub(super) table: &'a Table,
    pub(super) comparisons: &'a [Comparison],
    /// Title, words and SVG of each plot.
    pub(super) plots: &'a [[String; 3]],
    /// How many pictures are in the page itself; more are files beside it.
    pub(super) inline_pictures: usize,
}

#[derive(Serialize)]
struct View<'a> {
    title: &'a str,
    notes: Vec<String>,
    systems: Vec<SystemView<'a>>,
    datasets: Vec<DatasetView<'a>>,
    metrics: Vec<MetricView>,
    columns: Vec<ColumnView<'a>>,
    rows: Vec<RowView<'a>>,
    comparisons: Vec<ComparisonView<'a>>,
    plots: Vec<PlotView<'a>>,
    items: Vec<ItemView<'a>>,
    pictures: BTreeMap<String, Thumbnail>,
    /// Long texts that traces have in common.
    texts: Vec<String>,
}

#[derive(Serialize)]
struct SystemView<'a> {
    name: &'a str,
    base: Option<&'a str>,
    description: &'a str,
    settings: &'a str,
    drawn: usize,
    failed: usize,
    refused: usize,
    missing: usize,
    elapsed: f64,
    usage: Vec<(String, String)>,
}

#[derive(Serialize)]
struct DatasetView<'a> {
    name: &'a str,
    items: usize,
    classes: usize,
    license: Option<&'a str>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct MetricView {
    name: String,
    fingerprint: String,
    arrow: &'static str,
    decimals: usize,
    higher_is_better: bool,
}

#[derive(Serialize)]
struct ColumnView<'a> {
    dataset: &'a str,
    metric: &'a str,
    arrow: &'static str,
}

#[derive(Serialize)]
struct RowView<'a> {
    system: &'a str,
    cells: Vec<CellView>,
}

#[derive(Serialize)]
struct CellView {
    mean: Option<f64>,
    text: Option<String>,
    error: Option<String>,
    best: bool,
    classes: usize,
    left_out: String,
    arrow: &'static str,
    difference: String,
}

#[derive(Serialize)]
struct ComparisonView<'a> {
    table: &'a str,
    caption: &'a str,
    remarks: &'a [String],
    rows: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct PlotView<'a> {
    title: &'a str,
    description: &'a str,
    src: String,
}

/// The page of `grid` for a file in `folder`, where pictures are put that are too many for the page.
pub(super) fn html(grid: &Grid<'_>, shown: &Shown<'_>, folder: &Path) -> Result<String> {
    let mut pictures = Pictures::default();
    let mut traces = Traces::new(&grid.results.folder, folder);
    let items = items::all(grid, &mut pictures, &mut traces);
    let (pictures, mut notes) =
        pictures.made(&grid.results.folder, folder, shown.inline_pictures)?;
    notes.extend(traces.notes());
    notes.extend(grid.results.undetermined());
    if grid.strangers > 0 {
        notes.push(format!(
            "Left out: {} records of systems, settings or data sets that the experiment no longer has.",
            grid.strangers
        ));
    }
    let plots = shown.plots.iter().map(|[title, description, svg]| PlotView {
        title,
        description,
        src: format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(svg)),
    });
    let view = View {
        title: shown.title,
        notes,
        systems: (0..grid.systems.len()).map(|system| system_view(grid, system)).collect(),
        datasets: datasets(grid),
        metrics: metrics(grid),
        columns: shown.table.columns.iter().map(ColumnView::from).collect(),
        rows: rows(shown.table),
        comparisons: shown.comparisons.iter().map(ComparisonView::from).collect(),
        plots: plots.collect(),
        items,
        pictures,
        texts: traces.texts(),
    };
    let style = include_str!("report.css");
    let scripts = &[TRACE, include_str!("report.js"), include_str!("items.js")];
    let page = Page { title: shown.title, style, scripts, data: &view };
    page.html().map_err(|error| Error::backend("report page", error))
}

fn system_view<'a>(grid: &'a Grid<'_>, system: usize) -> SystemView<'a> {
    let record = &grid.results.systems[system];
    let (mut drawn, mut failed, mut refused, mut missing, mut elapsed) = (0, 0, 0, 0, 0.0);
    let mut usage = BTreeMap::<&str, Usage>::new();
    for dataset in 0..grid.results.datasets.len() {
        let pictures = grid.pictures(system, dataset);
        missing += grid.expected(dataset).saturating_sub(pictures.len());
        for record in pictures.values() {
            elapsed += record.elapsed.as_secs_f64();
            for (part, used) in &record.usage {
                *usage.entry(part).or_default() += *used;
            }
            match &record.ended {
                Ended::Drawn(_) => drawn += 1,
                Ended::Failed { refused: true, .. } => refused += 1,
                Ended::Failed { .. } => failed += 1,
            }
        }
    }
    SystemView {
        name: &grid.systems[system],
        base: grid.base(system, None).map(|base| &*grid.systems[base]),
        description: &record.description,
        settings: &record.settings,
        drawn,
        failed,
        refused,
        missing,
        elapsed,
        usage: usage.into_iter().map(|(part, used)| (part.to_owned(), used.to_string())).collect(),
    }
}

fn datasets<'a>(grid: &Grid<'a>) -> Vec<DatasetView<'a>> {
    let view = |set: &'a DatasetRecord| DatasetView {
        name: &set.name,
        items: set.items,
        classes: set.classes.len(),
        license: set.license.as_deref(),
        notes: &set.notes,
    };
    grid.results.datasets.iter().map(view).collect()
}

fn metrics(grid: &Grid<'_>) -> Vec<MetricView> {
    let view = |(at, metric): (usize, &MetricRecord)| MetricView {
        name: metric_name(grid.results, at),
        fingerprint: metric.fingerprint.to_string(),
        arrow: if metric.higher_is_better { "↑" } else { "↓" },
        decimals: metric.decimals.min(17),
        higher_is_better: metric.higher_is_better,
    };
    grid.results.metrics.iter().enumerate().map(view).collect()
}

fn rows(table: &Table) -> Vec<RowView<'_>> {
    let cell = |(cell, column): (&Cell, &Column)| {
        let shown = |value: Option<f64>| value.map(|value| number(value, column.decimals));
        let difference = cell.difference.as_ref();
        CellView {
            mean: cell.summary.mean,
            text: shown(cell.summary.mean),
            error: shown(cell.summary.standard_error),
            best: cell.best,
            classes: cell.summary.n,
            left_out: cell.left_out(),
            arrow: difference.map_or("", |difference| difference.arrow(column)),
            difference: difference.map_or_else(String::new, |difference| difference.words(column)),
        }
    };
    let cells = |row: &Row| row.cells.iter().zip(&table.columns).map(cell).collect();
    table.rows.iter().map(|row| RowView { system: &row.system, cells: cells(row) }).collect()
}

impl<'a> From<&'a Column> for ColumnView<'a> {
    fn from(column: &'a Column) -> Self {
        Self { dataset: &column.dataset, metric: &column.metric, arrow: column.arrow() }
    }
}

impl<'a> From<&'a Comparison> for ComparisonView<'a> {
    fn from(comparison: &'a Comparison) -> Self {
        let Comparison { table, caption, remarks, rows } = comparison;
        let row = |row: &ComparisonRow| {
            let names = [&row.system, &row.dataset, &row.metric].map(String::clone);
            names.into_iter().chain(row.words()).collect()
        };
        Self { table, caption, remarks, rows: rows.iter().map(row).collect() }
    }
}

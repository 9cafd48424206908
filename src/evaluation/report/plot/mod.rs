//! Tables to plots as SVG.

mod bars;
mod lines;
mod retrieval_set_size;
mod svg;

pub use bars::{Bar, BarChart, BarSeries};
pub use lines::{LineChart, LineSeries, Point};
pub use retrieval_set_size::{RetrievalSetSize, by_retrieval_set_size};

use super::table::Table;

/// A bar chart for each metric of `table`: a group for each data set, in it a bar with its standard error
/// for each system.
pub fn bar_charts(table: &Table) -> Vec<BarChart> {
    let mut metrics: Vec<&str> = Vec::new();
    for column in &table.columns {
        if !metrics.contains(&column.metric.as_str()) {
            metrics.push(&column.metric);
        }
    }
    let chart = |metric: &str| {
        let columns = table.columns.iter().enumerate();
        let columns: Vec<_> = columns.filter(|(_, column)| column.metric == metric).collect();
        let arrow = columns.first().map_or("", |(_, column)| column.arrow());
        let series = table.rows.iter().map(|row| {
            let bar = |&(at, _): &(usize, _)| {
                let summary = &row.cells.get(at)?.summary;
                let value = summary.mean?;
                let error = summary.standard_error.unwrap_or(0.0);
                Some(Bar { value, low: value - error, high: value + error })
            };
            BarSeries { name: row.system.clone(), bars: columns.iter().map(bar).collect() }
        });
        BarChart {
            title: format!("{metric} {arrow}"),
            axis: format!("{metric}, mean ± standard error over classes"),
            groups: columns.iter().map(|(_, column)| column.dataset.clone()).collect(),
            series: series.collect(),
        }
    };
    metrics.into_iter().map(chart).collect()
}

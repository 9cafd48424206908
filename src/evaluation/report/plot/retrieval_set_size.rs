//! Systems with retrieval sets of several sizes to the paper's figure 16.

use super::super::grid::Grid;
use super::super::table::Table;
use super::lines::{LineChart, LineSeries, Point};
use crate::evaluation::experiment::Results;

/// How large the retrieval set of a system is.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrievalSetSize {
    /// The system, by its name in the results.
    pub system: String,
    /// The line that it belongs to, such as `IR-O`.
    pub line: String,
    /// How many images it retrieves from.
    pub size: u64,
}

impl RetrievalSetSize {
    /// The size that a name tells: `IR-O @ 10000`, `IR-O @10k` and `IR-O (350,000)` are sizes of the
    /// line `IR-O`. None where the name tells none.
    ///
    /// ```
    /// use imagerag::evaluation::report::RetrievalSetSize;
    ///
    /// let size = RetrievalSetSize::of_name("IR-O @ 350k").unwrap();
    /// assert_eq!((size.line.as_str(), size.size), ("IR-O", 350_000));
    /// assert_eq!(RetrievalSetSize::of_name("PixArt-Σ"), None);
    /// ```
    pub fn of_name(system: &str) -> Option<Self> {
        let (line, size) = match system.trim_end().strip_suffix(')') {
            Some(rest) => rest.rsplit_once('(')?,
            None => system.rsplit_once('@')?,
        };
        let (line, size) = (line.trim(), number(size.trim())?);
        let system = system.to_owned();
        (!line.is_empty() && size > 0).then(|| Self { system, line: line.to_owned(), size })
    }
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim_end_matches("images").trim_end();
    let (digits, times) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => match text.strip_suffix('M') {
            Some(digits) => (digits, 1_000_000),
            None => (text, 1),
        },
    };
    let digits: String = digits.chars().filter(|c| !matches!(c, ',' | '_' | '\'' | ' ')).collect();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse::<u64>().ok()?.checked_mul(times)).flatten()
}

/// The paper's figure 16 for each metric on each data set: the metric over the size of the retrieval set,
/// a line for each of `sizes`' lines that has two sizes or more, and a dashed line for the base system.
pub fn by_retrieval_set_size(
    results: &Results,
    table: &Table,
    sizes: &[RetrievalSetSize],
) -> Vec<LineChart> {
    let grid = Grid::new(results);
    let mut lines: Vec<&str> = Vec::new();
    for size in sizes {
        let count = sizes.iter().filter(|other| other.line == size.line).count();
        if count > 1 && !lines.contains(&size.line.as_str()) {
            lines.push(&size.line);
        }
    }
    let row = |name: &str| table.rows.iter().find(|row| row.system == name);
    let series = |line: &str, column: usize| {
        let mut base = None;
        let mut points = Vec::new();
        for size in sizes.iter().filter(|size| size.line == line) {
            let Some(summary) = row(&size.system).and_then(|row| row.cells.get(column)) else {
                continue;
            };
            let system = grid.systems.iter().position(|name| *name == size.system);
            base = base.or_else(|| grid.base(system?, None));
            if let Some(value) = summary.summary.mean {
                let error = summary.summary.standard_error.unwrap_or(0.0);
                points.push(Point { size: size.size as f64, value, error });
            }
        }
        let base = base.and_then(|base| {
            let name = &grid.systems[base];
            Some((name.clone(), row(name)?.cells.get(column)?.summary.mean?))
        });
        LineSeries { name: line.to_owned(), points, base }
    };
    let chart = |(at, column): (usize, &super::super::table::Column)| {
        let series: Vec<_> = lines.iter().map(|line| series(line, at)).collect();
        let is_empty = series.iter().all(|series| series.points.is_empty());
        (!is_empty).then(|| LineChart {
            title: format!("{} on {} by retrieval set", column.metric, column.dataset),
            size_axis: "images in the retrieval set".to_owned(),
            axis: format!(
                "{} {}, mean ± standard error over classes",
                column.metric,
                column.arrow()
            ),
            series,
        })
    };
    table.columns.iter().enumerate().filter_map(chart).collect()
}

//! The numbers that the paper prints, and a table of ours beside them.

mod names;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use super::table::{Table, escaped, markdown, number};
use names::same;

/// A table of the paper *ImageRAG: Dynamic Image Retrieval for Reference-Guided Image Generation*.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[non_exhaustive]
pub struct PaperTable {
    /// Its name: `table 1` to `table 8`, `section E.5` or `figure 4`.
    pub id: String,
    /// What it shows.
    pub caption: String,
    /// How many decimals the paper prints.
    pub decimals: usize,
    /// What to mind when its numbers are read, such as probable misprints.
    pub remarks: Vec<String>,
    /// Its columns: data set and metric.
    pub columns: Vec<(String, String)>,
    /// Its rows: each system with one number for each column.
    pub rows: Vec<(String, Vec<PaperNumber>)>,
}

/// A number of the paper.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
#[serde(from = "Vec<f64>")]
#[non_exhaustive]
pub struct PaperNumber {
    /// The mean.
    pub mean: f64,
    /// Its standard error over classes, where the paper prints it.
    pub standard_error: Option<f64>,
}

impl From<Vec<f64>> for PaperNumber {
    fn from(numbers: Vec<f64>) -> Self {
        let mean = numbers.first().copied().unwrap_or(f64::NAN);
        Self { mean, standard_error: numbers.get(1).copied() }
    }
}

static PAPER: LazyLock<Vec<PaperTable>> =
    LazyLock::new(|| serde_json::from_str(include_str!("paper.json")).unwrap_or_default());

impl PaperTable {
    /// Every table whose numbers the paper prints, in its order.
    ///
    /// ```
    /// use imagerag::evaluation::report::PaperTable;
    ///
    /// let table = PaperTable::all().iter().find(|table| table.id == "table 2").unwrap();
    /// let (system, numbers) = &table.rows[0];
    /// assert_eq!((system.as_str(), numbers[0].mean), ("PixArt-Σ", 0.262));
    /// ```
    pub fn all() -> &'static [Self] {
        &PAPER
    }
}

/// The names of the paper for your systems, data sets and metrics. What is not named here is matched by
/// its own name, without what tells several of one name apart: case, spaces, signs and usual spellings such as `IR-O` for `ImageRAG-O` do not matter.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PaperNames {
    /// Names of the paper's systems, by yours.
    pub systems: BTreeMap<String, String>,
    /// Names of the paper's data sets, by yours.
    pub datasets: BTreeMap<String, String>,
    /// Names of the paper's metrics, by yours.
    pub metrics: BTreeMap<String, String>,
}

/// Our numbers beside those of a table of the paper.
///
/// They are not expected to be equal: the paper leaves open which model, seeds, resolution and real
/// images it used. What can be told is how far apart they are.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// [`PaperTable::id`].
    pub table: String,
    /// [`PaperTable::caption`].
    pub caption: String,
    /// [`PaperTable::remarks`].
    pub remarks: Vec<String>,
    /// One for each number that both have.
    pub rows: Vec<ComparisonRow>,
}

/// Our number beside the paper's.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct ComparisonRow {
    /// Our name of the system.
    pub system: String,
    /// Our name of the data set.
    pub dataset: String,
    /// Our name of the metric.
    pub metric: String,
    /// The paper's name of the system.
    pub paper_system: String,
    /// Our mean.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// The paper's mean.
    pub paper_mean: f64,
    /// Its standard error, where the paper prints it.
    pub paper_standard_error: Option<f64>,
    /// `mean − paper_mean`.
    pub difference: f64,
    /// The difference in combined standard errors, `√(SE² + SE²)`; none where one is not known or both
    /// are 0.
    pub standard_errors_apart: Option<f64>,
    /// How many decimals the paper prints.
    pub decimals: usize,
}

impl Comparison {
    /// `table` beside every table of the paper that has a number in common with it.
    pub fn all(table: &Table, names: &PaperNames) -> Vec<Self> {
        PaperTable::all().iter().filter_map(|paper| Self::of(table, paper, names)).collect()
    }

    /// `table` beside one table of the paper; none where they have no number in common.
    pub fn of(table: &Table, paper: &PaperTable, names: &PaperNames) -> Option<Self> {
        let mut rows = Vec::new();
        for row in &table.rows {
            let ours = [&*row.system, &*row.system_name];
            let system = paper.rows.iter().find(|(name, _)| same(&names.systems, ours, name));
            let Some((paper_system, numbers)) = system else { continue };
            for (cell, column) in row.cells.iter().zip(&table.columns) {
                let at = paper.columns.iter().position(|(dataset, metric)| {
                    same(&names.datasets, [&column.dataset; 2], dataset)
                        && same(&names.metrics, [&column.metric, &column.metric_name], metric)
                });
                let (Some(theirs), Some(mean)) =
                    (at.and_then(|at| numbers.get(at)), cell.summary.mean)
                else {
                    continue;
                };
                let difference = mean - theirs.mean;
                let errors = cell.summary.standard_error.zip(theirs.standard_error);
                let combined = errors.map(|(ours, theirs)| ours.hypot(theirs));
                rows.push(ComparisonRow {
                    system: row.system.clone(),
                    dataset: column.dataset.clone(),
                    metric: column.metric.clone(),
                    paper_system: paper_system.clone(),
                    mean,
                    standard_error: cell.summary.standard_error,
                    paper_mean: theirs.mean,
                    paper_standard_error: theirs.standard_error,
                    difference,
                    standard_errors_apart: combined
                        .filter(|combined| *combined > 0.0)
                        .map(|combined| difference / combined),
                    decimals: paper.decimals,
                });
            }
        }
        let PaperTable { id, caption, remarks, .. } = paper;
        let (table, caption, remarks) = (id.clone(), caption.clone(), remarks.clone());
        (!rows.is_empty()).then_some(Self { table, caption, remarks, rows })
    }

    /// The comparison in Markdown, with the paper's remarks below.
    pub fn to_markdown(&self) -> String {
        let head =
            ["System", "Data set", "Metric", "Ours", "Paper", "Difference", "In combined SE"];
        let rows = self.rows.iter().map(|row| {
            let [ours, theirs, difference, apart] = row.words();
            let names = [&row.system, &row.dataset, &row.metric].map(|name| escaped(name));
            names.into_iter().chain([ours, theirs, difference, apart]).collect()
        });
        let mut text = format!("**The paper's {}**: {}\n\n", self.table, escaped(&self.caption));
        text += &markdown(3, &head.map(str::to_owned), rows);
        for remark in &self.remarks {
            let _ = write!(text, "\n- {}", escaped(remark));
        }
        text + if self.remarks.is_empty() { "" } else { "\n" }
    }
}

impl ComparisonRow {
    /// Ours, the paper's, the difference, and the difference in combined standard errors.
    pub(super) fn words(&self) -> [String; 4] {
        let with_error = |mean, error: Option<f64>| {
            let error =
                error.map_or(String::new(), |error| format!(" ± {}", number(error, self.decimals)));
            number(mean, self.decimals) + &error
        };
        let signed = |value: f64, decimals| match number(value, decimals) {
            text if text.starts_with('-') => text,
            text => format!("+{text}"),
        };
        let apart = self.standard_errors_apart.map_or("–".to_owned(), |apart| signed(apart, 1));
        let (ours, theirs) =
            ((self.mean, self.standard_error), (self.paper_mean, self.paper_standard_error));
        let difference = signed(self.difference, self.decimals);
        [with_error(ours.0, ours.1), with_error(theirs.0, theirs.1), difference, apart]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::report::table::{Cell, Column, Row};

    fn table(system: &str, mean: f64, error: Option<f64>) -> Table {
        let (dataset, metric) = ("cub-200-2011".into(), "CLIP similarity".into());
        let column = Column { dataset, metric_name: metric, ..Column::default() };
        let mut cell = Cell::default();
        (cell.summary.mean, cell.summary.standard_error) = (Some(mean), error);
        let row = Row { system_name: system.into(), cells: vec![cell], ..Row::default() };
        Table { columns: vec![column], rows: vec![row] }
    }

    #[test]
    fn every_table_is_whole() {
        let ids: Vec<_> = PaperTable::all().iter().map(|table| table.id.as_str()).collect();
        let numbered: Vec<_> = (1..=8).map(|n| format!("table {n}")).collect();
        assert_eq!(ids[..8], numbered);
        assert_eq!(ids[8..], ["section E.5", "figure 4"]);
        for table in PaperTable::all() {
            for (system, numbers) in &table.rows {
                assert_eq!(numbers.len(), table.columns.len(), "{} {system}", table.id);
                let in_percent = table.decimals < 2;
                let range = if in_percent { 50.0..=100.0 } else { 0.01..=1.0 };
                assert!(numbers.iter().all(|number| range.contains(&number.mean)), "{system}");
            }
        }
        let count = |id: &str| {
            let table = PaperTable::all().iter().find(|table| table.id == id).unwrap();
            (table.rows.len(), table.columns.len())
        };
        let sizes = [(7, 3), (8, 9), (5, 6), (4, 6), (6, 6), (6, 6), (6, 6), (5, 6)];
        let found: Vec<_> = numbered.iter().map(|id| count(id)).collect();
        assert_eq!(found, sizes);
    }

    #[test]
    fn ours_stands_beside_the_papers_in_combined_standard_errors() {
        // CUB, CLIP, ImageRAG-O: 0.253 ± 0.003 in tables 2, 3, 7 and 8's neighbours.
        let all = Comparison::all(&table("IR-O", 0.258, Some(0.004)), &PaperNames::default());
        let tables: Vec<_> = all.iter().map(|comparison| comparison.table.as_str()).collect();
        assert_eq!(tables, ["table 2", "table 3"]);
        let row = &all[0].rows[0];
        assert_eq!((row.paper_system.as_str(), row.paper_mean), ("ImageRAG-O", 0.253));
        assert!((row.standard_errors_apart.unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(row.words(), ["0.258 ± 0.004", "0.253 ± 0.003", "+0.005", "+1.0"]);
        assert!(all[1].to_markdown().contains("0.042, is probably a misprint"));
        // One picture has no standard error.
        let alone = Comparison::all(&table("IR-O", 0.2, None), &PaperNames::default());
        assert_eq!(alone[0].rows[0].words()[3], "–");
    }

    #[test]
    fn names_can_be_given() {
        assert!(Comparison::all(&table("mine", 0.2, None), &PaperNames::default()).is_empty());
        let mut names = PaperNames::default();
        names.systems.insert("mine".into(), "LAION-O".into());
        let all = Comparison::all(&table("mine", 0.2, None), &names);
        assert_eq!((all.len(), all[0].table.as_str()), (1, "table 7"));
    }
}

//! [`Report`]: results to a folder of tables, plots and one page.

use std::fs;
use std::path::{Path, PathBuf};

use super::grid::Grid;
use super::page::{self, Shown};
use super::paper::{Comparison, PaperNames};
use super::plot::{BarChart, LineChart, RetrievalSetSize, bar_charts, by_retrieval_set_size};
use super::rows::to_jsonl;
use super::selection::file_name;
use super::table::{Row, Table, TableOptions, escaped};
use crate::atomic_file::write_bytes;
use crate::evaluation::experiment::Results;
use crate::{Error, Result};

/// A report on the results of an experiment.
///
/// ```
/// use imagerag::evaluation::experiment::Results;
/// use imagerag::evaluation::report::Report;
///
/// # let folder = std::env::temp_dir().join(format!("imagerag-report-{}", std::process::id()));
/// let results = Results::default(); // In real life those of an experiment.
/// let files = Report::of(&results).with_title("Birds").write(&folder)?;
/// assert!(files.contains(&folder.join("report.html")));
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Report<'a> {
    results: &'a Results,
    title: String,
    options: TableOptions,
    names: PaperNames,
    sizes: Option<Vec<RetrievalSetSize>>,
    charts: Vec<BarChart>,
    inline_pictures: usize,
}

impl<'a> Report<'a> {
    /// A report on `results`, in which systems are compared with their base systems.
    pub fn of(results: &'a Results) -> Self {
        Self {
            results,
            title: "Evaluation".to_owned(),
            options: TableOptions::default().with_differences(),
            names: PaperNames::default(),
            sizes: None,
            charts: Vec::new(),
            inline_pictures: 400,
        }
    }

    /// The same with a title for its page.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The same with other comparisons in its table.
    pub fn with_table_options(mut self, options: TableOptions) -> Self {
        self.options = options;
        self
    }

    /// The same with the paper's names for systems, data sets and metrics that have other names here.
    pub fn with_paper_names(mut self, names: PaperNames) -> Self {
        self.names = names;
        self
    }

    /// The same with the sizes of the retrieval sets of systems, for the paper's figure 16. Otherwise
    /// they are read from the systems' names ([`RetrievalSetSize::of_name`]).
    pub fn with_retrieval_set_sizes(mut self, sizes: Vec<RetrievalSetSize>) -> Self {
        self.sizes = Some(sizes);
        self
    }

    /// The same with a plot more, such as the robustness of vision-language models (section E.5).
    pub fn with_bar_chart(mut self, chart: BarChart) -> Self {
        self.charts.push(chart);
        self
    }

    /// The same with another number of pictures that the page may hold itself, by default 400, which are
    /// some 30 MB. Of more, small copies are made in a folder beside the page.
    pub fn with_inline_pictures(mut self, count: usize) -> Self {
        self.inline_pictures = count;
        self
    }

    /// The table of the report.
    pub fn table(&self) -> Table {
        Table::of(self.results, &self.options)
    }

    /// What somebody should know before the table is looked at, a line each:
    /// [`Results::incomplete`] and [`Results::undetermined`].
    pub fn lacking(&self) -> Vec<String> {
        [self.results.incomplete(), self.results.undetermined()].concat()
    }

    /// Writes the report to `folder`, which is made where it is missing. Files of a former report are
    /// replaced. Returns the files:
    ///
    /// | file | holds |
    /// |---|---|
    /// | `report.html` | everything, as a page that opens from the disk |
    /// | `table.md`, `table.tex` | the table in Markdown and LaTeX |
    /// | `systems.csv` | one row a system, numbers as they are |
    /// | `scored_pictures.jsonl` | one line a picture: [`to_jsonl`] |
    /// | `paper.md` | our numbers beside the paper's, where there are any |
    /// | `plots/*.svg` | each metric by system, and by the size of the retrieval set |
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be written. Pictures and traces that cannot be read are notes on
    /// the page.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let folder = folder.as_ref();
        let plots = folder.join("plots");
        fs::create_dir_all(&plots).map_err(|source| Error::io(&plots, source))?;
        let grid = Grid::new(self.results);
        let table = Table::of_grid(&grid, &self.options);
        let comparisons = Comparison::all(&table, &self.names);
        let mut files = Vec::new();
        let mut write = |path: PathBuf, text: &str| -> Result<()> {
            write_bytes(&path, text.as_bytes())?;
            files.push(path);
            Ok(())
        };
        let lacking = self.lacking();
        let above: Vec<String> =
            lacking.iter().map(|line| format!("- {}\n", escaped(line))).collect();
        let above = if above.is_empty() { String::new() } else { above.concat() + "\n" };
        write(folder.join("table.md"), &(above + &table.to_markdown()))?;
        write(folder.join("table.tex"), &table.to_latex())?;
        write(folder.join("systems.csv"), &table.to_csv())?;
        write(folder.join("scored_pictures.jsonl"), &to_jsonl(self.results))?;
        if !comparisons.is_empty() {
            let texts: Vec<_> = comparisons.iter().map(Comparison::to_markdown).collect();
            write(folder.join("paper.md"), &texts.join("\n"))?;
        }
        let drawn = self.plots(&table);
        let mut names = Vec::new();
        for [title, _, svg] in &drawn {
            let mut name = file_name(title);
            if names.contains(&name) {
                name = format!("{name}-{}", names.len());
            }
            write(plots.join(format!("{name}.svg")), svg)?;
            names.push(name);
        }
        let shown = Shown {
            title: &self.title,
            table: &table,
            comparisons: &comparisons,
            plots: &drawn,
            inline_pictures: self.inline_pictures,
        };
        write(folder.join("report.html"), &page::html(&grid, &shown, folder)?)?;
        Ok(files)
    }

    /// Title, words and SVG of each plot.
    fn plots(&self, table: &Table) -> Vec<[String; 3]> {
        let named = |row: &Row| {
            let size = RetrievalSetSize::of_name(&row.system_name)?;
            Some(RetrievalSetSize { system: row.system.clone(), ..size })
        };
        let sizes = self.sizes.clone();
        let sizes = sizes.unwrap_or_else(|| table.rows.iter().filter_map(named).collect());
        let bars = bar_charts(table).into_iter().chain(self.charts.clone());
        let bars = bars.map(|chart| [chart.title.clone(), chart.description(), chart.to_svg()]);
        let line = |chart: LineChart| [chart.title.clone(), chart.description(), chart.to_svg()];
        bars.chain(by_retrieval_set_size(self.results, table, &sizes).into_iter().map(line))
            .collect()
    }
}

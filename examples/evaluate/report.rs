//! Results of an experiment to a folder of tables, plots, contact sheets and one page.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use imagerag::Image;
use imagerag::evaluation::experiment::Results;
use imagerag::evaluation::report::{
    BarChart, PaperNames, Report, RetrievalSetSize, SELECTION_ROWS, Selection, SelectionRow,
    TableOptions, diversity, selections,
};

use crate::command::tell;
use crate::sheet::{Row, contact_sheet};

/// What a report shows, and where it is written.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// The folder to write to; by default `report` in the folder of the results.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// The title of the page.
    #[arg(long, default_value = "Evaluation")]
    pub(crate) title: String,
    /// The system that all others are compared with; by default each with its own base.
    #[arg(long)]
    pub(crate) base: Option<String>,
    /// A TOML file of the paper's names for yours: tables `systems`, `datasets` and `metrics`.
    #[arg(long)]
    pub(crate) paper_names: Option<PathBuf>,
    /// The line of figure 16 that a system belongs to, the system, and how many images it retrieves
    /// from; for each system. By default they are read from names such as `IR-O @ 10000`.
    #[arg(long, num_args = 3, value_names = ["LINE", "SYSTEM", "SIZE"])]
    pub(crate) size: Vec<String>,
    /// How many pictures the page may hold itself; of more, small copies are files beside it.
    #[arg(long, default_value_t = 400)]
    pub(crate) inline_pictures: usize,
    /// Prompts on each contact sheet; 0 draws none.
    #[arg(long, default_value_t = SELECTION_ROWS)]
    pub(crate) sheet_rows: usize,
    /// The seed that chooses the random contact sheets.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Charts that the page shows beside its own.
    #[arg(skip)]
    pub(crate) charts: Vec<BarChart>,
}

/// Writes the report of `results`, and prints its table.
pub(crate) fn run(results: &Results, options: &ReportArgs) -> Result<(), Box<dyn Error>> {
    let folder = options.out.clone().unwrap_or_else(|| results.folder.join("report"));
    let mut table = TableOptions::default().with_differences();
    if let Some(base) = &options.base {
        let names: Vec<&str> = results.systems.iter().map(|system| system.name.as_str()).collect();
        if !names.contains(&base.as_str()) {
            return Err(
                format!("--base: expected one of {}, found {base}", names.join(", ")).into()
            );
        }
        table = table.with_base(base);
    }
    let mut report = Report::of(results)
        .with_title(&options.title)
        .with_table_options(table)
        .with_inline_pictures(options.inline_pictures);
    if let Some(path) = &options.paper_names {
        let text = fs::read_to_string(path).map_err(|error| in_file(path, error))?;
        let names: PaperNames = toml::from_str(&text).map_err(|error| in_file(path, error))?;
        report = report.with_paper_names(names);
    }
    if !options.size.is_empty() {
        report = report.with_retrieval_set_sizes(sizes(&options.size)?);
    }
    for chart in &options.charts {
        report = report.with_bar_chart(chart.clone());
    }
    let files = report.write(&folder)?;
    let table = folder.join("table.md");
    let table = fs::read_to_string(&table).map_err(|error| in_file(&table, error))?;
    table.lines().for_each(|line| tell!("{line}"));
    let mut sheets = selections(results, options.sheet_rows, options.seed);
    sheets.extend(diversity(results, options.sheet_rows));
    let sheets = if options.sheet_rows == 0 { Vec::new() } else { sheets };
    for selection in &sheets {
        sheet(results, selection, &folder.join("sheets"))?;
    }
    tell!("wrote      {} files and {} contact sheets", files.len(), sheets.len());
    tell!("look at    {}", folder.join("report.html").display());
    Ok(())
}

fn in_file(path: &Path, error: impl Error) -> String {
    format!("{}: {error}", path.display())
}

fn sizes(values: &[String]) -> Result<Vec<RetrievalSetSize>, String> {
    let size = |three: &[String]| {
        let [line, system, size] = three else {
            return Err("--size: expected three values".into());
        };
        let number = size.replace([',', '_'], "").parse();
        let size =
            number.map_err(|_| format!("--size: expected a number of images, found {size}"))?;
        Ok(RetrievalSetSize { system: system.clone(), line: line.clone(), size })
    };
    values.chunks(3).map(size).collect()
}

/// Draws a contact sheet. A picture that cannot be read is told, and left out.
fn sheet(results: &Results, selection: &Selection, folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let picture = |file: &Option<String>| {
        let opened = Image::open(results.folder.join(file.as_ref()?));
        opened.inspect_err(|error| eprintln!("not shown  {}", error.chain())).ok()
    };
    let row = |row: &SelectionRow| Row {
        caption: row.caption.clone(),
        pictures: row.files.iter().map(picture).collect(),
    };
    let rows: Vec<_> = selection.rows.iter().map(row).collect();
    let columns: Vec<_> = selection.columns.iter().map(String::as_str).collect();
    contact_sheet(&selection.title, &columns, &rows)?
        .save(folder.join(format!("{}.png", selection.name)))?;
    Ok(())
}

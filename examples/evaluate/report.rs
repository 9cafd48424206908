//! `evaluate report`: a folder of results to tables, plots and a page.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use imagerag::evaluation::experiment::Results;
use imagerag::evaluation::report::{BarChart, Report as Written, TableOptions};

use crate::command::tell;

/// Writes tables, plots and a page of what there is in a folder. No models are needed.
#[derive(Args)]
pub(crate) struct Report {
    /// The folder of an experiment.
    folder: PathBuf,
    #[command(flatten)]
    pages: Pages,
}

/// How results are shown.
#[derive(Args, Default)]
pub(crate) struct Pages {
    /// The title of the page.
    #[arg(long)]
    title: Option<String>,
    /// The system that all others are compared with; by default each with its own base.
    #[arg(long, value_name = "SYSTEM")]
    compared_with: Option<String>,
    /// The most pictures that the page holds itself; of more, small copies are made beside it.
    #[arg(long, value_name = "N")]
    inline_pictures: Option<usize>,
}

impl Pages {
    #[cfg_attr(not(feature = "tch"), expect(dead_code, reason = "the tiny world has a title"))]
    pub(crate) fn titled(title: &str) -> Self {
        Self { title: Some(title.to_owned()), ..Self::default() }
    }
}

pub(crate) fn run(options: &Report) -> Result<(), Box<dyn Error>> {
    write(&options.folder, &Results::load(&options.folder)?, &options.pages, None)
}

/// Writes the folder `report` of an experiment's `folder`, with one `chart` more where there is one, and
/// tells its table.
pub(crate) fn write(
    folder: &Path,
    results: &Results,
    pages: &Pages,
    chart: Option<BarChart>,
) -> Result<(), Box<dyn Error>> {
    let mut report = chart.into_iter().fold(Written::of(results), Written::with_bar_chart);
    if let Some(title) = &pages.title {
        report = report.with_title(title);
    }
    if let Some(system) = &pages.compared_with {
        report = report.with_table_options(TableOptions::default().with_base(system));
    }
    if let Some(count) = pages.inline_pictures {
        report = report.with_inline_pictures(count);
    }
    report.table().to_markdown().lines().for_each(|line| tell!("{line}"));
    let folder = folder.join("report");
    let files = report.write(&folder)?;
    for name in ["report.html", "table.md", "paper.md"] {
        if let Some(file) = files.iter().find(|file| file.ends_with(name)) {
            tell!("wrote      {}", file.display());
        }
    }
    Ok(())
}

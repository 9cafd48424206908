//! `evaluate report`: a folder of results to tables, plots and pages.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use imagerag::evaluation::experiment::Results;
use imagerag::evaluation::report::{Table, TableOptions};

use crate::command::tell;

/// Writes tables and pages of what there is in a folder. No models are needed.
#[derive(Args)]
pub(crate) struct Report {
    /// The folder of an experiment.
    folder: PathBuf,
}

pub(crate) fn run(options: &Report) -> Result<(), Box<dyn Error>> {
    write(&options.folder, &Results::load(&options.folder)?)
}

pub(crate) fn write(folder: &Path, results: &Results) -> Result<(), Box<dyn Error>> {
    let table = Table::of(results, &TableOptions::default().with_differences()).to_markdown();
    table.lines().for_each(|line| tell!("{line}"));
    let path = folder.join("table.md");
    std::fs::write(&path, table).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(())
}

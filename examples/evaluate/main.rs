//! The paper's experiments on your own data: systems on data sets to tables, plots and pages.
//!
//! ```text
//! cargo xtask cargo -- run --release --features evaluation,tch --example evaluate -- init paper-table-2 > run.toml
//! cargo xtask cargo -- run --release --features evaluation,tch --example evaluate -- run run.toml
//! ```
//!
//! The first prints a run file with the paper's settings, in which paths are left to fill in; the second says
//! what will be done and what it will take, asks, does it, and says where the pages are. A run that was ended
//! goes on with the same command. `docs/evaluation.md` tells the rest.

#[cfg(feature = "tch")]
#[path = "../support/backend.rs"]
mod backend;
mod check;
#[allow(dead_code, reason = "the other examples use the rest")]
#[path = "../support/command.rs"]
mod command;
mod datasets;
#[cfg(feature = "tch")]
#[path = "../support/delta.rs"]
mod delta;
mod init;
mod local;
mod metric_table;
mod metrics;
mod parts;
#[cfg(feature = "tch")]
#[path = "../support/place.rs"]
mod place;
mod report;
mod robustness;
mod run;
mod run_file;
#[path = "../support/sheet.rs"]
mod sheet;
mod study;
mod subsets;
mod systems;
#[cfg(feature = "tch")]
mod tinyworld;
#[cfg(feature = "tch")]
#[allow(dead_code, reason = "the other examples use the rest")]
#[path = "../support/world.rs"]
mod world;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use imagerag::evaluation::experiment::Results;

/// Repeats the paper's experiments, or yours, on your data.
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  evaluate init                            the paper's experiments
  evaluate init paper-table-2 > run.toml   a run file to fill in
  evaluate plan run.toml                   what would be done, and what it would cost
  evaluate run run.toml                    does it, or goes on with it
  evaluate run run.toml --retry-failed     tries again what failed
  evaluate report paper-table-2            tables and pages of a folder, without models
  evaluate study run.toml --out study      a user study, to open or to publish
  evaluate study-analyse study-key.csv answers/
  evaluate robustness run.toml             what vision-language models see
  evaluate subsets laion.gallery --sizes 1000,10000,100000 --out subsets";

#[derive(Subcommand)]
enum Command {
    Init(init::Init),
    Plan(run::Plan),
    Run(Box<run::Run>),
    Report(Report),
    Study(Study),
    StudyAnalyse(study::StudyAnalyse),
    Robustness(robustness::RobustnessOptions),
    Subsets(subsets::Subsets),
    #[cfg(feature = "tch")]
    #[command(name = "tinyworld")]
    TinyWorld(tinyworld::TinyWorld),
}

fn main() -> ExitCode {
    command::end(match Options::parse().command {
        Command::Init(options) => init::init(&options),
        Command::Plan(options) => run::plan(&options),
        Command::Run(options) => run::run(&options),
        Command::Report(options) => options.run(),
        Command::Study(options) => options.run(),
        Command::StudyAnalyse(options) => study::run_analyse(&options),
        Command::Robustness(options) => robustness::run(&options),
        Command::Subsets(options) => subsets::subsets(&options),
        #[cfg(feature = "tch")]
        Command::TinyWorld(options) => tinyworld::run(&options),
    })
}

/// Writes tables, plots, contact sheets and a page of what there is. No models are needed.
#[derive(Args)]
struct Report {
    /// The folder of an experiment, or its run file.
    #[arg(value_name = "FOLDER_OR_RUN_FILE")]
    of: PathBuf,
    #[command(flatten)]
    options: report::ReportArgs,
}

/// Makes a user study of what there is, as the paper's: a folder to open or to publish. With a run file
/// participants are shown real images of the data sets too.
#[derive(Args)]
struct Study {
    /// The run file of an experiment, or its folder.
    #[arg(value_name = "RUN_FILE_OR_FOLDER")]
    of: PathBuf,
    #[command(flatten)]
    options: study::StudyOptions,
}

impl Report {
    fn run(&self) -> Result<(), Box<dyn Error>> {
        let folder = match run_file(&self.of)? {
            Some(file) => file.folder(),
            None => self.of.clone(),
        };
        report::run(&Results::load(folder)?, &self.options)
    }
}

impl Study {
    fn run(&self) -> Result<(), Box<dyn Error>> {
        let (folder, datasets) = match run_file(&self.of)? {
            Some(file) => (file.folder(), datasets::datasets(&file)?),
            None => (self.of.clone(), Vec::new()),
        };
        study::run(&self.options, &Results::load(folder)?, &datasets)
    }
}

/// The run file at `path`; `None` where a folder is there.
fn run_file(path: &Path) -> Result<Option<run_file::RunFile>, Box<dyn Error>> {
    (!path.is_dir()).then(|| run_file::RunFile::open(path)).transpose()
}

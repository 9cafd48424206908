//! `evaluate plan` and `evaluate run`: a run file to what would be done, and to pictures, scores and pages.

use std::error::Error;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::executor::block_on;
use imagerag::evaluation::experiment::{
    Ended, Event, Experiment, Results, RunSummary, Stop, money,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::command::tell;
use crate::run_file::RunFile;
use crate::{datasets, metrics, report, systems};

/// Tells what a run would do and what it is expected to take, and does nothing.
#[derive(Args)]
pub(crate) struct Plan {
    /// The run file.
    run_file: PathBuf,
    #[command(flatten)]
    retry: Retry,
}

/// Draws and scores what is missing, and writes tables and pages. Ctrl-C ends it when what is in progress is
/// done, and a second one at once; the same command goes on.
#[derive(Args)]
pub(crate) struct Run {
    /// The run file.
    run_file: PathBuf,
    #[command(flatten)]
    retry: Retry,
    /// Begins without asking.
    #[arg(long, short)]
    yes: bool,
    /// Writes no tables and pages.
    #[arg(long)]
    no_report: bool,
    #[command(flatten)]
    report: report::ReportArgs,
}

#[derive(Args)]
struct Retry {
    /// Tries again what failed or was refused before.
    #[arg(long)]
    retry_failed: bool,
}

pub(crate) fn plan(options: &Plan) -> Result<(), Box<dyn Error>> {
    let file = RunFile::open(&options.run_file)?;
    let experiment = experiment(file, &options.run_file, options.retry.retry_failed)?;
    told_plan(&experiment, &options.run_file)?;
    Ok(())
}

pub(crate) fn run(options: &Run) -> Result<(), Box<dyn Error>> {
    let file = RunFile::open(&options.run_file)?;
    if file.systems.is_empty() {
        let shown = options.run_file.display();
        return Err(format!(
            "{shown}: systems: expected at least one, found none; of models and data alone \
             `evaluate robustness {shown}` is made"
        )
        .into());
    }
    let in_file = |error: String| format!("{}: {error}", options.run_file.display());
    file.check_setup().map_err(in_file)?;
    for (name, gallery) in &file.galleries {
        gallery.fill(&file).map_err(|error: Box<dyn Error>| {
            in_file(format!("galleries.{name}: {}", imagerag::Chain::new(&*error)))
        })?;
    }
    let experiment = experiment(file, &options.run_file, options.retry.retry_failed)?;
    if told_plan(&experiment, &options.run_file)? && !options.yes {
        ask()?;
    }
    let summary = work(&experiment)?;
    let results = experiment.results()?;
    if !options.no_report {
        report::run(&results, &options.report)?;
    }
    complete(&results, &summary)
}

/// That nothing is lacking, in this run or from one before.
///
/// # Errors
/// What was given up, and what has no picture or no number.
pub(crate) fn complete(results: &Results, summary: &RunSummary) -> Result<(), Box<dyn Error>> {
    let lacking = [summary.given_up.clone(), results.incomplete()].concat();
    match lacking.is_empty() {
        true => Ok(()),
        false => Err(format!("the results are not complete\n{}", lacking.join("\n")).into()),
    }
}

/// The experiment of `file`, which lies at `path`.
fn experiment(
    file: RunFile,
    path: &Path,
    retry_failed: bool,
) -> Result<Experiment, Box<dyn Error>> {
    let made = made(file, retry_failed);
    made.map_err(|error| format!("{}: {}", path.display(), imagerag::Chain::new(&*error)).into())
}

fn made(file: RunFile, retry_failed: bool) -> Result<Experiment, Box<dyn Error>> {
    let file = Arc::new(file);
    let mut experiment = Experiment::new(file.folder())
        .with_seeds(file.seeds())
        .with_concurrency(file.concurrency)
        .with_budget(file.budget)
        .with_retry_failed(retry_failed);
    for (part, price) in &file.prices {
        experiment = experiment.with_price(part, *price);
    }
    for dataset in datasets::datasets(&file)? {
        experiment = experiment.dataset(dataset);
    }
    file.check_setup()?.iter().for_each(|note| tell!("note: {note}"));
    for system in systems::systems(&file)? {
        experiment = experiment.system(system);
    }
    for metric in metrics::metrics(&file)? {
        experiment = experiment.metric(metric);
    }
    Ok(experiment)
}

/// Tells the plan; returns whether there is anything to do.
fn told_plan(experiment: &Experiment, path: &Path) -> Result<bool, Box<dyn Error>> {
    let plan =
        experiment.plan().map_err(|error| format!("{}: {}", path.display(), error.chain()))?;
    plan.to_string().lines().for_each(|line| tell!("{line}"));
    plan.notes.iter().for_each(|note| tell!("note: {note}"));
    Ok(plan.pictures.iter().chain(&plan.scores).any(|work| work.to_do > 0))
}

/// Runs `experiment` with a progress bar, and tells what came of it.
pub(crate) fn work(experiment: &Experiment) -> Result<RunSummary, Box<dyn Error>> {
    end_on_ctrl_c(experiment.stop())?;
    let bar = ProgressBar::no_length();
    let style =
        ProgressStyle::with_template("{msg:16} [{bar:30}] {pos}/{len}, {elapsed}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(500));
    let summary = block_on(experiment.run(|event| show(&bar, event)))?;
    bar.finish_and_clear();
    told_summary(&summary, experiment);
    Ok(summary)
}

fn show(bar: &ProgressBar, event: &Event) {
    match event {
        Event::Began { name, total } => {
            bar.reset();
            bar.set_length(*total as u64);
            bar.set_message(name.clone());
            if !std::io::stderr().is_terminal() {
                eprintln!("{event}");
            }
        }
        Event::Picture { record, progress } => {
            bar.set_position(progress.done as u64);
            if matches!(record.ended, Ended::Failed { .. }) {
                bar.suspend(|| tell!("{event}"));
            }
        }
        Event::Score { progress, .. } => bar.set_position(progress.done as u64),
        event => bar.suspend(|| tell!("{event}")),
    }
}

fn told_summary(summary: &RunSummary, experiment: &Experiment) {
    let RunSummary { drawn, failed, undetermined, scored, scores_failed, .. } = summary;
    tell!(
        "done       {drawn} pictures drawn, {failed} failed; {scored} scored, {scores_failed} failed"
    );
    if *undetermined > 0 {
        tell!("fallback   of {undetermined} of {drawn} the critic could not say what to change");
    }
    for (part, usage) in &summary.spent.usage {
        tell!("used       {part}: {usage}");
    }
    if summary.spent.calls > 0 {
        tell!(
            "cost       {} calls, {} in money, all runs together",
            summary.spent.calls,
            money(summary.cost)
        );
    }
    tell!("folder     {}", experiment.folder().display());
    if failed + scores_failed > 0 {
        tell!("what failed is tried again with --retry-failed");
    }
    if let Some(why) = &summary.stopped {
        let how = match experiment.stop().is_stopped() {
            true => "the same command goes on",
            false => "with a higher [budget] the same command goes on",
        };
        tell!("ended      {why}; {how}");
    }
}

/// Asks whether to begin.
///
/// # Errors
/// Where nobody is there to ask, or the answer is no.
pub(crate) fn ask() -> Result<(), Box<dyn Error>> {
    if !std::io::stdin().is_terminal() {
        return Err("nobody is there to ask whether to begin: say --yes".into());
    }
    print!("Begin? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err("not begun".into()),
    }
}

/// The first Ctrl-C lets what is in progress finish, the second ends the program.
fn end_on_ctrl_c(stop: Stop) -> Result<(), Box<dyn Error>> {
    let handler = move || {
        if stop.is_stopped() {
            std::process::exit(130);
        }
        eprintln!("\nfinishing what is in progress; once more ends at once");
        stop.stop();
    };
    ctrlc::set_handler(handler).or_else(|error| match error {
        ctrlc::Error::MultipleHandlers => Ok(()),
        error => Err(error.into()),
    })
}

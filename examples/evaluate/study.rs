//! `evaluate study` and `evaluate study-analyse`: results to a user study, and its answers to win rates.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use futures::executor::block_on;
use imagerag::evaluation::dataset::Dataset;
use imagerag::evaluation::experiment::Results;
use imagerag::evaluation::statistics::Resampling;
use imagerag::evaluation::study::{Study, StudyKind, analyse};

use crate::command::tell;

/// How a study is made of results.
#[derive(Args)]
pub(crate) struct StudyOptions {
    /// The folder to publish. It must not be there yet.
    #[arg(long, value_name = "FOLDER", default_value = "study")]
    out: PathBuf,
    /// The file that tells which picture is whose; never publish it. It must not be there yet.
    #[arg(long, value_name = "FILE", default_value = "study-key.csv")]
    key: PathBuf,
    /// Shows one picture at a time, and asks whether it contains the reference object.
    #[arg(long)]
    absolute: bool,
    /// The systems to compare, the base first; by default every system with its base.
    #[arg(long, num_args = 2, value_names = ["BASE", "METHOD"], action = clap::ArgAction::Append)]
    pair: Vec<String>,
    /// A question, instead of the paper's. Can be given several times.
    #[arg(long)]
    question: Vec<String>,
    /// The identifier that answers name.
    #[arg(long, default_value = "study")]
    id: String,
    /// The title that participants see.
    #[arg(long)]
    title: Option<String>,
    /// A file with the text that participants agree to; paragraphs are apart by empty lines.
    #[arg(long, value_name = "FILE")]
    consent: Option<PathBuf>,
    /// How many items a participant sees, checks aside.
    #[arg(long, default_value_t = 15)]
    items: usize,
    /// How many participants see each item.
    #[arg(long, default_value_t = 5)]
    votes: usize,
    /// At most so many items of each pair of systems.
    #[arg(long, value_name = "N")]
    items_per_pair: Option<usize>,
    /// How many attention checks a participant sees.
    #[arg(long, default_value_t = 2)]
    checks: usize,
    /// Participants who fail more checks than this will be left out.
    #[arg(long, default_value_t = 0)]
    max_failed_checks: usize,
    /// Also shows items for which both systems gave the same picture.
    #[arg(long)]
    unchanged_too: bool,
    /// The longest side of pictures, in pixels.
    #[arg(long, default_value_t = 1024)]
    max_side: u32,
    /// An address that answers are sent to.
    #[arg(long, value_name = "URL")]
    post_to: Option<String>,
    /// The seed of items; order and sides are drawn from a secret too.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Answers of a study to win rates, tables and a figure.
#[derive(Args)]
pub(crate) struct StudyAnalyse {
    /// The key that `evaluate study` wrote.
    key: PathBuf,
    /// Files of answers (JSON, CSV, codes), or folders of them.
    #[arg(required = true)]
    answers: Vec<PathBuf>,
    /// The folder for tables and the figure.
    #[arg(long, value_name = "FOLDER", default_value = "study-analysis")]
    out: PathBuf,
    /// How often participants are drawn for the intervals.
    #[arg(long, default_value_t = 10_000)]
    resamples: usize,
    /// The seed of these draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(crate) fn run(
    options: &StudyOptions,
    results: &Results,
    datasets: &[Dataset],
) -> Result<(), Box<dyn Error>> {
    let kind = if options.absolute { StudyKind::Absolute } else { StudyKind::Comparative };
    let mut study = Study::new(&options.id, kind);
    if let Some(title) = &options.title {
        study.title.clone_from(title);
    }
    if let Some(file) = &options.consent {
        let text = fs::read_to_string(file);
        study.consent = text.map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let (pairs, _) = options.pair.as_chunks();
    study.pairs = pairs.iter().cloned().map(|[base, method]| (base, method)).collect();
    study.questions.clone_from(&options.question);
    study.items_per_participant = options.items;
    study.votes_per_item = options.votes;
    study.items_per_pair = options.items_per_pair;
    study.checks = options.checks;
    study.max_failed_checks = options.max_failed_checks;
    study.only_changed = !options.unchanged_too;
    study.max_side = options.max_side;
    study.post_to.clone_from(&options.post_to);
    study.seed = options.seed;
    let written = block_on(study.write(results, datasets, &options.out, &options.key))?;
    let (items, participants) = (written.items, written.participants);
    tell!("study      {items} items in {participants} lists, one for each participant");
    written.left_out.iter().for_each(|line| tell!("left out   {line}"));
    written.warnings.iter().for_each(|line| tell!("warning    {line}"));
    tell!("publish    {}, or open its index.html", written.folder.display());
    tell!("links      index.html?participant=1 to index.html?participant={participants}");
    tell!("keep       {}, and do not publish it", written.key.display());
    Ok(())
}

pub(crate) fn run_analyse(options: &StudyAnalyse) -> Result<(), Box<dyn Error>> {
    let resampling =
        Resampling::default().with_resamples(options.resamples).with_seed(options.seed);
    let analysis = analyse(&options.key, &options.answers, resampling)?;
    if analysis.participants == 0 {
        analysis.markdown().lines().for_each(|line| tell!("{line}"));
        return Err("no answers that count; nothing was written".into());
    }
    let out = &options.out;
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let table = analysis.markdown();
    for (name, content) in [
        ("analysis.json", serde_json::to_string_pretty(&analysis)?),
        ("table.csv", analysis.csv()?),
        ("table.md", table.clone()),
        ("figure.svg", analysis.figure()),
    ] {
        let path = out.join(name);
        fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    table.lines().for_each(|line| tell!("{line}"));
    tell!("wrote      {}", out.display());
    Ok(())
}

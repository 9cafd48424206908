//! Vision-language models and a data set to how often they tell rightly what a picture lacks: the paper's
//! experiment E.5.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use futures::executor::block_on;
use imagerag::critic::{GuidedCot, Verdict};
use imagerag::evaluation::dataset::{self, Dataset, DatasetKind, OpenOptions};
use imagerag::evaluation::report::{Bar, BarChart, BarSeries};
use imagerag::evaluation::robustness::{Candidate, KindResult, Robustness, RobustnessResult};
use imagerag::evaluation::statistics::{Confidence, Interval};
use imagerag::vlm::OpenAiVlm;

use crate::datasets;
use crate::run::ask;
use crate::run_file::RunFile;

/// Tests whether vision-language models tell what a picture lacks (the paper's E.5): three kinds of prompts
/// about one real picture of each of some classes, 780 questions for 20 of them.
#[derive(Args)]
pub(crate) struct RobustnessOptions {
    /// The data set, such as a folder of iNaturalist or one with a folder for each class; or a run file, whose
    /// first data set and vision-language models are taken.
    #[arg(value_name = "DATA_OR_RUN_FILE")]
    data: PathBuf,
    /// Its kind, such as inaturalist-2021, cub or class-folders; guessed by default.
    #[arg(long, value_name = "KIND")]
    kind: Option<DatasetKind>,
    /// A CSV of two columns, identifier and name, in place of the data set's own names.
    #[arg(long, value_name = "CSV")]
    names: Option<PathBuf>,
    /// Common names in place of scientific ones, where the data set has them.
    #[arg(long)]
    common_names: bool,
    /// A model with OpenAI's chat completions: MODEL, MODEL@URL or MODEL@URL@VARIABLE, where VARIABLE holds
    /// the key of that address. Without an address it is OpenAI's, with OPENAI_API_KEY. May be repeated.
    #[arg(long = "vlm", value_name = "MODEL[@URL[@VARIABLE]]")]
    vlms: Vec<String>,
    /// How many classes are chosen.
    #[arg(long, default_value_t = 20)]
    classes: usize,
    /// What chooses the classes and the pictures.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many questions each model is asked at a time.
    #[arg(long, default_value_t = 4)]
    concurrency: usize,
    /// Where the answers are kept, a line of JSON each, and the tables are written; that of the run file, or
    /// `robustness`, by default. The same command goes on where it was ended.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Begins without asking.
    #[arg(long)]
    yes: bool,
}

/// Asks what is not answered yet, and writes `robustness.md`, `robustness.svg` and `wrong.md`.
pub(crate) fn run(options: &RobustnessOptions) -> Result<(), Box<dyn Error>> {
    let file = run_file(&options.data)?;
    let dataset = match &file {
        Some(file) => {
            datasets::datasets(file)?.into_iter().next().ok_or("datasets: there is none")?
        }
        None => open(options)?,
    };
    let robustness = Robustness::new(&dataset, options.classes, options.seed)?;
    let mut candidates = Vec::new();
    for (name, vlm) in file.iter().flat_map(|file| &file.vlms) {
        let vlm = vlm.build().map_err(|error| format!("vlms.{name}: {error}"))?;
        candidates.push(Candidate::new(name, GuidedCot::new(vlm)));
    }
    for vlm in &options.vlms {
        candidates.push(candidate(vlm)?);
    }
    if candidates.is_empty() {
        return Err("--vlm: expected at least one model, found none".into());
    }
    let at_a_time = |one: Candidate| one.with_concurrency(options.concurrency);
    let candidates: Vec<_> = candidates.into_iter().map(at_a_time).collect();
    let own = file.as_ref().map_or_else(|| "robustness".into(), RunFile::folder);
    let out = options.out.clone().unwrap_or(own);
    let (questions, models) = (robustness.questions().len(), candidates.len());
    println!(
        "{questions} questions for each of {models} models, some {} calls: two a question, more where a reply cannot be read",
        2 * questions * models
    );
    if !options.yes {
        ask()?;
    }
    std::fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let journal = out.join("robustness.jsonl");
    let results = block_on(robustness.run(journal, &candidates, |progress| {
        let failure = progress.answer.failure.as_deref();
        if let Some(failure) = failure {
            eprintln!("{}: {failure}", progress.answer.critic);
        } else if progress.done % 20 == 0 || progress.done == progress.of {
            eprintln!("{} of {}", progress.done, progress.of);
        }
    }))?;
    print!("{}", table(&results));
    write(&out, &results)?;
    complete(&results)
}

/// Writes table and chart into `folder`, and the wrong answers.
pub(crate) fn write(folder: &Path, results: &[RobustnessResult]) -> Result<(), Box<dyn Error>> {
    let files = [
        ("robustness.md", table(results)),
        ("robustness.svg", chart(results).to_svg()),
        ("wrong.md", wrong(results)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// That all questions were answered; otherwise what is missing of which model.
pub(crate) fn complete(results: &[RobustnessResult]) -> Result<(), Box<dyn Error>> {
    let missing = results.iter().filter_map(|result| {
        let sum = |of: fn(&KindResult) -> usize| result.kinds.iter().map(of).sum::<usize>();
        let (failed, answered, questions) =
            (sum(|kind| kind.failed), sum(|kind| kind.answered), sum(|kind| kind.questions));
        let given_up = result.given_up.iter().map(|why| format!(", {why}")).collect::<String>();
        (answered < questions).then(|| {
            format!("{}: {failed} of {questions} questions failed{given_up}", result.critic)
        })
    });
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{}; the same command asks them again", missing.join("; ")).into())
}

fn run_file(path: &Path) -> Result<Option<RunFile>, Box<dyn Error>> {
    let is_run_file = path.extension().is_some_and(|ending| ending == "toml")
        || path.extension().is_some_and(|ending| ending == "json") && RunFile::open(path).is_ok();
    (is_run_file && path.is_file()).then(|| RunFile::open(path)).transpose()
}

fn open(options: &RobustnessOptions) -> Result<Dataset, Box<dyn Error>> {
    let kind = options.kind.map_or_else(|| DatasetKind::guess(&options.data), Ok)?;
    let mut reading = OpenOptions::default();
    reading.names.clone_from(&options.names);
    reading.common_names = options.common_names;
    let dataset = dataset::open(kind, &options.data, &reading)?;
    dataset.notes.iter().for_each(|note| eprintln!("{}: {note}", dataset.name));
    Ok(dataset)
}

/// The model of a `--vlm`. The key of OpenAI is sent to no other address.
fn candidate(option: &str) -> Result<Candidate, Box<dyn Error>> {
    // Names of models may hold an @.
    let at = ["@http://", "@https://"].iter().find_map(|scheme| option.find(scheme));
    let Some(at) = at else {
        return Ok(Candidate::new(option, GuidedCot::new(OpenAiVlm::new(option)?)));
    };
    let (model, url) = (&option[..at], &option[at + 1..]);
    let is_variable = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let (url, key) = match url.rsplit_once('@').filter(|(_, name)| is_variable(name)) {
        Some((url, name)) => {
            (url, std::env::var(name).map_err(|error| format!("{name}: {error}"))?)
        }
        None => (url, String::new()),
    };
    let vlm = OpenAiVlm::builder(model).base_url(url).api_key(key).build()?;
    Ok(Candidate::new(model, GuidedCot::new(vlm)))
}

/// A row for each model and kind of prompt, with Wilson's intervals of 95 %.
pub(crate) fn table(results: &[RobustnessResult]) -> String {
    let mut text = String::from(
        "| model | prompt | right | decision right | no decision | no list | failed | questions |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let share = |share: Option<f64>, interval: Option<Interval>| match share.zip(interval) {
        None => "–".to_owned(),
        Some((share, Interval { low, high, .. })) => {
            let [share, low, high] = [share, low, high].map(|part| 100.0 * part);
            format!("{share:.1} % [{low:.1}, {high:.1}]")
        }
    };
    let confidence = Confidence::default();
    for result in results {
        for kind in &result.kinds {
            let right = share(kind.accuracy(), kind.interval(confidence));
            let decision = share(kind.decision_accuracy(), kind.decision_interval(confidence));
            let KindResult { kind, questions, undetermined, unnamed, failed, .. } = kind;
            let _ = writeln!(
                text,
                "| {} | {kind} | {right} | {decision} | {undetermined} | {unnamed} | {failed} | {questions} |",
                result.critic
            );
        }
    }
    text
}

/// The right answers of each model by kind of prompt, in per cent, with Wilson's intervals.
pub(crate) fn chart(results: &[RobustnessResult]) -> BarChart {
    let bar = |kind: &KindResult| {
        let Interval { low, high, .. } = kind.interval(Confidence::default())?;
        let [value, low, high] = [kind.accuracy()?, low, high].map(|share| 100.0 * share);
        Some(Bar { value, low, high })
    };
    let mut chart = BarChart::default();
    "What vision-language models tell rightly, by kind of prompt (E.5)"
        .clone_into(&mut chart.title);
    "% of questions, with intervals of 95 %".clone_into(&mut chart.axis);
    let kinds = results.first().map_or(&[][..], |result| &result.kinds);
    chart.groups = kinds.iter().map(|kind| kind.kind.to_string()).collect();
    chart.series = results
        .iter()
        .map(|result| BarSeries {
            name: result.critic.clone(),
            bars: result.kinds.iter().map(bar).collect(),
        })
        .collect();
    chart
}

/// Every wrong answer with the model's words.
fn wrong(results: &[RobustnessResult]) -> String {
    let mut text = String::new();
    for answer in results.iter().flat_map(RobustnessResult::wrong) {
        let verdict = match (&answer.verdict, answer.matches) {
            (Some(Verdict::Undetermined), Some(false)) => {
                "No match; what is missing cannot be read.".to_owned()
            }
            (verdict, _) => verdict.as_ref().map_or_else(String::new, ToString::to_string),
        };
        let _ = writeln!(
            text,
            "## {}: {}\n\nThe picture shows a {} ({}). {verdict}\n",
            answer.critic, answer.prompt, answer.class_name, answer.image
        );
        for exchange in &answer.exchanges {
            let _ = writeln!(text, "```text\n{exchange}\n```\n");
        }
    }
    text
}

//! Vision-language models and a data set to how often they tell rightly what a picture lacks: the paper's
//! experiment E.5.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use futures::executor::block_on;
use imagerag::critic::GuidedCot;
use imagerag::evaluation::dataset::{self, DatasetKind, OpenOptions};
use imagerag::evaluation::robustness::{Candidate, KindResult, Robustness, RobustnessResult};
use imagerag::evaluation::statistics::{Confidence, Interval};
use imagerag::vlm::OpenAiVlm;

/// Tests whether vision-language models tell what a picture lacks (the paper's E.5): three kinds of prompts
/// about one real picture of each of some classes, 780 questions for 20 of them.
#[derive(Args)]
pub(crate) struct RobustnessOptions {
    /// The data set, such as a folder of iNaturalist or one with a folder for each class.
    #[arg(value_name = "DATA")]
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
    #[arg(long = "vlm", value_name = "MODEL[@URL[@VARIABLE]]", required = true)]
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
    /// Where the answers are kept, a line of JSON each, and the tables are written. The same command goes
    /// on where it was ended.
    #[arg(long, value_name = "FOLDER", default_value = "robustness")]
    out: PathBuf,
    /// Begins without asking.
    #[arg(long)]
    yes: bool,
}

/// Asks what is not answered yet, and writes `robustness.md` and `wrong.md`.
pub(crate) fn run(options: &RobustnessOptions) -> Result<(), Box<dyn Error>> {
    let kind = options.kind.map_or_else(|| DatasetKind::guess(&options.data), Ok)?;
    let mut reading = OpenOptions::default();
    reading.names.clone_from(&options.names);
    reading.common_names = options.common_names;
    let dataset = dataset::open(kind, &options.data, &reading)?;
    dataset.notes.iter().for_each(|note| eprintln!("{}: {note}", dataset.name));
    let robustness = Robustness::new(&dataset, options.classes, options.seed)?;
    let mut candidates = Vec::new();
    for vlm in &options.vlms {
        candidates.push(candidate(vlm)?.with_concurrency(options.concurrency));
    }
    let (questions, models) = (robustness.questions().len(), candidates.len());
    println!(
        "{questions} questions for each of {models} models, some {} calls: two a question, more where a reply cannot be read",
        2 * questions * models
    );
    if !options.yes {
        ask()?;
    }
    std::fs::create_dir_all(&options.out)
        .map_err(|error| format!("{}: {error}", options.out.display()))?;
    let journal = options.out.join("robustness.jsonl");
    let results = block_on(robustness.run(journal, &candidates, |progress| {
        let failure = progress.answer.failure.as_deref();
        if let Some(failure) = failure {
            eprintln!("{}: {failure}", progress.answer.critic);
        } else if progress.done % 20 == 0 || progress.done == progress.of {
            eprintln!("{} of {}", progress.done, progress.of);
        }
    }))?;
    let table = table(&results);
    print!("{table}");
    for (name, text) in [("robustness.md", table), ("wrong.md", wrong(&results))] {
        let path = options.out.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
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

fn ask() -> Result<(), Box<dyn Error>> {
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

/// A row for each model and kind of prompt, with Wilson's intervals of 95 %.
fn table(results: &[RobustnessResult]) -> String {
    let mut text = String::from(
        "| model | prompt | right | decision right | cannot tell | failed | questions |\n\
         |---|---|---|---|---|---|---|\n",
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
            let KindResult { kind, questions, undetermined, failed, .. } = kind;
            let _ = writeln!(
                text,
                "| {} | {kind} | {right} | {decision} | {undetermined} | {failed} | {questions} |",
                result.critic
            );
        }
    }
    text
}

/// Every wrong answer with the model's words.
fn wrong(results: &[RobustnessResult]) -> String {
    let mut text = String::new();
    for answer in results.iter().flat_map(RobustnessResult::wrong) {
        let verdict = answer.verdict.as_ref().map_or_else(String::new, ToString::to_string);
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

//! An experiment whose process is killed again and again ends with the numbers of one that was not.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use futures::executor::block_on;
use imagerag::conditioner::InPrompt;
use imagerag::evaluation::dataset::{Dataset, Item};
use imagerag::evaluation::experiment::{Ended, Event, Experiment, Results, System};
use imagerag::evaluation::metric::{Fingerprint, Metric, Outcome, Score, Subject};
use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
use imagerag::vlm::ChatRequest;
use imagerag::{RagPipeline, Result, async_trait};

/// Where the process that is killed works.
const FOLDER: &str = "IMAGERAG_KILLED_EXPERIMENT";

/// The mean of a picture's bytes.
#[derive(Debug)]
struct Brightness;

#[async_trait]
impl Metric for Brightness {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("mean of bytes")
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        let mean = |subject: &Subject| {
            let pixels = subject.image.pixels();
            pixels.iter().map(|byte| f64::from(*byte)).sum::<f64>() / pixels.len() as f64
        };
        Ok(subjects.iter().map(|subject| Score::value(mean(subject))).collect())
    }
}

impl fmt::Display for Brightness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("brightness")
    }
}

fn experiment(folder: &Path) -> Experiment {
    let vlm = FakeVlm::answering(|chat: &ChatRequest| {
        let reply = match chat.messages.len() {
            1 if chat.messages[0].text.contains('7') => "yes",
            1 => "no",
            3 => "a quetzal",
            _ => "a quetzal on a branch",
        };
        Ok(reply)
    });
    let generator = FakeGenerator::new();
    let pipeline = RagPipeline::builder()
        .generator(generator.clone())
        .vlm(vlm)
        .retriever(FakeRetriever::new([("a quetzal on a branch", solid(8, 8, [0, 140, 70]))]))
        .conditioner(InPrompt::new(3).unwrap())
        .build()
        .unwrap();
    let mut things = Dataset::new("things");
    things.items = (0..40).map(|n| Item::new(n.to_string(), format!("thing {n}"))).collect();
    Experiment::new(folder)
        .system(System::generator("base", generator).with_size(64, 64))
        .system(System::pipeline("ImageRAG", pipeline).over("base").with_size(64, 64))
        .dataset(things)
        .metric(Brightness)
        .with_seeds([0, 1])
        .with_concurrency(3)
}

/// What of results is the same whenever they were made: pictures by their hashes, and numbers.
fn numbers(results: &Results) -> Vec<String> {
    let pictures = results.pictures.iter().map(|record| match &record.ended {
        Ended::Drawn(drawing) => {
            let references = drawing.references.len();
            format!(
                "{} {} {} {} {references}",
                record.system, record.item, record.seed, drawing.picture.hash
            )
        }
        Ended::Failed { error, .. } => panic!("{error}"),
    });
    let scores = results.scores.iter().map(|score| match score.outcome {
        Outcome::Value(value) => format!("{} {} {value}", score.picture, score.item),
        _ => panic!("{score:?}"),
    });
    pictures.chain(scores).collect()
}

/// The process that is killed; as a test it does nothing of its own.
#[test]
fn in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let told = |event: &Event| {
        if !matches!(event, Event::Began { .. }) {
            println!("\ndone");
        }
    };
    block_on(experiment(Path::new(&folder)).run(told)).unwrap();
}

#[test]
fn killed_twenty_times_it_ends_with_the_same_numbers() {
    let [killed, whole] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let random = &mut fastrand::Rng::with_seed(14);
    let mut kills = 0;
    while kills < 20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "in_a_process_of_its_own", "--nocapture"])
            .env(FOLDER, killed.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Wherever it is when so many things are done.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let done = lines.map_while(Result::ok).filter(|line| line == "done");
        let enough = random.usize(1..12);
        let was_at_work = done.take(enough).count() == enough;
        child.kill().unwrap();
        child.wait().unwrap();
        if !was_at_work {
            break;
        }
        kills += 1;
        // A machine that loses its power tears lines too.
        for file in ["pictures.jsonl", "scores.jsonl"] {
            let path = killed.path().join(file);
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let cut = random.usize(0..40).min(bytes.len());
            std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        }
    }
    assert!(kills >= 10, "killed {kills} times only: the experiment is too short for this test");
    let last = block_on(experiment(killed.path()).run(|_| {})).unwrap();
    assert_eq!((last.failed, last.scores_failed, last.notes.len()), (0, 0, 0), "{last:?}");
    block_on(experiment(whole.path()).run(|_| {})).unwrap();
    let results = Results::load(whole.path()).unwrap();
    assert_eq!(results.pictures.len(), 160);
    assert_eq!(numbers(&Results::load(killed.path()).unwrap()), numbers(&results));
    let again = block_on(experiment(killed.path()).run(|_| {})).unwrap();
    assert_eq!((again.drawn, again.scored), (0, 0));
}

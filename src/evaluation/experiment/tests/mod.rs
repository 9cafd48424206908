//! Experiments of fakes: what is drawn and scored, how often, and what a run finds of the one before.

mod budgets;
mod faults;

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;

use super::*;
use crate::conditioner::{ConditioningKind, InPrompt};
use crate::evaluation::dataset::{Class, Item, RealImage};
use crate::evaluation::metric::{Fingerprint, Outcome, Score, Subject};
use crate::generator::{Drawn, GenerateRequest};
use crate::pipeline::{Mode, RagConfig, StopReason};
use crate::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
use crate::vlm::ChatRequest;
use crate::{Error, Generator, RagPipeline, RagRequest, Usage};

/// The mean of a picture's bytes, and how often somebody asked.
#[derive(Clone, Debug, Default)]
struct Brightness {
    asked: Arc<AtomicUsize>,
    version: u32,
}

#[async_trait]
impl Metric for Brightness {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("mean of bytes").with_settings(self.version)
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        self.asked.fetch_add(subjects.len(), Ordering::Relaxed);
        let mean = |subject: &Subject| {
            let pixels = subject.image.pixels();
            pixels.iter().map(|byte| f64::from(*byte)).sum::<f64>() / pixels.len() as f64
        };
        Ok(subjects.iter().map(|subject| Score::value(mean(subject))).collect())
    }
}

impl fmt::Display for Brightness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "brightness {}", self.version)
    }
}

fn birds() -> Dataset {
    let mut birds = Dataset::new("birds");
    for (id, name) in [("1", "quetzal"), ("2", "kea"), ("3", "kakapo")] {
        birds.classes.push(Class::new(id, name));
        birds.items.push(Item::new(id, format!("A photo of a {name}")).of_class(id));
    }
    birds
}

/// Lacks a quetzal and nothing else.
fn pipeline(generator: impl Generator) -> RagPipeline {
    let vlm = FakeVlm::answering(|chat: &ChatRequest| {
        let first = &chat.messages[0].text;
        let reply = match chat.messages.len() {
            1 if first.contains("quetzal") => "no",
            1 => "yes",
            3 => "a quetzal",
            _ => "a quetzal on a branch",
        };
        let reply = crate::vlm::ChatReply::new(reply);
        Ok(reply.with_usage(Usage::tokens(1_000, 10)))
    });
    RagPipeline::builder()
        .generator(generator)
        .vlm(vlm)
        .retriever(FakeRetriever::new([("a quetzal on a branch", solid(8, 8, [0, 140, 70]))]))
        .conditioner(InPrompt::new(3).unwrap())
        .build()
        .unwrap()
}

fn drawn_by(generator: &FakeGenerator) -> usize {
    generator.requests().len()
}

fn run(experiment: &Experiment) -> RunSummary {
    block_on(experiment.run(|_| {})).unwrap()
}

#[test]
fn a_pair_shares_its_draft_and_a_metric_that_is_added_draws_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let generator = FakeGenerator::new();
    let (one, other) = (Brightness::default(), Brightness { version: 1, ..Brightness::default() });
    let experiment = Experiment::new(folder.path())
        .system(System::pipeline("ImageRAG", pipeline(generator.clone())).over("base"))
        .system(System::generator("base", generator.clone()).with_size(16, 16))
        .dataset(birds())
        .metric(one.clone())
        .with_seeds([0, 7]);
    let plan = experiment.plan().unwrap();
    let to_do: Vec<_> = plan.pictures.iter().map(|work| (work.to_do, work.total)).collect();
    assert_eq!(to_do, [(6, 6), (6, 6)]);
    assert_eq!(plan.scores[0].to_do, 12);

    let done = run(&experiment);
    assert_eq!((done.drawn, done.failed, done.notes.len()), (12, 0, 0), "{done:?}");
    // Six drafts, and two pictures with a reference.
    assert_eq!(drawn_by(&generator), 8);
    let results = experiment.results().unwrap();
    let names: Vec<_> =
        results.pictures.iter().map(|one| (&*one.system, &*one.item, one.seed)).collect();
    assert_eq!(names[..3], [("ImageRAG", "1", 0), ("ImageRAG", "1", 7), ("ImageRAG", "2", 0)]);
    for (n, picture) in results.pictures.iter().enumerate() {
        let Ended::Drawn(drawing) = &picture.ended else { panic!("{picture:?}") };
        let base = &results.pictures[n % 6 + 6];
        let Ended::Drawn(of_base) = &base.ended else { panic!("{base:?}") };
        if n < 6 {
            assert_eq!(drawing.draft.as_ref(), Some(&of_base.picture));
            let lacking = picture.item == "1";
            assert_eq!(drawing.picture != of_base.picture, lacking);
            assert_eq!(drawing.references.len(), usize::from(lacking));
            let stop =
                if lacking { StopReason::RoundLimit } else { StopReason::Matched { round: 0 } };
            assert_eq!(drawing.stop, Some(stop));
            assert_eq!(picture.calls, if lacking { 3 } else { 1 });
            assert_eq!(
                picture.usage["FakeVlm"],
                Usage::tokens(1_000 * picture.calls, 10 * picture.calls)
            );
        }
        let trace =
            fs::read_to_string(folder.path().join(drawing.trace.as_ref().unwrap())).unwrap();
        assert!(trace.contains(&picture.prompt), "{trace}");
    }
    // A picture that is its own draft is scored once for both.
    assert_eq!((results.scores.len(), one.asked.load(Ordering::Relaxed)), (8, 8));

    let more = experiment.clone().metric(other.clone());
    assert_eq!(more.plan().unwrap().scores[1].to_do, 8);
    let done = run(&more);
    assert_eq!((done.drawn, done.scored, drawn_by(&generator)), (0, 8, 8));
    assert_eq!(one.asked.load(Ordering::Relaxed), 8);
    assert_eq!(Results::load(folder.path()).unwrap(), more.results().unwrap());
    assert_eq!(more.results().unwrap().scores.len(), 16);
}

#[test]
fn a_moved_folder_goes_on_and_a_missing_picture_is_drawn_again() {
    let outer = tempfile::tempdir().unwrap();
    let (before, after) = (outer.path().join("before"), outer.path().join("after"));
    let generator = FakeGenerator::new();
    let experiment = |folder: &Path| {
        Experiment::new(folder)
            .system(System::generator("base", generator.clone()))
            .dataset(birds())
    };
    run(&experiment(&before));
    fs::rename(&before, &after).unwrap();
    assert_eq!((run(&experiment(&after)).drawn, drawn_by(&generator)), (0, 3));
    let results = Results::load(&after).unwrap();
    let Ended::Drawn(drawing) = &results.pictures[1].ended else { panic!("not drawn") };
    assert!(drawing.picture.file.starts_with("pictures/"), "{drawing:?}");
    fs::remove_file(after.join(&drawing.picture.file)).unwrap();
    assert_eq!((run(&experiment(&after)).drawn, drawn_by(&generator)), (1, 4));
}

#[test]
fn changed_settings_draw_again_and_keep_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let generator = FakeGenerator::new();
    let base = || System::generator("base", generator.clone());
    let rag = |config: RagConfig| {
        let pipeline = pipeline(generator.clone()).with_config(config).unwrap();
        System::pipeline("ImageRAG", pipeline).over("base")
    };
    let run = |base: System, rag: System| {
        let experiment = Experiment::new(folder.path()).system(base).system(rag).dataset(birds());
        run(&experiment).drawn
    };
    let usual = RagConfig::default;
    assert_eq!(run(base(), rag(usual())), 6);
    assert_eq!(run(base(), rag(usual().with_threshold(0.1))), 3);
    // A changed base changes what stands on it.
    assert_eq!(run(base().with_steps(9), rag(usual())), 6);
    assert_eq!(run(base(), rag(usual()).with_settings("gallery: 7 images")), 3);
    assert_eq!(run(base(), rag(usual()).with_negative_prompt("blurry")), 3);
    assert_eq!(run(base(), rag(usual())), 0); // The old ones are still there.
    let mut other = birds();
    other.items[0].prompt = "A painting of a quetzal".to_owned();
    let experiment = Experiment::new(folder.path()).system(base()).dataset(other);
    assert_eq!(super::tests::run(&experiment).drawn, 1);
    assert_eq!(experiment.results().unwrap().pictures[0].prompt, "A painting of a quetzal");
}

/// Fails where the prompt says so, until it is mended.
fn moody(name: &str, is_mended: bool) -> System {
    System::function(name, "moody", move |request: RagRequest| async move {
        match &*request.prompt {
            "A photo of a kea" if !is_mended => Err(Error::refused("moody", "no keas").into()),
            "A photo of a kakapo" if !is_mended => panic!("no kakapos"),
            _ => Ok(SystemOutcome::from(solid(4, 4, [7; 3]))),
        }
    })
}

#[test]
fn failures_and_refusals_are_recorded_and_tried_again_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = |is_mended| {
        let over = System::pipeline("over", pipeline(FakeGenerator::new())).over("moody");
        Experiment::new(folder.path())
            .system(moody("moody", is_mended))
            .system(over)
            .dataset(birds())
    };
    let done = run(&experiment(false));
    assert_eq!((done.drawn, done.failed), (2, 4), "{done:?}");
    let results = experiment(false).results().unwrap();
    let ended = |n: usize| match &results.pictures[n].ended {
        Ended::Failed { error, refused, .. } => (error.clone(), *refused),
        Ended::Drawn(_) => ("drawn".to_owned(), false),
    };
    assert_eq!(ended(0).0, "drawn");
    assert_eq!(ended(1), ("moody declines the request: no keas".to_owned(), true));
    assert!(ended(2).0.contains("it panicked: no kakapos") && !ended(2).1, "{:?}", ended(2));
    assert!(ended(4).0.starts_with("moody, its base, has no picture: ") && ended(4).1);

    let again = run(&experiment(true));
    assert_eq!((again.drawn, again.failed), (0, 0));
    assert_eq!(experiment(true).plan().unwrap().pictures[0].failed, 2);
    let retried = run(&experiment(true).with_retry_failed(true));
    assert_eq!((retried.drawn, retried.failed), (4, 0));
    assert!(
        experiment(true)
            .results()
            .unwrap()
            .pictures
            .iter()
            .all(|one| matches!(one.ended, Ended::Drawn(_)))
    );
}

#[test]
fn one_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = Experiment::new(folder.path())
        .system(System::generator("base", FakeGenerator::new()))
        .dataset(birds());
    let mut inner = None;
    block_on(experiment.run(|_| {
        inner.get_or_insert_with(|| {
            let refused = experiment.run(|_| {}).now_or_never().unwrap();
            refused.unwrap_err().to_string()
        });
    }))
    .unwrap();
    assert!(inner.unwrap().contains("another run has it open"));
}

#[test]
fn what_cannot_be_told_apart_is_refused_before_anything_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let system = |name: &str| System::generator(name, FakeGenerator::new());
    let with = |systems: Vec<System>| {
        let empty = Experiment::new(folder.path().join("none")).dataset(birds());
        systems.into_iter().fold(empty, Experiment::system)
    };
    let error = |experiment: Experiment| block_on(experiment.run(|_| {})).unwrap_err().to_string();
    let twice = error(with(vec![system("base"), system("base")]));
    assert_eq!(twice, "systems on data sets: expected each once, found base on birds again");
    let none = error(with(vec![system("a").over("b")]));
    assert_eq!(none, "base of system a: expected a system on birds, of a, found b");
    let circle = error(with(vec![system("a").over("b"), system("b").over("a")]));
    assert!(circle.contains("no circle"), "{circle}");
    let no_set = error(with(vec![system("a").on(["fish"])]));
    assert_eq!(no_set, "data sets of system a: expected some of birds, found fish");
    let mut same = birds();
    same.items.push(Item::new("1", "another"));
    let same = error(Experiment::new(folder.path()).system(system("a")).dataset(same));
    assert_eq!(same, "items of data set birds: expected each once, found 1 again");
    let seeds = error(with(vec![system("a")]).with_seeds([3, 3]));
    assert_eq!(seeds, "seeds: expected each once, found 3 again");
    assert!(!folder.path().join("none").exists());
    assert!(matches!(Results::load(folder.path()), Err(Error::InvalidFile { .. })));
}

#[test]
fn systems_of_one_name_are_a_row_with_a_gallery_for_each_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let generator = FakeGenerator::new();
    let mut fish = birds();
    fish.name = "fish".to_owned();
    let own = |set: &str| {
        let system = System::generator("own", generator.clone());
        system.on([set]).with_settings(format!("gallery of {set}"))
    };
    let experiment = Experiment::new(folder.path())
        .system(own("birds"))
        .system(own("fish"))
        .dataset(birds())
        .dataset(fish);
    assert_eq!(run(&experiment).drawn, 6);
    let results = experiment.results().unwrap();
    assert_eq!((results.systems.len(), results.pictures.len()), (1, 6));
    assert_ne!(results.pictures[0].settings, results.pictures[3].settings);
    assert_eq!(run(&experiment).drawn, 0);
}

#[test]
fn real_images_that_change_make_scores_of_their_own_where_a_metric_compares() {
    #[derive(Debug)]
    struct Counts(bool);
    #[async_trait]
    impl Metric for Counts {
        fn fingerprint(&self) -> Fingerprint {
            Fingerprint::new(format!("real images {}", self.0))
        }
        fn needs_real_images(&self) -> bool {
            self.0
        }
        async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
            let count = |one: &Subject| Score::value(one.real_images.len() as f64);
            Ok(subjects.iter().map(count).collect())
        }
    }
    impl fmt::Display for Counts {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "counts {}", self.0)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let with = |images: usize| {
        let mut birds = birds();
        for n in 0..images {
            birds.classes[0].images.push(RealImage::new(n.to_string(), solid(2, 2, [1; 3]).into()));
        }
        let experiment = Experiment::new(folder.path())
            .system(System::generator("base", FakeGenerator::new()))
            .dataset(birds)
            .metric(Counts(true))
            .metric(Counts(false));
        let scored = run(&experiment).scored;
        let values =
            experiment.results().unwrap().scores.into_iter().map(|score| match score.outcome {
                Outcome::Value(value) => value,
                other => panic!("{other:?}"),
            });
        (scored, values.sum::<f64>())
    };
    assert_eq!(with(2), (6, 4.0));
    assert_eq!(with(3), (1, 3.0 + 2.0));
    assert_eq!(with(2), (0, 4.0));
}

/// Draws slowly, so that several are in progress.
#[derive(Debug, Default)]
struct Slow {
    busy: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Generator for Slow {
    fn accepts(&self) -> &[crate::conditioner::ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(busy, Ordering::SeqCst);
        futures_timer::Delay::new(std::time::Duration::from_millis(5)).await;
        self.busy.fetch_sub(1, Ordering::SeqCst);
        Ok(requests.iter().map(|_| solid(2, 2, [1; 3]).into()).collect())
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slow")
    }
}

#[test]
fn as_many_pictures_at_a_time_as_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Arc::new(Slow::default());
    let experiment = Experiment::new(folder.path())
        .system(System::generator("slow", Arc::clone(&slow)))
        .dataset(birds())
        .with_seeds([0, 1, 2])
        .with_concurrency(3);
    assert_eq!(run(&experiment).drawn, 9);
    assert_eq!(slow.most.load(Ordering::SeqCst), 3);
}

#[test]
fn a_lazy_system_is_loaded_once_for_what_is_missing_and_dropped_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let loads = Arc::new(AtomicUsize::new(0));
    let alive = Arc::new(());
    let system = |fails: bool| {
        let (loads, alive) = (Arc::clone(&loads), Arc::clone(&alive));
        System::lazy("lazy", "settings", 3, move || {
            loads.fetch_add(1, Ordering::SeqCst);
            let _kept = Arc::clone(&alive);
            match fails {
                true => Err(Error::unavailable("weights", "not here")),
                false => {
                    Ok(pipeline(Held { inner: FakeGenerator::new(), _alive: Arc::clone(&alive) }))
                }
            }
        })
    };
    let experiment = |fails| Experiment::new(folder.path()).system(system(fails)).dataset(birds());
    let failing = run(&experiment(true));
    // What cannot be loaded is no failure of a picture: the next run draws without being told to.
    assert_eq!((failing.failed, loads.swap(0, Ordering::SeqCst)), (0, 1));
    let why = "lazy was given up (3 pictures were not tried): weights is not available: not here";
    assert_eq!(failing.given_up, [why]);
    let lacking = experiment(false).results().unwrap().incomplete();
    assert_eq!(lacking, ["lazy: of 3 pictures 3 are missing"]);
    let first = experiment(false);
    assert_eq!(first.plan().unwrap().estimate.calls, 9.0);
    assert_eq!((run(&first).drawn, loads.load(Ordering::SeqCst)), (3, 1));
    assert_eq!(Arc::strong_count(&alive), 2, "the model is dropped");
    assert_eq!((run(&experiment(false)).drawn, loads.load(Ordering::SeqCst)), (0, 1));
}

/// A generator that tells whether it is still there.
#[derive(Debug)]
struct Held {
    inner: FakeGenerator,
    _alive: Arc<()>,
}

#[async_trait]
impl Generator for Held {
    fn accepts(&self) -> &[crate::conditioner::ConditioningKind] {
        self.inner.accepts()
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        self.inner.generate(requests).await
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

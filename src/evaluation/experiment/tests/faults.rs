//! Systems and metrics that cannot work, critics that cannot say, and settings that make no sense.

use super::*;

#[test]
fn a_system_that_fails_always_is_given_up_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut many = Dataset::new("many");
    many.items = (0..30).map(|n| Item::new(n.to_string(), format!("thing {n}"))).collect();
    let down = System::function("down", "", |_| async {
        Err::<SystemOutcome, _>(Error::unavailable("service", "no key").into())
    });
    let experiment = Experiment::new(folder.path())
        .system(down)
        .system(System::generator("up", FakeGenerator::new()))
        .dataset(many)
        .with_concurrency(1);
    let done = run(&experiment);
    assert_eq!((done.drawn, done.failed, done.given_up.len()), (30, 10, 1), "{done:?}");
    assert!(done.given_up[0].contains("20 pictures were not tried"), "{:?}", done.given_up);
}

/// Fails as a whole, or gives a number that is none.
#[derive(Debug)]
struct Broken(bool);

#[async_trait]
impl Metric for Broken {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(format!("broken {}", self.0))
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        match self.0 {
            true => Err(Error::unavailable("the judge", "no key")),
            false => Ok(subjects.iter().map(|_| Outcome::Value(f64::NAN).into()).collect()),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

#[test]
fn a_metric_that_fails_is_told_and_a_number_that_is_none_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = |metric| {
        let system = System::generator("base", FakeGenerator::new());
        Experiment::new(folder.path()).system(system).dataset(birds()).metric(metric)
    };
    let done = run(&experiment(Broken(true)).metric(Brightness::default()));
    let counts = (done.drawn, done.scored, done.scores_failed, done.given_up.len());
    assert_eq!(counts, (3, 6, 3, 1), "{done:?}");
    assert_eq!(done.given_up, ["broken was given up: the judge is not available: no key"]);
    let lacking = experiment(Broken(true)).results().unwrap().incomplete();
    assert_eq!(lacking, ["broken: of 3 scores 3 failed"]);
    let done = run(&experiment(Broken(false)));
    assert_eq!((done.scored, done.scores_failed), (3, 3));
    let results = experiment(Broken(false)).results().unwrap();
    assert!(
        results
            .scores
            .iter()
            .all(|score| matches!(&score.outcome, Outcome::Failed(why) if why.contains("NaN")))
    );
}

#[test]
fn a_fault_of_the_system_ends_it_and_is_no_failure_of_a_picture() {
    for error in [
        || Error::invalid_input("width", "a multiple of 8", 7),
        || Error::Service {
            service: "service".to_owned(),
            status: 401,
            message: "no such key".to_owned(),
            retry_after: None,
        },
    ] as [fn() -> Error; 2]
    {
        let folder = tempfile::tempdir().unwrap();
        let system = System::function("down", "", move |_| async move {
            Err::<SystemOutcome, _>(error().into())
        });
        let experiment = Experiment::new(folder.path()).system(system).dataset(birds());
        let done = run(&experiment);
        assert_eq!((done.drawn, done.failed), (0, 0), "{done:?}");
        let told = format!("down was given up (3 pictures were not tried): {}", error());
        assert_eq!(done.given_up, [told]);
        assert!(experiment.results().unwrap().pictures.is_empty());
    }
}

/// The results of a pipeline whose vision-language model says the same to everything.
fn babbling(reply: &'static str, config: RagConfig) -> Results {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = RagPipeline::builder()
        .generator(FakeGenerator::new())
        .vlm(FakeVlm::answering(move |_: &ChatRequest| Ok(crate::vlm::ChatReply::new(reply))))
        .retriever(FakeRetriever::new([("a quetzal on a branch", solid(8, 8, [0, 140, 70]))]))
        .conditioner(InPrompt::new(3).unwrap())
        .config(config)
        .build()
        .unwrap();
    let experiment = Experiment::new(folder.path())
        .system(System::pipeline("ImageRAG", pipeline))
        .dataset(birds());
    let done = run(&experiment);
    let results = experiment.results().unwrap();
    assert_eq!((done.drawn, done.failed), (3, 0), "{done:?}");
    assert_eq!(results.incomplete(), [""; 0]);
    assert_eq!(done.undetermined == 3, !results.undetermined().is_empty(), "{done:?}");
    results
}

#[test]
fn a_critic_that_cannot_say_is_counted() {
    let told = ["ImageRAG: the critic could not say what to change of 3 of 3 pictures"];
    for mode in [Mode::OnDemand, Mode::RephraseOnly, Mode::PlanEdit] {
        let config = || RagConfig::default().with_mode(mode);
        for reply in ["I'm sorry, but I can't assist with that.", ""] {
            assert_eq!(babbling(reply, config()).undetermined(), told, "{mode:?}: {reply}");
        }
    }
    assert_eq!(babbling("yes", RagConfig::default()).undetermined(), [""; 0]);
    let rephrased = RagConfig::default().with_mode(Mode::RephraseOnly);
    assert_eq!(babbling("A photo of a small green bird", rephrased).undetermined(), [""; 0]);
}

#[test]
fn a_picture_that_is_damaged_says_how_it_is_healed() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = Experiment::new(folder.path())
        .system(System::generator("base", FakeGenerator::new()))
        .dataset(birds());
    run(&experiment);
    let results = experiment.results().unwrap();
    let Ended::Drawn(drawing) = &results.pictures[0].ended else { panic!("not drawn") };
    let file = folder.path().join(&drawing.picture.file);
    fs::write(&file, "garbage").unwrap();
    let scored = experiment.metric(Brightness::default());
    assert!(run(&scored).scores_failed > 0);
    let results = scored.results().unwrap();
    let Outcome::Failed(why) = &results.scores[0].outcome else { panic!("{results:?}") };
    assert!(why.contains("remove the file, and it is drawn again"), "{why}");
    fs::remove_file(&file).unwrap();
    let healed = run(&scored.with_retry_failed(true));
    assert_eq!((healed.drawn, healed.scores_failed), (1, 0), "{healed:?}");
}

#[test]
fn settings_with_which_nothing_can_be_done_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let system = || System::generator("a", FakeGenerator::new());
    let with = |system| Experiment::new(folder.path()).dataset(birds()).system(system);
    let error = |experiment: Experiment| experiment.plan().unwrap_err().to_string();
    let of = |system| error(with(system));
    assert_eq!(of(system().with_steps(0)), "steps of system a: expected at least 1, found 0");
    let scale = of(system().with_guidance_scale(f64::NAN));
    assert_eq!(scale, "guidance_scale of system a: expected a finite number, found NaN");
    let size = of(system().with_size(0, 8));
    assert_eq!(size, "size of system a: expected at least 1 x 1, found 0 x 8");
    let none = of(system().on(Vec::<String>::new()));
    assert_eq!(none, "data sets of system a: expected at least one, found 0");
    let concurrency = error(with(system()).with_concurrency(0));
    assert_eq!(concurrency, "concurrency: expected at least 1, found 0");
    for name in ["", " ", "a\nb"] {
        let told = of(System::generator(name, FakeGenerator::new()));
        let expected = format!("names of systems: expected a name on one line, found {name:?}");
        assert_eq!(told, expected);
    }
    let twice = error(with(system().over("b")).system(system()));
    assert_eq!(twice, "systems on data sets: expected each once, found a on birds again");
    let twice = error(with(system()).metric(Named("x")).metric(Named("y")));
    assert_eq!(twice, "metrics: expected each once, found x and y, both same; version 1");
}

/// Computes the same under any name.
#[derive(Debug)]
struct Named(&'static str);

#[async_trait]
impl Metric for Named {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("same")
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        Ok(subjects.iter().map(|_| Score::value(0.0)).collect())
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

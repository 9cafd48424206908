//! Runs with a bound on calls, money or seconds: how far they go, and what goes on beyond.

use super::*;

#[test]
fn a_budget_and_a_stop_end_a_run_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let generator = FakeGenerator::new();
    let experiment = Experiment::new(folder.path())
        .system(System::pipeline("ImageRAG", pipeline(generator.clone())))
        .dataset(birds())
        .with_concurrency(1)
        .with_price("FakeVlm", Price { per_million_prompt_tokens: 1_000.0, ..Price::default() });
    let stopped = experiment.clone();
    let stop = stopped.stop();
    let done = block_on(stopped.run(|event| {
        if matches!(event, Event::Picture { .. }) {
            stop.stop();
        }
    }));
    let done = done.unwrap();
    assert_eq!((done.drawn, done.stopped.as_deref()), (1, Some("it was stopped")));
    assert!((done.cost - 3.0).abs() < 1e-9, "{}", done.cost);
    let bounded = |budget| {
        let fresh = Experiment { stop: Stop::default(), ..experiment.clone() };
        run(&fresh.with_budget(budget))
    };
    let done = bounded(Budget { money: Some(3.5), ..Budget::default() });
    assert_eq!(done.drawn, 1, "{done:?}");
    assert!(done.stopped.unwrap().contains("4.00 of 3.50"));
    let done = bounded(Budget { calls: Some(4), ..Budget::default() });
    assert_eq!((done.drawn, done.spent.calls), (0, 4));
    let done = bounded(Budget::default());
    assert_eq!((done.drawn, done.stopped), (1, None));
}

/// Twelve prompts that lack something.
fn quetzals() -> Dataset {
    let mut many = Dataset::new("quetzals");
    let item = |n: usize| Item::new(n.to_string(), format!("A photo of a quetzal {n}"));
    many.items = (0..12).map(item).collect();
    many
}

/// Priced by 1 for each question.
fn priced(experiment: Experiment) -> Experiment {
    let per_million_prompt_tokens = 1_000.0;
    experiment.with_price("FakeVlm", Price { per_million_prompt_tokens, ..Price::default() })
}

#[test]
fn what_is_in_progress_counts_and_what_is_free_goes_on() {
    let with = |budget: Budget| {
        let folder = tempfile::tempdir().unwrap();
        let experiment = Experiment::new(folder.path())
            .system(System::pipeline("ImageRAG", pipeline(Slow::default())))
            .dataset(quetzals())
            .metric(Brightness::default())
            .with_concurrency(12)
            .with_budget(budget);
        let done = run(&priced(experiment));
        assert_eq!(done.scored, done.drawn, "a metric that asks nobody goes on: {done:?}");
        (done.drawn, done.spent.calls, done.stopped.unwrap_or_default())
    };
    // Three questions a picture.
    let used_up = |what: &str| format!("the budget is used up: {what}");
    let calls = |calls| with(Budget { calls: Some(calls), ..Budget::default() });
    assert_eq!(calls(3), (1, 3, used_up("3 calls of 3")));
    assert_eq!(calls(10), (4, 12, used_up("12 calls of 10")));
    assert_eq!(calls(1_000), (12, 36, String::new()));
    let money = |money| with(Budget { money: Some(money), ..Budget::default() });
    assert_eq!(money(0.004), (1, 3, used_up("3.00 of 0.0040 in money")));
    assert_eq!(money(7.0), (3, 9, used_up("9.00 of 7.00 in money")));
    let (drawn, _, why) = with(Budget { seconds: Some(0.000_1), ..Budget::default() });
    assert_eq!((drawn, why), (1, used_up("0 seconds of 0.0001")));
}

/// Asks one question a picture, and is told a number.
#[derive(Debug)]
struct Asking;

#[async_trait]
impl Metric for Asking {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("asks")
    }

    fn calls_per_score(&self) -> u64 {
        1
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        let exchange = crate::vlm::Exchange::default();
        Ok(subjects
            .iter()
            .map(|_| Score::value(1.0).with_exchanges(vec![exchange.clone()]))
            .collect())
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asking")
    }
}

#[test]
fn a_judge_is_asked_as_often_as_the_budget_allows() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = |calls| {
        Experiment::new(folder.path())
            .system(System::generator("base", FakeGenerator::new()))
            .dataset(quetzals())
            .metric(Asking)
            .metric(Brightness::default())
            .with_budget(Budget { calls: Some(calls), ..Budget::default() })
    };
    let done = run(&experiment(5));
    assert_eq!((done.drawn, done.spent.calls, done.scored), (12, 5, 5 + 12));
    assert_eq!(
        experiment(5).results().unwrap().incomplete(),
        ["asking: of 12 scores 7 are missing"]
    );
    assert_eq!(run(&experiment(5)).scored, 0);
    assert_eq!(run(&experiment(20)).scored, 7);
}

#[test]
fn bounds_and_prices_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = Experiment::new(folder.path()).dataset(birds());
    let error = |experiment: Experiment| experiment.plan().unwrap_err().to_string();
    let bounded = |budget| error(priced(experiment.clone()).with_budget(budget));
    let none = Budget::default();
    let calls = "budget.calls: expected at least 1, or none for no bound, found 0";
    assert_eq!(bounded(Budget { calls: Some(0), ..none }), calls);
    for bound in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let expected = format!("expected a number above 0, found {bound}");
        let money = bounded(Budget { money: Some(bound), ..none });
        assert_eq!(money, format!("budget.money: {expected}"));
        let seconds = bounded(Budget { seconds: Some(bound), ..none });
        assert_eq!(seconds, format!("budget.seconds: {expected}"));
    }
    let price = |per_image| {
        error(experiment.clone().with_price("x", Price { per_image, ..Price::default() }))
    };
    let negative = "prices.x.per_image: expected a number from 0 on, found -1";
    assert_eq!(price(-1.0), negative);
    assert!(price(f64::NAN).ends_with("found NaN"));
    let free = experiment.with_budget(Budget { money: Some(1.0), ..none });
    assert_eq!(
        error(free),
        "prices: expected at least one, as budget.money is a bound, found none"
    );
}

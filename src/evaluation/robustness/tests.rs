//! Critics that are right, wrong, silent and down, to counts; and runs that were ended.

use futures::executor::block_on;

use super::*;
use crate::critic::GuidedCot;
use crate::evaluation::dataset::RealImage;
use crate::evaluation::statistics::Confidence;
use crate::reference::Picture;
use crate::testing::{FakeVlm, solid};
use crate::vlm::ChatRequest;

/// Classes whose pictures have their number as their colour.
fn dataset(count: u8) -> Dataset {
    let mut dataset = Dataset::new("birds");
    for n in 0..count {
        let mut class = Class::new(n.to_string(), format!("bird{n} finch"));
        class.images = vec![
            RealImage::new(format!("{n}/gone.jpg"), Picture::file("no such file")),
            RealImage::new(format!("{n}/a.jpg"), solid(4, 4, [n, 0, 0]).into()),
        ];
        dataset.classes.push(class);
    }
    dataset
}

/// Looks at the colour, and says yes where the prompt has this bird alone; otherwise it names the others.
fn expert() -> FakeVlm {
    FakeVlm::answering(|request: &ChatRequest| {
        let first = &request.messages[0];
        let shown = format!("bird{} finch", first.images[0].pixels()[0]);
        let start = first.text.find("A photo of a ").unwrap() + "A photo of a ".len();
        let prompt = &first.text[start..].split(['"', '?', '\u{201d}']).next().unwrap();
        let others: Vec<&str> =
            prompt.split(" and a ").map(str::trim).filter(|name| *name != shown).collect();
        Ok(match (request.messages.len(), others.is_empty()) {
            (1, true) => "Yes".to_owned(),
            (1, false) => "No".to_owned(),
            _ => others.join("\n"),
        })
    })
}

fn run(robustness: &Robustness, path: &Path, candidates: &[Candidate]) -> Vec<RobustnessResult> {
    block_on(robustness.run(path, candidates, |_| {})).unwrap()
}

#[test]
fn twenty_classes_have_780_questions() {
    let robustness = Robustness::new(&dataset(40), 20, 3).unwrap();
    let questions = robustness.questions();
    let of = |kind| questions.iter().filter(|one| one.kind == kind).collect::<Vec<_>>();
    assert_eq!(PromptKind::ALL.map(|kind| of(kind).len()), [20, 380, 380]);
    let first = of(PromptKind::Class)[0];
    assert_eq!(first.prompt, format!("A photo of a {}", first.class_name));
    let both = of(PromptKind::ClassAndOther)[0];
    let other = both.other_name.as_deref().unwrap();
    assert_eq!(both.prompt, format!("A photo of a {} and a {other}", both.class_name));
    let alone = of(PromptKind::Other)[0];
    assert_eq!(alone.prompt, format!("A photo of a {}", alone.other_name.as_deref().unwrap()));
    let unique: HashSet<_> = questions.iter().map(|one| (&one.class, &one.prompt)).collect();
    assert_eq!(unique.len(), 780);
    // The seed chooses, whatever the order of the data set is.
    let mut turned = dataset(40);
    turned.classes.reverse();
    let ids = |robustness: &Robustness| -> HashSet<String> {
        robustness.classes.iter().map(|class| class.id.clone()).collect()
    };
    assert_eq!(ids(&Robustness::new(&turned, 20, 3).unwrap()), ids(&robustness));
    assert_ne!(ids(&Robustness::new(&turned, 20, 4).unwrap()), ids(&robustness));
}

#[test]
fn right_wrong_and_silent_critics_are_told_apart_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let robustness = Robustness::new(&dataset(4), 4, 0).unwrap();
    let candidates = [
        Candidate::new("expert", GuidedCot::new(expert())),
        Candidate::new("LLaVA", GuidedCot::new(FakeVlm::answering(|_| Ok("No")))),
        Candidate::new("yes", GuidedCot::new(FakeVlm::answering(|_| Ok("Yes")))),
        Candidate::new(
            "mute",
            GuidedCot::new(FakeVlm::answering(|_| Ok("I'm sorry, I can't help with that."))),
        ),
        Candidate::new("down", GuidedCot::new(FakeVlm::default())),
    ];
    let results = run(&robustness, &folder.path().join("a.jsonl"), &candidates);
    let counts = |at: usize| {
        PromptKind::ALL.map(|kind| {
            let KindResult {
                questions,
                answered,
                correct,
                decision_correct,
                undetermined,
                failed,
                ..
            } = results[at].of(kind);
            [questions, answered, correct, decision_correct, undetermined, failed]
        })
    };
    assert_eq!(counts(0), [[4, 4, 4, 4, 0, 0], [12, 12, 12, 12, 0, 0], [12, 12, 12, 12, 0, 0]]);
    // "No" is no list of concepts: it is answered, and cannot tell what is missing.
    assert_eq!(counts(1)[0][..4], [4, 4, 0, 0]);
    assert_eq!(counts(2), [[4, 4, 4, 4, 0, 0], [12, 12, 0, 0, 0, 0], [12, 12, 0, 0, 0, 0]]);
    assert_eq!(counts(3), [[4, 4, 0, 0, 4, 0], [12, 12, 0, 0, 12, 0], [12, 12, 0, 0, 12, 0]]);
    assert_eq!(counts(4), [[4, 0, 0, 0, 0, 4], [12, 0, 0, 0, 0, 12], [12, 0, 0, 0, 0, 12]]);
    assert_eq!(results[4].of(PromptKind::Class).accuracy(), None);
    let class = results[0].of(PromptKind::Class);
    assert_eq!(class.accuracy(), Some(1.0));
    let interval = class.interval(Confidence::default()).unwrap();
    assert!((interval.low - 0.5101).abs() < 1e-4 && interval.high == 1.0, "{interval:?}");
    // Every wrong answer has the model's words.
    assert_eq!(results[2].wrong().count(), 24);
    for answer in results[2].wrong() {
        assert_eq!(answer.exchanges[0].reply.as_deref(), Some("Yes"));
        assert!(answer.image.ends_with("/a.jpg"), "{answer:?}");
    }
    assert_eq!(results[0].wrong().count(), 0);
}

#[test]
fn a_run_goes_on_and_asks_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let robustness = Robustness::new(&dataset(3), 3, 0).unwrap();
    let whole = run(
        &robustness,
        &folder.path().join("whole.jsonl"),
        &[Candidate::new("expert", GuidedCot::new(expert()))],
    );
    // Ended after each number of answers, with half a line behind them.
    let text = std::fs::read_to_string(folder.path().join("whole.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 15);
    for kept in 0..=lines.len() {
        let torn = lines.get(kept).map_or("", |line| &line[..line.len() / 2]);
        std::fs::write(&path, lines[..kept].join("\n") + if kept > 0 { "\n" } else { "" } + torn)
            .unwrap();
        let vlm = expert();
        let candidates = [Candidate::new("expert", GuidedCot::new(vlm.clone()))];
        let mut told = 0;
        let again = block_on(robustness.run(&path, &candidates, |progress| {
            assert_eq!(progress.of, 15);
            told += 1;
        }));
        let without_times = |results: &[RobustnessResult]| {
            results.iter().map(|one| one.kinds.clone()).collect::<Vec<_>>()
        };
        assert_eq!(without_times(&again.unwrap()), without_times(&whole), "{kept}");
        assert_eq!(told, 15 - kept);
        let decisions = vlm.requests().iter().filter(|one| one.messages.len() == 1).count();
        assert_eq!(decisions, 15 - kept);
    }
    // A model that is added is asked alone; other settings are asked again.
    let (old, new) = (expert(), expert());
    let candidates = [
        Candidate::new("expert", GuidedCot::new(old.clone())),
        Candidate::new("new", GuidedCot::new(new.clone())),
    ];
    let both = run(&robustness, &path, &candidates);
    assert_eq!((old.requests().len(), both[1].of(PromptKind::Other).correct), (0, 6));
    assert!(!new.requests().is_empty());
    let other = [candidates[0].clone().with_settings("temperature 1")];
    run(&robustness, &path, &other);
    assert!(!old.requests().is_empty());
}

#[test]
fn what_failed_is_asked_again_and_a_wrong_key_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let robustness = Robustness::new(&dataset(3), 3, 0).unwrap();
    let vlm = FakeVlm::answering(|_| Err::<&str, _>(Error::service("m", 401, "wrong key")));
    let candidate =
        |vlm: &FakeVlm| [Candidate::new("expert", GuidedCot::new(vlm.clone())).with_concurrency(1)];
    let found = run(&robustness, &path, &candidate(&vlm));
    assert_eq!(vlm.requests().len(), 1);
    let failed = found[0].answers[0].failure.as_deref();
    assert!(failed.is_some_and(|failure| failure.contains("wrong key")), "{failed:?}");
    let found = run(&robustness, &path, &candidate(&expert()));
    assert_eq!(
        found[0].kinds.iter().map(|kind| (kind.correct, kind.failed)).collect::<Vec<_>>(),
        [(3, 0), (6, 0), (6, 0)]
    );
}

#[test]
fn what_cannot_be_asked_is_named() {
    let error =
        |dataset: &Dataset, classes| Robustness::new(dataset, classes, 0).unwrap_err().to_string();
    assert!(error(&dataset(9), 1).contains("classes: expected at least 2, found 1"));
    let mut twins = dataset(4);
    twins.classes[1].name = twins.classes[0].name.to_uppercase();
    twins.classes[2].images.clear();
    let found = error(&twins, 3);
    assert!(
        found.contains(
            "classes of birds with images and a name of their own: expected at least 3, found 2"
        ),
        "{found}"
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let robustness = Robustness::new(&dataset(3), 3, 0).unwrap();
    let error = |candidates: &[Candidate]| {
        block_on(robustness.run(&path, candidates, |_| {})).unwrap_err().to_string()
    };
    assert!(error(&[]).contains("candidates: expected at least 1"));
    let one = || Candidate::new("a", GuidedCot::new(expert()));
    assert!(
        error(&[one(), one()]).contains("names of candidates: expected each once, found a twice")
    );
    let mut unreadable = dataset(2);
    unreadable.classes[0].images.truncate(1);
    let robustness = Robustness::new(&unreadable, 2, 0).unwrap();
    let error = block_on(robustness.run(&path, &[one()], |_| {})).unwrap_err().to_string();
    assert!(error.contains("no such file"), "{error}");
}

#[test]
fn a_concept_is_named_by_its_words() {
    for (concept, other, class, expected) in [
        ("a common earthworm", "common earthworm", "red kite", true),
        ("Common Earthworms", "common earthworm", "red kite", true),
        ("earthworm", "common earthworm", "red kite", true),
        ("Lumbricus terrestris (earthworm)", "Lumbricus terrestris", "Milvus milvus", true),
        ("black-footed albatross", "Black footed Albatross", "Laysan Albatross", true),
        ("a photo of a Laysan albatross", "Laysan Albatross", "Black footed Albatross", true),
        ("albatross", "Laysan Albatross", "Black footed Albatross", false),
        ("bird", "Laysan Albatross", "red kite", false),
        ("a", "Laysan Albatross", "red kite", false),
        ("", "Laysan Albatross", "red kite", false),
        ("red kite", "Laysan Albatross", "red kite", false),
    ] {
        let question = RobustnessQuestion {
            kind: PromptKind::Other,
            class: "1".into(),
            class_name: class.into(),
            other_name: Some(other.into()),
            prompt: String::new(),
        };
        let missing =
            crate::critic::Verdict::Missing(vec![crate::reference::Caption::concept(concept)]);
        let answer = RobustnessAnswer::new(&question, Ok(missing.into()));
        assert_eq!((answer.decision_correct, answer.correct), (true, expected), "{concept}");
    }
}

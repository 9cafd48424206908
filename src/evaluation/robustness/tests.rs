//! Critics that are right, wrong, silent and down, to counts; and runs that were ended.

use futures::executor::block_on;

use super::*;
use crate::critic::{GuidedCot, Verdict};
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
                unnamed,
                failed,
                ..
            } = results[at].of(kind);
            assert!(at == 1 || unnamed == 0, "{kind:?}");
            [questions, answered, correct, decision_correct, undetermined, failed]
        })
    };
    assert_eq!(counts(0), [[4, 4, 4, 4, 0, 0], [12, 12, 12, 12, 0, 0], [12, 12, 12, 12, 0, 0]]);
    // "No" is a decision and no list of concepts: the decision counts, and nothing is named.
    assert_eq!(counts(1), [[4, 4, 0, 0, 0, 0], [12, 12, 0, 12, 0, 0], [12, 12, 0, 12, 0, 0]]);
    assert_eq!(PromptKind::ALL.map(|kind| results[1].of(kind).unnamed), [4, 12, 12]);
    let answer = &results[1].answers[0];
    assert_eq!((answer.matches, &answer.verdict), (Some(false), &Some(Verdict::Undetermined)));
    assert_eq!(counts(2), [[4, 4, 4, 4, 0, 0], [12, 12, 0, 0, 0, 0], [12, 12, 0, 0, 0, 0]]);
    assert_eq!(counts(3), [[4, 4, 0, 0, 4, 0], [12, 12, 0, 0, 12, 0], [12, 12, 0, 0, 12, 0]]);
    let failed = counts(4).map(|[_, answered, .., failed]| [answered, failed]);
    assert_eq!(failed.iter().map(|[answered, _]| answered).sum::<usize>(), 0);
    assert!((10..=14).contains(&failed.iter().map(|[_, failed]| failed).sum::<usize>()));
    assert_eq!(results[4].of(PromptKind::Class).accuracy(), None);
    assert!(results[4].given_up.is_some() && results[..4].iter().all(|one| one.given_up.is_none()));
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
fn a_critic_is_given_up_after_ten_failures_in_a_row_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let robustness = Robustness::new(&dataset(4), 4, 0).unwrap(); // 28 questions.
    // Its first 5 and its 7th question fail, and all from the 10th on.
    let asked = AtomicUsize::new(0);
    let down = FakeVlm::answering(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        5 | 7 | 8 => Ok("Yes"),
        _ => Err(Error::service("m", 500, "down")),
    });
    let one = |name: &str, vlm: &FakeVlm| {
        Candidate::new(name, GuidedCot::new(vlm.clone())).with_concurrency(1)
    };
    let found = run(&robustness, &path, &[one("down", &down), one("expert", &expert())]);
    assert_eq!(down.requests().len(), 9 + 10);
    let given_up = found[0].given_up.as_deref().unwrap();
    assert!(given_up.contains("9 questions were not asked"), "{given_up}");
    let failed: usize = found[0].kinds.iter().map(|kind| kind.failed).sum();
    assert_eq!(failed, 16);
    assert_eq!((found[1].given_up.as_deref(), found[1].answers.len()), (None, 28));
    // The next run asks what failed and what was left.
    let found = run(&robustness, &path, &[one("down", &expert())]);
    assert_eq!((found[0].given_up.as_deref(), found[0].answers.len()), (None, 28));
}

#[test]
fn decisions_of_earlier_journals_count_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let robustness = Robustness::new(&dataset(2), 2, 0).unwrap();
    let no = || [Candidate::new("no", GuidedCot::new(FakeVlm::answering(|_| Ok("No"))))];
    let new = run(&robustness, &path, &no());
    assert_eq!(new[0].of(PromptKind::Other).decision_correct, 2);
    let text = std::fs::read_to_string(&path).unwrap();
    let old =
        text.replace(r#""matches":false,"decision_correct":true"#, r#""decision_correct":false"#);
    assert_ne!(old, text);
    std::fs::write(&path, old).unwrap();
    assert_eq!(run(&robustness, &path, &no())[0].kinds, new[0].kinds);
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
        let missing = Verdict::Missing(vec![crate::reference::Caption::concept(concept)]);
        let answer = RobustnessAnswer::new(&question, Ok(missing.into()), Vec::new());
        assert_eq!((answer.decision_correct, answer.correct), (true, expected), "{concept}");
    }
}

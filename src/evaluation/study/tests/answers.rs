//! What people answer, to what the analysis says.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::key::{KeyRow, Role};
use super::super::published::Published;
use super::super::{Analysis, Study, StudyKind, analyse};
use super::{SYSTEMS, World, study};
use crate::Error;
use crate::evaluation::statistics::Resampling;

fn quick() -> Resampling {
    Resampling::default().with_resamples(200)
}

/// What a participant sends who sees list `n`, and chooses by `choose` from the rows of each screen.
fn sheet(
    published: &Published,
    key: &[KeyRow],
    n: usize,
    choose: impl Fn(&str, &[&KeyRow]) -> String,
) -> Value {
    let mut answers = Vec::new();
    for shown in &published.lists[n % published.lists.len()] {
        let screen = &published.screens[shown.screen];
        let rows: Vec<&KeyRow> = key.iter().filter(|row| row.screen == screen.item).collect();
        for question in &published.questions {
            let chosen = choose(question, &rows);
            let is_first = screen.pictures[0] == chosen || chosen == "yes";
            let side = if is_first != shown.swapped { "left" } else { "right" };
            answers.push(json!({
                "item": screen.item, "question": question, "side": side, "chosen": chosen,
                "shown": "2025-01-01T00:00:00.000Z", "ms": 1500, "width": 1200,
            }));
        }
    }
    json!({
        "study": published.study, "version": published.version, "participant": format!("p{n}"),
        "list": n + 1, "started": format!("2025-01-01T0{}:00:00Z", n % 10), "finished": "2025-01-01T10:00:00Z",
        "answers": answers,
    })
}

fn picture_of(role: Role, rows: &[&KeyRow]) -> String {
    let find = |role| rows.iter().find(|row| row.role == role).map(|row| row.picture.clone());
    find(role).or_else(|| find(Role::Right)).unwrap()
}

/// Prefers the method, and passes checks.
fn for_method(_: &str, rows: &[&KeyRow]) -> String {
    picture_of(Role::Method, rows)
}

fn save(world: &World, name: &str, content: impl ToString) {
    fs::create_dir_all(world.path("answers")).unwrap();
    fs::write(world.path("answers").join(name), content.to_string()).unwrap();
}

fn analysed(world: &World) -> Analysis {
    analyse(world.path("key.csv"), &[world.path("answers")], quick()).unwrap()
}

#[test]
fn preferences_come_out_as_they_went_in() {
    let world = World::new(6);
    let (_, published, key) = world.written(&study(StudyKind::Comparative));
    // Two people prefer the method in everything, one the base in quality alone.
    for n in 0..2 {
        save(&world, &format!("{n}.json"), sheet(&published, &key, n, for_method));
    }
    let third = sheet(&published, &key, 2, |question, rows| {
        let role = if question.contains("quality") { Role::Base } else { Role::Method };
        picture_of(role, rows)
    });
    save(&world, "2.json", third);
    let analysis = analysed(&world);
    assert_eq!((analysis.participants, analysis.partial, analysis.answers), (3, 0, 3 * 4 * 3));
    assert!(analysis.dropped.is_empty() && analysis.left_out.is_empty(), "{:?}", analysis.left_out);
    let rates: Vec<_> =
        analysis.preferences.iter().map(|p| (p.question.as_str(), p.rate)).collect();
    let quality = ("Better visual quality", 2.0 / 3.0);
    assert_eq!(rates, [("Better text alignment", 1.0), quality, ("Overall preference", 1.0)]);
    let quality = &analysis.preferences[1];
    assert_eq!((quality.base.as_str(), quality.method.as_str()), (SYSTEMS[0], SYSTEMS[1]));
    assert_eq!((quality.choices.wins, quality.choices.losses, quality.participants), (8, 4, 3));
    let (wilson, over) = (quality.wilson.unwrap(), quality.over_participants.unwrap());
    assert!(over.low <= wilson.low && over.high >= wilson.high, "{wilson:?} {over:?}");
    assert!(quality.agreement.unwrap() < 0.5);
    assert_eq!(analysis.preferences[0].agreement, None, "there is one answer only");
    assert_eq!(analysis.left.n(), 3 * 4 * 3);

    let table = analysis.markdown();
    assert!(table.contains("| Better visual quality | Plain+RAG | Plain | 66.7 % |"), "{table}");
    let csv = analysis.csv().unwrap();
    assert_eq!(csv.lines().count(), 4);
    assert!(csv.contains("Overall preference,Plain+RAG,Plain,1.0,"), "{csv}");
    let figure = analysis.figure();
    assert!(figure.contains(">67</text>") && figure.contains("over Plain"), "{figure}");
    let again: Analysis = serde_json::from_value(serde_json::to_value(&analysis).unwrap()).unwrap();
    assert_eq!(again, analysis);
}

#[test]
fn who_fails_a_check_is_dropped_as_the_folder_states() {
    let always_wrong = |_: &str, rows: &[&KeyRow]| {
        let wrong = rows.iter().find(|row| row.role == Role::Wrong);
        wrong.map_or_else(|| picture_of(Role::Base, rows), |row| row.picture.clone())
    };
    for (allowed, participants) in [(0, 1), (1, 1), (2, 2)] {
        let world = World::new(6);
        let rule = Study { max_failed_checks: allowed, ..study(StudyKind::Comparative) };
        let (_, published, key) = world.written(&rule);
        assert!(published.drop_rule.contains(if allowed == 0 {
            "one of them"
        } else {
            "more than"
        }));
        save(&world, "0.json", sheet(&published, &key, 0, for_method));
        save(&world, "1.json", sheet(&published, &key, 1, always_wrong));
        let analysis = analysed(&world);
        assert_eq!(analysis.participants, participants, "{allowed} are allowed");
        if participants == 1 {
            let dropped = &analysis.dropped[0];
            assert_eq!(
                (dropped.participant.as_str(), dropped.failed, dropped.checks),
                ("p1", 2, 2)
            );
            assert!(analysis.markdown().contains("participant p1: failed 2 of 2"));
            assert_eq!(analysis.preferences[0].rate, 1.0);
        }
    }
}

#[test]
fn the_absolute_study_counts_yes_and_pairs_items() {
    let world = World::new(7);
    let absolute = Study { items_per_participant: 12, ..study(StudyKind::Absolute) };
    let (written, published, key) = world.written(&absolute);
    assert_eq!(written.items, 12);
    assert_eq!(published.questions, ["Does this image contain the reference object?"]);
    let judged = |_: &str, rows: &[&KeyRow]| {
        let row = rows[0];
        let yes = match row.role {
            Role::Right => true,
            Role::Rated => row.system == SYSTEMS[1] || row.item == "001",
            _ => false,
        };
        if yes { "yes".to_owned() } else { "no".to_owned() }
    };
    for n in 0..3 {
        save(&world, &format!("{n}.json"), sheet(&published, &key, n, judged));
    }
    let analysis = analysed(&world);
    assert!(analysis.dropped.is_empty(), "{:?}", analysis.dropped);
    let shares: Vec<_> = analysis.contains.iter().map(|c| (c.system.as_str(), c.rate)).collect();
    assert_eq!(shares, [(SYSTEMS[0], 1.0 / 6.0), (SYSTEMS[1], 1.0)]);
    let paired = &analysis.paired[0];
    assert_eq!((paired.base.as_str(), paired.method.as_str()), (SYSTEMS[0], SYSTEMS[1]));
    assert_eq!((paired.items.gained, paired.items.lost, paired.items.unchanged), (5, 0, 1));
    assert!((paired.p_value - 0.0625).abs() < 1e-12);
    assert_eq!(paired.undecided, 0);
    assert!(analysis.markdown().contains("| 5 | 0 | 1 | 0 | 0.062 |"), "{}", analysis.markdown());
    assert!(analysis.figure().contains("How often the answer was yes"));
    let checks: BTreeMap<_, usize> =
        key.iter().filter(|row| row.role.is_check()).fold(BTreeMap::new(), |mut counts, row| {
            *counts.entry(format!("{:?}", row.role)).or_default() += 1;
            counts
        });
    assert_eq!(checks.len(), 2, "some are answered by yes and some by no: {checks:?}");
}

#[test]
fn answers_in_every_form_are_read_and_what_is_not_is_named() {
    let world = World::new(6);
    let (_, published, key) = world.written(&study(StudyKind::Comparative));
    let of = |n| sheet(&published, &key, n, for_method);
    save(&world, "0.json", format!("\u{feff}{:#}", of(0)));
    save(&world, "1-2.jsonl", format!("{}\n{}\n{{\"study\": \"bi", of(1), of(2)));
    save(&world, "3-4.json", json!([of(3), of(4)]));
    let code = |value: Value| format!("imagerag-study:{}.", STANDARD.encode(value.to_string()));
    let broken: Vec<String> = code(of(6))
        .as_bytes()
        .chunks(70)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    save(&world, "5-6.txt", format!("Hello,\n{}\n\nand {}\n", code(of(5)), broken.join("\r\n")));
    let sheet = of(7);
    let mut csv =
        String::from("study;version;participant;item;question;side;chosen;shown;ms;width\r\n");
    for answer in sheet["answers"].as_array().unwrap() {
        let field = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let fields = ["item", "question", "side", "chosen"].map(field).join(";");
        csv += &format!("birds;{};p7;{fields};;1500;1200\r\n", published.version);
    }
    save(&world, "7.csv", csv);
    let mut other = of(8);
    other["version"] = "v0".into();
    save(&world, "8.json", other);
    let mut other = of(9);
    other["study"] = "cats".into();
    save(&world, "9.json", other);
    save(&world, "empty.json", "");
    save(&world, "notes.docx", "PK\u{3}\u{4}");
    save(&world, ".DS_Store", "x");
    let mut odd = of(10);
    odd["answers"][0]["chosen"] = "p0000000000000000".into();
    odd["answers"][1]["item"] = "p0000000000000000".into();
    odd["answers"][2]["chosen"] = "yes".into();
    save(&world, "odd.json", odd);
    let analysis = analysed(&world);
    assert_eq!(analysis.participants, 9, "{:?}", analysis.left_out);
    assert_eq!(analysis.partial, 1, "the one with odd answers");
    let reasons: BTreeMap<_, _> =
        analysis.left_out.iter().map(|l| (l.file.as_str(), l.reason.as_str())).collect();
    let told = |file: &str, words: &str| {
        assert!(
            reasons.get(file).is_some_and(|reason| reason.contains(words)),
            "{file}: {reasons:?}"
        );
    };
    told("1-2.jsonl", "EOF");
    told("8.json", "found some to birds v0");
    told("9.json", "found some to cats");
    told("empty.json", "empty");
    told("notes.docx", "expected answers");
    told("odd.json", "3 answers that the study does not have");
    assert_eq!(reasons.len(), 6, "{reasons:?}");
    let gone = analyse(world.path("key.csv"), &[world.path("nowhere")], quick()).unwrap_err();
    assert!(matches!(gone, Error::Io { .. }));
    let gone = analyse(world.path("0-001.png"), &[], quick()).unwrap_err();
    assert!(matches!(gone, Error::InvalidFile { .. }), "{gone}");
}

#[test]
fn a_participant_counts_once() {
    let world = World::new(6);
    let (_, published, key) = world.written(&study(StudyKind::Comparative));
    let whole = sheet(&published, &key, 0, for_method);
    let mut part = whole.clone();
    part["answers"].as_array_mut().unwrap().truncate(4);
    let mut other = sheet(&published, &key, 0, |_, rows| picture_of(Role::Base, rows));
    other["started"] = "2024-12-31T00:00:00Z".into();
    other["answers"].as_array_mut().unwrap().truncate(5);
    save(&world, "a.json", &part);
    save(&world, "b.json", &whole);
    save(&world, "c.json", &whole);
    save(&world, "d.json", &other);
    let analysis = analysed(&world);
    assert_eq!((analysis.participants, analysis.partial), (1, 0));
    assert_eq!(analysis.preferences[0].choices.n(), 4);
    assert_eq!(analysis.preferences[0].over_participants, None);
    let left_out: Vec<_> = analysis.left_out.iter().map(|l| l.file.as_str()).collect();
    assert_eq!(left_out, ["a.json", "b.json", "d.json"]);
    assert!(analysis.left_out[2].reason.contains("two people"), "{:?}", analysis.left_out);

    // An answer that was changed: the last one counts.
    let world = World::new(6);
    let (_, published, key) = world.written(&study(StudyKind::Comparative));
    let mut changed = sheet(&published, &key, 0, |_, rows| picture_of(Role::Base, rows));
    let later = sheet(&published, &key, 0, for_method)["answers"].as_array().unwrap().clone();
    changed["answers"].as_array_mut().unwrap().extend(later);
    save(&world, "a.json", changed);
    assert_eq!(analysed(&world).preferences[0].rate, 1.0);
}

#[test]
fn answers_that_cannot_be_are_left_out_and_named() {
    let world = World::new(6);
    let (_, published, key) = world.written(&study(StudyKind::Comparative));
    let is_check =
        |answer: &Value| key.iter().any(|row| answer["item"] == row.screen && row.role.is_check());
    // Of list 1, the answers to items first.
    let whole = || {
        let mut sheet = sheet(&published, &key, 0, for_method);
        sheet["answers"].as_array_mut().unwrap().sort_by_key(&is_check);
        sheet
    };
    let other = published.lists.iter().find_map(|list| {
        let is_new = |shown: &&super::super::published::Shown| {
            published.lists[0].iter().all(|of| of.screen != shown.screen)
        };
        let item = &published.screens[list.iter().find(is_new)?.screen].item;
        key.iter().find(|row| row.screen == *item && row.role == Role::Method)
    });
    let other = other.unwrap();
    let reasons = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut sheet = whole();
        change(sheet["answers"].as_array_mut().unwrap());
        save(&world, "0.json", sheet);
        let analysis = analysed(&world);
        let reasons: Vec<_> = analysis.left_out.iter().map(|l| l.reason.clone()).collect();
        (analysis.answers, reasons.join("; "))
    };
    let told = |change: &dyn Fn(&mut Vec<Value>), answers: usize, words: &str| {
        let found = reasons(change);
        assert!(found.0 == answers && found.1.contains(words), "{words}: {found:?}");
    };
    assert_eq!(reasons(&|_| ()), (12, String::new()));
    told(&|a| a[0]["question"] = "What?".into(), 11, "1 answers to questions that the study");
    told(&|a| a[0]["side"] = "up".into(), 11, "1 answers whose side is neither left nor right");
    let flip = |answer: &mut Value| {
        answer["side"] = if answer["side"] == "left" { "right" } else { "left" }.into();
    };
    told(&|a| a[..3].iter_mut().for_each(flip), 9, "3 answers whose side is not that of what");
    told(
        &|a| {
            a[0]["item"] = other.screen.clone().into();
            a[0]["chosen"] = other.picture.clone().into();
        },
        11,
        "1 answers to pages that the participant's list does not have",
    );
    told(
        &|a| (a[0]["shown"], a[0]["ms"]) = (Value::Null, Value::Null),
        11,
        "1 answers that were given before the images were shown",
    );
    told(&|a| a.push(a[0].clone()), 12, "1 answers that are there again");
    let contradicted = |a: &mut Vec<Value>| {
        let mut answer = a[0].clone();
        let item = &answer["item"];
        let base = key.iter().find(|row| *item == row.screen && row.role == Role::Base).unwrap();
        answer["chosen"] = base.picture.clone().into();
        flip(&mut answer);
        a.push(answer);
    };
    told(&contradicted, 12, "1 answers that a later one to the same question contradicts");

    let absolute = World::new(6);
    let (_, published, key) = absolute.written(&study(StudyKind::Absolute));
    let all_yes = |_: &str, rows: &[&KeyRow]| {
        if rows[0].role == Role::Wrong { "no".to_owned() } else { "yes".to_owned() }
    };
    let mut lie = sheet(&published, &key, 0, all_yes);
    let answers = lie["answers"].as_array_mut().unwrap();
    let rated = answers.iter_mut().find(|answer| {
        key.iter().any(|row| answer["item"] == row.screen && row.role == Role::Rated)
    });
    rated.unwrap()["side"] = "right".into();
    save(&absolute, "0.json", lie);
    let analysis = analysed(&absolute);
    assert_eq!(analysis.answers, 3, "yes is on the left");
    assert!(analysis.left_out[0].reason.contains("whose side"), "{:?}", analysis.left_out);
}

#[test]
fn who_leaves_out_the_checks_fails_them() {
    let world = World::new(6);
    let (_, published, key) = world.written(&study(StudyKind::Comparative));
    let mut skipped = sheet(&published, &key, 0, for_method);
    let answers = skipped["answers"].as_array_mut().unwrap();
    answers.retain(|answer| {
        !key.iter().any(|row| answer["item"] == row.screen && row.role.is_check())
    });
    save(&world, "0.json", &skipped);
    let analysis = analysed(&world);
    assert_eq!((analysis.participants, analysis.dropped.len()), (0, 1));
    assert_eq!((analysis.dropped[0].failed, analysis.dropped[0].checks), (2, 2));

    // Who stopped before has not failed, and is counted as somebody without checks.
    skipped["answers"].as_array_mut().unwrap().truncate(5);
    save(&world, "0.json", &skipped);
    let analysis = analysed(&world);
    assert_eq!((analysis.participants, analysis.partial, analysis.unchecked), (1, 1, 1));
    assert!(analysis.markdown().contains("1 of them left attention checks unanswered"));
}

#[test]
fn no_answers_are_an_empty_analysis() {
    let world = World::new(4);
    world.written(&study(StudyKind::Comparative));
    let analysis = analyse(world.path("key.csv"), &[], quick()).unwrap();
    assert_eq!((analysis.participants, analysis.preferences.len()), (0, 0));
    assert!(analysis.markdown().contains("0 participants"));
    assert_eq!(analysis.csv().unwrap().lines().count(), 1);
    assert!(analysis.figure().starts_with("<svg") && analysis.figure().ends_with("</svg>\n"));
}

#[test]
fn a_key_that_a_spreadsheet_saved_is_read() {
    let world = World::new(4);
    let (written, published, key) = world.written(&study(StudyKind::Comparative));
    save(&world, "0.json", sheet(&published, &key, 0, for_method));
    let before = analysed(&world);
    let text = fs::read_to_string(&written.key).unwrap();
    assert!(!text.contains(';'));
    fs::write(&written.key, format!("\u{feff}{}", text.replace(',', ";").replace('\n', "\r\n")))
        .unwrap();
    assert_eq!(analysed(&world), before);
    let mixed = format!("{text}{}", text.lines().nth(1).unwrap().replace(&published.version, "v1"));
    fs::write(&written.key, mixed).unwrap();
    let error = analyse(&written.key, &[], quick()).unwrap_err().to_string();
    assert!(error.contains("v1"), "{error}");
}

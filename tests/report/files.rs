//! The folder of a report.

use std::fs;
use std::path::{Path, PathBuf};

use imagerag::evaluation::experiment::Results;
use imagerag::evaluation::report::{Bar, BarChart, BarSeries, Report, to_jsonl};
use serde_json::Value;

use crate::results::World;

fn names(files: &[PathBuf], folder: &Path) -> Vec<String> {
    let name = |file: &PathBuf| file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files.iter().map(name).collect()
}

/// What the page in `folder` holds.
fn data(folder: &Path) -> Value {
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    let from = html.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    serde_json::from_str(&html[from..from + html[from..].find("</script>").unwrap()]).unwrap()
}

#[test]
fn everything_is_in_one_folder_and_twice_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let results = World::new(5).write(&folder.path().join("run"));
    let to = folder.path().join("new/report");
    let bar = Bar { value: 99.7, low: 98.0, high: 100.0 };
    let series = vec![BarSeries { name: "gpt-4o".into(), bars: vec![Some(bar)] }];
    let groups = vec!["type 1".into()];
    let chart = BarChart { title: "Robustness".into(), axis: "%".into(), groups, series };
    let report = Report::of(&results).with_bar_chart(chart);
    let files = report.write(&to).unwrap();
    let expected = [
        "table.md",
        "table.tex",
        "systems.csv",
        "scored_pictures.jsonl",
        "paper.md",
        "plots/clip.svg",
        "plots/gptscore.svg",
        "plots/robustness.svg",
        "report.html",
    ];
    assert_eq!(names(&files, &to), expected);
    let read = || files.iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>();
    let first = read();
    report.write(&to).unwrap();
    assert!(first == read());
    assert_eq!(data(&to)["notes"], Value::Array(Vec::new()));
}

#[test]
fn a_line_has_everything_of_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let results = World::new(9).write(folder.path());
    let lines: Vec<Value> =
        to_jsonl(&results).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), results.pictures.len());
    let line = &lines[1];
    assert_eq!(
        (&line["system"], &line["class"], &line["seed"]),
        (&"IR-O".into(), &"000".into(), &7.into())
    );
    assert_eq!(line["class_name"], "quetzal 1");
    assert_eq!(line["hash"].as_str().unwrap().len(), 64);
    assert_eq!(line["scores"]["CLIP"]["fingerprint"]["model"], "ViT-B-32");
    assert_eq!(line["scores"]["CLIP"]["outcome"]["value"], 0.27);
    assert_eq!(
        line["scores"]["GPTScore"]["exchanges"][0]["reply"],
        "Score: 3. The beak is too long."
    );
    let metadata = &line["references"][0]["provenance"]["metadata"];
    assert_eq!(
        (&metadata["license"], &metadata["author"]),
        (&"CC-BY-4.0".into(), &"A. Painter".into())
    );
    assert_eq!(line["trace"], "traces/22.json");
    let failed = lines.iter().find(|line| line["error"] != Value::Null).unwrap();
    assert_eq!(
        (&failed["error"], &failed["file"]),
        (&"the generator says no".into(), &Value::Null)
    );
}

#[test]
fn many_pictures_are_files_beside_the_page_and_are_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let results = World::new(4).write(&folder.path().join("run"));
    let to = folder.path().join("report");
    Report::of(&results).with_inline_pictures(3).write(&to).unwrap();
    let view = data(&to);
    assert!(view["notes"][0].as_str().unwrap().contains("report_pictures"), "{}", view["notes"]);
    let pictures = view["pictures"].as_object().unwrap();
    assert!(pictures.len() > 3);
    for picture in pictures.values() {
        let src = picture["src"].as_str().unwrap();
        assert!(src.starts_with("report_pictures/") && to.join(src).is_file(), "{src}");
    }
    // What is there is not made again, not even where the picture is gone.
    fs::remove_dir_all(folder.path().join("run/pictures")).unwrap();
    Report::of(&results).with_inline_pictures(3).write(&to).unwrap();
    assert_eq!(data(&to)["pictures"], view["pictures"]);
}

#[test]
fn what_cannot_be_read_is_a_note_and_the_rest_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let results = World::new(4).write(folder.path());
    fs::write(folder.path().join("pictures/53.png"), "no picture").unwrap();
    fs::remove_file(folder.path().join("traces/53.json")).unwrap();
    let to = folder.path().join("report");
    Report::of(&results).write(&to).unwrap();
    let notes = data(&to)["notes"].to_string();
    assert!(notes.contains("picture files cannot be read. The first: "), "{notes}");
    assert!(notes.contains("53.png") && notes.contains("1 traces cannot be read"), "{notes}");
    // Names that lead out of the folder are not followed.
    let json = serde_json::to_string(&results).unwrap();
    let results: Results =
        serde_json::from_str(&json.replace("pictures/22.png", "../secret.png")).unwrap();
    fs::write(folder.path().parent().unwrap().join("secret.png"), b"").ok();
    Report::of(&results).write(&to).unwrap();
    assert!(data(&to)["notes"].to_string().contains("../secret.png"));
    // A report of nothing.
    let nothing = Report::of(&Results::default()).write(folder.path().join("empty")).unwrap();
    assert_eq!(nothing.len(), 5);
}

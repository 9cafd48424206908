//! `evaluate study` and `evaluate study-analyse` as somebody types them, on the folder of a run.

#[allow(dead_code, reason = "the other tests use the rest")]
mod program;

use std::fs;
use std::path::Path;

use imagerag::Image;
use serde_json::{Value, json};

use program::{fails, ok};

const SYSTEMS: [&str; 2] = ["SDXL", "ImageRAG-SD"];

/// What a run of two systems on four birds leaves.
fn run(folder: &Path) {
    let birds: Vec<String> = (0..4).map(|n| format!("bird {n}")).collect();
    let (mut planned, mut pictures) = (Vec::new(), String::new());
    for (n, bird) in birds.iter().enumerate() {
        let prompt = format!("A photo of a {bird}");
        planned.push(json!({
            "id": bird, "prompt": prompt, "class": null, "category": null, "seeds": [0],
            "real_images": "",
        }));
        for (s, system) in SYSTEMS.iter().enumerate() {
            let file = format!("{n}-{s}.png");
            let pixels = [(60 * n) as u8, (90 * s) as u8, 120].repeat(64 * 64);
            Image::new(64, 64, pixels).unwrap().save(folder.join(&file)).unwrap();
            let record = json!({
                "system": system, "settings": "x", "dataset": "birds", "item": bird, "seed": 0,
                "prompt": prompt, "class": null, "category": null, "elapsed": 1.0,
                "ended": {"drawn": {
                    "picture": {"file": file, "hash": file, "width": 64, "height": 64},
                    "draft": null, "references": [], "stop": null, "trace": null,
                }},
            });
            pictures += &format!("{record}\n");
        }
    }
    let [base, method] = SYSTEMS;
    let outline = json!({
        "systems": [
            {"name": base, "settings": "x", "base": null, "description": ""},
            {"name": method, "settings": "x", "base": base, "description": ""},
        ],
        "datasets": [{
            "name": "birds", "classes": {}, "items": 4, "seeds": [0], "license": null, "notes": [],
            "planned": planned,
        }],
        "metrics": [],
        "rows": [
            {"system": base, "dataset": "birds", "settings": "x", "base": null},
            {"system": method, "dataset": "birds", "settings": "x", "base": [base, "x"]},
        ],
    });
    fs::write(folder.join("experiment.json"), outline.to_string()).unwrap();
    fs::write(folder.join("pictures.jsonl"), pictures).unwrap();
}

/// What participant 1 sends, who chooses left everywhere, and what a check says in checks.
fn answers(published: &Value) -> Value {
    let mut answers = Vec::new();
    for shown in published["lists"][0].as_array().unwrap() {
        let screen = &published["screens"][shown["screen"].as_u64().unwrap() as usize];
        let is_swapped = shown["swapped"].as_bool().unwrap();
        let left = &screen["pictures"][usize::from(is_swapped)];
        let chosen = screen["told"].as_str().map_or(left, |_| &screen["told"]);
        for question in published["questions"].as_array().unwrap() {
            answers.push(json!({
                "item": screen["item"], "question": question, "chosen": chosen,
                "side": if chosen == left { "left" } else { "right" },
                "shown": "2025-01-01T00:00:00Z", "ms": 900, "width": 800,
            }));
        }
    }
    json!({
        "study": published["study"], "version": published["version"], "participant": "1", "list": 1,
        "answers": answers,
    })
}

#[test]
fn a_run_becomes_a_study_and_its_answers_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("run")).unwrap();
    run(Path::new(&path("run")));
    let (of, study, key) = (path("run"), path("study"), path("key.csv"));
    let told = ok(&["study", &of, "--out", &study, "--key", &key, "--id", "birds"]);
    assert!(told.contains("study      4 items in 5 lists"), "{told}");
    assert!(told.contains("index.html?participant=1 to index.html?participant=5"), "{told}");
    let again = fails(&["study", &of, "--out", &study, "--key", &path("other.csv")]);
    assert!(again.contains("folder of a study"), "{again}");
    let rating = fails(&["study", &of, "--out", &path("r"), "--key", &path("r.csv"), "--absolute"]);
    assert!(rating.contains("no real image to compare with"), "{rating}");
    let pair = fails(&["study", &of, "--out", &path("r"), "--pair", "SDXL", "FLUX"]);
    assert!(pair.contains("expected one of SDXL, ImageRAG-SD, found FLUX"), "{pair}");

    let published = fs::read_to_string(path("study/study.json")).unwrap();
    let published: Value = serde_json::from_str(&published).unwrap();
    fs::create_dir(path("answers")).unwrap();
    let (sent, out) = (path("answers"), path("analysis"));
    let analyse = ["study-analyse", &key, &sent, "--out", &out, "--resamples", "100"];
    fs::write(path("answers/junk.json"), "<html>404</html>").unwrap();
    let none = fails(&analyse);
    assert!(none.contains("no answers that count"), "{none}");
    assert!(!Path::new(&out).exists());

    fs::write(path("answers/1.json"), answers(&published).to_string()).unwrap();
    let told = ok(&analyse);
    assert!(told.contains("1 participants, 12 answers"), "{told}");
    assert!(told.contains("The left picture was chosen in 100.0 %"), "{told}");
    assert!(told.contains("- junk.json: "), "{told}");
    let analysis: Value =
        serde_json::from_slice(&fs::read(path("analysis/analysis.json")).unwrap()).unwrap();
    assert_eq!(analysis["preferences"].as_array().unwrap().len(), 3);
    for file in ["table.csv", "table.md", "figure.svg"] {
        assert!(fs::metadata(path(&format!("analysis/{file}"))).unwrap().len() > 0, "{file}");
    }
}

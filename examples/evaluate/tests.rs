//! The program as somebody types it: recipes that parse, mistakes that are named, and a miniature CUB and
//! iNaturalist on the tiny world's models, killed and gone on with.

#[path = "../support/stub.rs"]
mod stub;

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use imagerag::evaluation::experiment::{Ended, Results};
use imagerag::evaluation::metric::Outcome;
use serde_json::{Value, json};

use program::{fails, ok, program};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn every_recipe_is_a_run_file_that_lacks_nothing_but_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    let list = ok(&["init"]);
    let names: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names.len(), 12, "{list}");
    for name in names {
        fs::write(&path, ok(&["init", name])).unwrap();
        let told = fails(&["plan", path.to_str().unwrap()]);
        assert!(told.contains("data set ") && told.contains("cannot access"), "{name}: {told}");
    }
    assert!(fails(&["init", "paper-table-9"]).contains("expected one of paper-table-1, "));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fails(&["plan", path.to_str().unwrap()])
    };
    let set = "[[datasets]]\nname = \"a\"\npath = \"a\"\n";
    let field = wrong("run.toml", &format!("folder = \"out\"\nsede = [0]\n{set}"));
    assert!(
        field.contains("run.toml") && field.contains("line 2") && field.contains("sede"),
        "{field}"
    );
    let table = wrong("run.toml", &format!("folder = \"out\"\n{set}\nsplitt = \"test\""));
    assert!(table.contains("splitt"), "{table}");
    let json = wrong("run.json", "{\"folder\": \"out\",\n\"datasets\": [], \"sede\": 0}");
    assert!(json.contains("line 2") && json.contains("sede"), "{json}");
    let model = "[[systems]]\nname = \"x\"\nmodel = \"y\"\n";
    let model = wrong("run.toml", &format!("folder = \"out\"\n{set}{model}"));
    assert!(
        model.contains("model of system x: expected one of a name (there is none), found y"),
        "{model}"
    );
    let none = format!("folder = \"out\"\n{set}");
    fs::write(folder.path().join("run.toml"), none).unwrap();
    let none = fails(&["run", folder.path().join("run.toml").to_str().unwrap()]);
    assert!(none.contains("systems: expected at least one, found none"), "{none}");
}

/// A vision-language model that misses a zorbit in all pictures but those of one class.
fn vlm() -> String {
    stub::serve(|_, body: &Value| {
        let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let reply = match messages.len() {
            1 if messages[0].to_string().contains("Sooty") => "yes",
            1 => "no",
            3 => "a zorbit",
            _ => "a photo of a zorbit",
        };
        let message = json!({ "role": "assistant", "content": reply });
        let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 2, "total_tokens": 1002 });
        (200, json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }], "usage": usage }))
    })
    .unwrap()
}

const DINO: &str = "
[[metrics]]
kind = \"image_similarity\"
name = \"DINO\"
model = \"{root}/tests/fixtures/dino/vit\"
";

/// Table 2 in miniature: two data sets, a base and ImageRAG over it, CLIP.
fn run_file(folder: &Path, vlm: &str) -> PathBuf {
    let text = r#"
folder = "out"
concurrency = 2

[budget]
calls = 1000

[prices.stub]
per_million_prompt_tokens = 2.5

[[datasets]]
name = "CUB"
path = "{root}/tests/fixtures/datasets/cub"
split = "test"

[[datasets]]
name = "iNaturalist"
kind = "inaturalist-2021"
path = "{root}/tests/fixtures/datasets/inaturalist-2021"
split = "validation"
first = 2

[models.tiny]
backend = "sdxl"
model = "{root}/examples/tinyworld/models/sdxl"
ip_adapter = "{root}/examples/tinyworld/models/ip-adapter-plus_tinyworld.safetensors"
image_encoder = "{root}/examples/tinyworld/models/image_encoder"
plain_prompt = true

[vlms.stub]
model = "stub"
url = "{vlm}/v1"

[embedders.clip]
model = "{root}/examples/tinyworld/models/clip"

[galleries.world]
folder = "world.gallery"
embedder = "clip"
images = "{root}/examples/tinyworld/gallery"

[[systems]]
name = "SDXL"
model = "tiny"
steps = 4

[[systems]]
name = "ImageRAG-SD"
model = "tiny"
base = "SDXL"
vlm = "stub"
gallery = "world"
steps = 4

[[metrics]]
kind = "text_similarity"
name = "CLIP"
model = "{root}/examples/tinyworld/models/clip"
"#;
    let path = folder.join("run.toml");
    fs::write(&path, filled(text).replace("{vlm}", vlm)).unwrap();
    path
}

fn filled(text: &str) -> String {
    text.replace("{root}", &repository().display().to_string().replace('\\', "/"))
}

/// Pictures by their hashes, and numbers.
fn numbers(folder: &Path) -> Vec<String> {
    let results = Results::load(folder.join("out")).unwrap();
    let picture = |record: &imagerag::evaluation::experiment::PictureRecord| match &record.ended {
        Ended::Drawn(drawing) => {
            let references = drawing.references.len();
            format!("{} {} {} {references}", record.system, record.item, drawing.picture.hash)
        }
        Ended::Failed { error, .. } => panic!("{error}"),
    };
    let score = |score: &imagerag::evaluation::experiment::ScoreRecord| match score.outcome {
        Outcome::Value(value) => format!("{} {} {value}", score.picture, score.item),
        _ => panic!("{score:?}"),
    };
    results.pictures.iter().map(picture).chain(results.scores.iter().map(score)).collect()
}

#[test]
fn a_model_that_fails_is_given_up_and_told_apart_from_one_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let data = repository().join("tests/fixtures/datasets/class-folders");
    let down = stub::serve(|_, _| (400, json!({"error": {"message": "no such thing"}}))).unwrap();
    let no = stub::serve(|_, _| {
        let message = json!({"role": "assistant", "content": "No"});
        (200, json!({"choices": [{"message": message, "finish_reason": "stop"}]}))
    });
    let (out, no) = (folder.path().join("out"), format!("no@{}/v1", no.unwrap()));
    let command = |vlms: &[&str]| {
        let mut arguments = vec!["robustness", data.to_str().unwrap(), "--classes", "3", "--yes"];
        arguments.extend(["--concurrency", "1", "--out", out.to_str().unwrap()]);
        vlms.iter().for_each(|vlm| arguments.extend(["--vlm", vlm]));
        output(&arguments)
    };
    let both = command(&[&format!("down@{down}/v1"), &no]);
    let told = String::from_utf8(both.stderr).unwrap();
    assert_eq!(both.status.code(), Some(1), "{told}");
    let expected = "down: 10 of 15 questions failed, given up after 10 failures in a row";
    assert!(told.contains(expected) && told.contains("5 questions were not asked"), "{told}");
    let table = fs::read_to_string(out.join("robustness.md")).unwrap();
    assert_eq!(String::from_utf8(both.stdout).unwrap().lines().last(), table.lines().last());
    // "No" is the right decision of the third kind, and names nothing.
    let last = table.lines().last().unwrap();
    assert!(
        last.starts_with("| no |") && last.contains("| 0.0 % [0.0, 39.0] | 100.0 % ["),
        "{last}"
    );
    let alone = command(&[&no]);
    assert_eq!(alone.status.code(), Some(0), "{}", String::from_utf8_lossy(&alone.stderr));
}

#[test]
fn table_2_on_a_miniature_cub_and_inaturalist_killed_and_with_dino_afterwards() {
    let vlm = vlm();
    let [whole, killed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let path = run_file(whole.path(), &vlm);
    let path = path.to_str().unwrap();
    assert!(fails(&["run", path]).contains("say --yes"));
    let told = ok(&["run", path, "--yes"]);
    assert!(told.contains("done       10 pictures drawn, 0 failed"), "{told}");
    assert!(told.contains("| System | CUB CLIP ↑ | iNaturalist CLIP ↑ |"), "{told}");
    // Four of five lack something, by three questions each.
    assert!(told.contains("13 calls, 0.03 in money"), "{told}");
    assert!(whole.path().join("out/report/report.html").is_file());

    // Killed after some pictures, again and again.
    let other = run_file(killed.path(), &vlm);
    let journal = killed.path().join("out/pictures.jsonl");
    let drawn = || {
        fs::read(&journal).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
    };
    let kills =
        std::env::var("IMAGERAG_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(3);
    for kill in 0..kills {
        let mut run = program()
            .arg("run")
            .arg(&other)
            .arg("--yes")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let enough = (kill * 10 / kills + 1).min(10);
        while drawn() < enough && run.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        run.kill().unwrap();
        run.wait().unwrap();
    }
    ok(&["run", other.to_str().unwrap(), "--yes"]);
    assert_eq!(numbers(killed.path()), numbers(whole.path()));

    // Another metric draws nothing.
    let text = fs::read_to_string(path).unwrap() + &filled(DINO);
    fs::write(path, text).unwrap();
    let told = ok(&["run", path, "--yes"]);
    assert!(told.contains("done       0 pictures drawn, 0 failed; 9 scored, 0 failed"), "{told}");
    assert!(told.contains("| CUB DINO ↑ |"), "{told}");
    // And what is done is told without any model.
    fs::remove_dir_all(whole.path().join("out/report")).unwrap();
    assert!(ok(&["report", path]).contains("| CUB DINO ↑ |"));
}

#[test]
fn the_miniature_of_the_papers_experiments_runs_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let arguments = ["tinyworld", "--quick", "--species", "2", "--prompts", "1", "--out", out];
    let told = ok(&arguments);
    assert!(told.contains("done       8 pictures drawn, 0 failed"), "{told}");
    assert!(
        told.contains("| ImageRAG @ 120 |") && told.contains("| tiny judge | class |"),
        "{told}"
    );
    assert!(folder.path().join("report/report.html").is_file());
    assert!(ok(&arguments).contains("done       0 pictures drawn, 0 failed; 0 scored, 0 failed"));
}

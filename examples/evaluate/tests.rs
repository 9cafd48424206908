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

use program::{fails, ok, output, program};

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
    assert!(table.contains("splitt") && table.contains("line 6"), "{table}");
    let head =
        format!("folder = \"out\"\n{set}[vlms.v]\nmodel = \"m\"\n[services.s]\napi = \"gemini\"\n");
    // Fields from line 9 on, with the line of the mistake and what is said of it.
    let system = "[[systems]]\nname = \"x\"\nmodel = \"s\"\n";
    let judge = "[[metrics]]\nkind = \"judge\"\nvlm = \"v\"\n";
    for (text, line, told) in [
        (format!("{judge}rnus = 3"), 12, "rnus"),
        (format!("{judge}rubric = \"best\""), 12, "best"),
        (
            format!("{judge}at_most = 3"),
            9,
            "at_most: a field of image_similarity, and not of judge",
        ),
        (format!("{judge}runs = 0"), 9, "runs of a judge: expected at least 1, found 0"),
        (format!("{system}width = 8"), 12, "expected width and height, found one"),
        (format!("{system}width = 0\nheight = 8"), 12, "width of system x: expected at least 1"),
        (format!("{system}steps = 0"), 12, "steps of system x: expected at least 1, found 0"),
        (format!("{system}guidance_scale = nan"), 12, "expected a finite number, found NaN"),
        (format!("{system}on = []"), 12, "expected at least one data set, found none"),
        (format!("{system}base = \"x\""), 12, "expected no circle, found x over x"),
        (format!("{system}{system}base = \"x\""), 12, "expected each once, found it on a again"),
        ("[services.t]\napi = \"gemini\"\ncapacity = 0".into(), 11, "expected at least 1, found 0"),
        ("[vlms.w]\nmodel = \"m\"\ntimeout = -1".into(), 11, "expected seconds above 0, found -1"),
        ("[[datasets]]\nname = \"b\"\npath = \"b\"\nprompt = \"A {} {}\"".into(), 12, "found 2"),
        (
            "[[datasets]]\nname = \"b\"\npath = \"b\"\nfirst = 1\nsample = 2".into(),
            13,
            "found both",
        ),
        (
            "[models.m]\nbackend = \"sdxl\"\nmodel = \"m\"".into(),
            9,
            "models.m.ip_adapter: this backend needs it",
        ),
        (
            "[models.m]\nbackend = \"omnigen\"\nmodel = \"m\"\nimage_guidance = nan".into(),
            12,
            "models.m.image_guidance: expected a number from 0 on, found NaN",
        ),
    ] {
        let found = wrong("run.toml", &format!("{head}{text}\n"));
        let at = format!("line {line}");
        assert!(found.contains(&at) && found.contains(told), "{text}: {found}");
    }
    for (field, told) in [
        ("seeds = []", "seeds: expected at least one"),
        ("seeds = [1, 1]", "each once"),
        ("concurrency = 0", "concurrency: expected at least 1"),
        ("device = \"gpu\"", "gpu"),
        ("dtype = \"f17\"", "f17"),
    ] {
        let found = wrong("run.toml", &format!("folder = \"out\"\n{field}\n{set}"));
        assert!(found.contains("run.toml, line 2: ") && found.contains(told), "{field}: {found}");
    }
    // As some editors write it.
    let wide = format!("folder = \"out\"\nsede = 0\n{set}");
    let wide = wide.encode_utf16().flat_map(u16::to_le_bytes);
    fs::write(
        folder.path().join("wide.toml"),
        [0xff, 0xfe].into_iter().chain(wide).collect::<Vec<_>>(),
    )
    .unwrap();
    let wide = fails(&["plan", folder.path().join("wide.toml").to_str().unwrap()]);
    assert!(wide.contains("line 2") && wide.contains("sede"), "{wide}");
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
    assert!(told.contains("13 calls, 0.033 in money"), "{told}");
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

/// How many pictures and scores `evaluate plan` says are to be done.
fn to_do(path: &str) -> (usize, usize) {
    let told = ok(&["plan", path]);
    let count = |what: &str| {
        let lines = told.lines().filter(|line| line.starts_with(what));
        let number = |line: &str| {
            let before = line.split(" of ").next().unwrap();
            before.split_whitespace().next_back().unwrap().parse::<usize>().unwrap()
        };
        lines.map(number).sum()
    };
    (count("draw "), count("score"))
}

#[test]
fn whatever_changes_pictures_or_numbers_is_in_their_keys_and_names_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = run_file(folder.path(), &vlm());
    let text = fs::read_to_string(&path).unwrap();
    let name = path.to_str().unwrap();
    ok(&["run", name, "--yes"]);
    assert_eq!(to_do(name), (0, 0));
    let (one, all) = (5, 10); // Pictures of ImageRAG-SD, and of both.
    let before = "[[systems]]\nname = \"ImageRAG-SD\"\n";
    let rag = |field: &str| (before.to_owned(), format!("{before}{field}\n"), one);
    let changed =
        |from: &str, to: &str, pictures: usize| (from.to_owned(), to.to_owned(), pictures);
    let model = "plain_prompt = true";
    for (from, to, pictures) in [
        changed("concurrency = 2", "concurrency = 2\ndtype = \"bf16\"", all),
        changed("concurrency = 2", "concurrency = 2\nseeds = [5]", all),
        changed(model, "plain_prompt = false", all),
        changed(model, "plain_prompt = true\nscale = 0.7", all),
        changed(model, "plain_prompt = true\ncapacity = 2", all),
        changed(model, "plain_prompt = true\nscheduler = \"ddim\"", all),
        changed("steps = 4\n\n[[metrics]]", "steps = 5\n\n[[metrics]]", one),
        changed("model = \"stub\"", "model = \"other\"", one),
        changed("model = \"stub\"", "model = \"stub\"\nmax_tokens = 9", one),
        changed("/v1\"", "/v2\"", one),
        rag("negative_prompt = \"blurry\""),
        rag("width = 32\nheight = 32"),
        rag("guidance_scale = 2.0"),
        rag("rerank = \"vlm\""),
        rag("rerank = \"vlm\"\ncandidates = 9"),
        rag("verify = true"),
        rag("config = { mode = \"edit_draft\" }"),
        rag("config = { threshold = 0.1 }"),
        rag("config = { query = \"concept\" }"),
        // What is the same under another name.
        changed("model = \"stub\"", "model = \"stub\"\ntimeout = 9\nretries = 1", 0),
        changed("examples/tinyworld/models/sdxl", "examples/./tinyworld/models/../models/sdxl", 0),
        changed("[galleries.world]", "[galleries.earth]", 0),
    ] {
        let mut changed = text.replacen(&from, &to, 1);
        assert_ne!(changed, text, "{from}");
        if to.contains("earth") {
            changed = changed.replace("gallery = \"world\"", "gallery = \"earth\"");
        }
        fs::write(&path, changed).unwrap();
        assert_eq!(to_do(name).0, pictures, "{to}");
    }
    // Numbers: the same pictures by other arithmetic, formula or text.
    for field in ["formula = \"clip_score\"", "text = \"class_name\"", "prefix = \"a \""] {
        fs::write(&path, format!("{text}{field}\n")).unwrap();
        let (pictures, scores) = to_do(name);
        assert!(pictures == 0 && scores > 0, "{field}: {scores}");
    }
    fs::write(&path, &text).unwrap();
    assert_eq!(to_do(name), (0, 0));
}

#[test]
fn a_run_that_lacks_something_fails_until_it_is_healed_and_tells_it_above_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let sorry = stub::serve(|_, body: &Value| {
        let said = match body.to_string().contains("Does this figure show") {
            true => "Yes", // And no log-probabilities.
            false => "I'm sorry, but I can't assist.",
        };
        let message = json!({ "role": "assistant", "content": said });
        (200, json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }))
    });
    let path = run_file(folder.path(), &sorry.unwrap());
    let name = path.to_str().unwrap();
    // What cannot be set up is told before anything is drawn.
    let text = fs::read_to_string(&path).unwrap();
    let bad = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let told = [fails(&["plan", name]), fails(&["run", name, "--yes"])];
        assert!(!folder.path().join("out/pictures.jsonl").exists(), "{told:?}");
        assert!(told[0].ends_with(&told[1]), "{told:?}");
        told[0].clone()
    };
    let model = bad("models/sdxl\"", "models/nothing\"");
    assert!(model.contains("models.tiny.model: ") && model.contains("nothing"), "{model}");
    let key = bad("model = \"stub\"", "model = \"stub\"\nkey = \"NO_SUCH_KEY\"");
    assert!(key.contains("vlms.stub: NO_SUCH_KEY: expected a key"), "{key}");
    let prices = bad("calls = 1000\n\n[prices.stub]", "money = 1.0\n\n[prices.stubb]");
    assert!(prices.contains("nothing is called stubb") && prices.contains("stub"), "{prices}");
    let nan = bad("calls = 1000", "money = nan");
    assert!(nan.contains("run.toml: budget.money: expected a number above 0"), "{nan}");

    // A judge that gives no log-probabilities has its report all the same, and fails each time.
    let judge = "\n[[metrics]]\nkind = \"vqa_score\"\nvlm = \"stub\"\n";
    fs::write(&path, format!("{text}{judge}")).unwrap();
    let output = output(&["run", name, "--yes"]);
    let (out, error) = (output.stdout, String::from_utf8(output.stderr).unwrap());
    let out = String::from_utf8(out).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("`replies = 10`") && error.contains("VQAScore: of "), "{error}");
    let fallback = "ImageRAG-SD: the critic could not say what to change of 5 of 5 pictures";
    assert!(out.contains(&format!("- {fallback}")), "{out}");
    let table = fs::read_to_string(folder.path().join("out/report/table.md")).unwrap();
    assert!(table.contains(fallback) && table.contains("failed"), "{table}");
    assert!(fails(&["run", name, "--yes"]).contains("the results are not complete"));
    // Without it nothing is lacking.
    fs::write(&path, &text).unwrap();
    ok(&["run", name, "--yes"]);
    let base = fails(&["report", name, "--base", "Nope"]);
    assert!(base.contains("--base: expected one of SDXL, ImageRAG-SD, found Nope"), "{base}");
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

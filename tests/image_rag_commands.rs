//! The example `image_rag` as a person types it: OmniGen in the whole loop, PixArt-Σ where it serves,
//! and options that do not fit the backend.

#[allow(dead_code, reason = "shared with other tests")]
mod support;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/vlm.rs"]
mod vlm;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::Receiver;
use std::{fs, str};

use imagerag::Image;
use serde_json::{Value, json};
use tempfile::TempDir;

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    folder.join(name).display().to_string()
}

/// The example's program, which `cargo test` builds beside the tests.
fn program() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let program = tests
        .parent()?
        .parent()?
        .join("examples/image_rag")
        .with_extension(if cfg!(windows) { "exe" } else { "" });
    if !program.exists() {
        println!("skipped: run `cargo build --example image_rag` with these features first");
        return None;
    }
    Some(program)
}

/// Runs the example with a model that gives `replies`; what it wrote lies in the folder.
fn run(program: &Path, replies: &[&str], words: &[&str]) -> (Output, TempDir, Receiver<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let reply = |text: &&str| {
        let message = json!({ "content": text });
        (200, json!({ "choices": [{ "message": message, "finish_reason": "stop" }] }).to_string())
    };
    let (url, asked) = vlm::service(replies.iter().map(reply));
    let mut command = Command::new(program);
    command.args(words).args(["--vlm-base-url", &url, "--vlm-model", "m", "--out", "out.png"]);
    for (option, value) in [("--width", "32"), ("--height", "32"), ("--steps", "2")] {
        if !words.iter().any(|word| word.starts_with(option)) {
            command.args([option, value]);
        }
    }
    let output = command.current_dir(&folder).env("OPENAI_API_KEY", "").output().unwrap();
    (output, folder, asked)
}

/// The prompts of the images that were drawn.
fn prompts(folder: &TempDir) -> Vec<String> {
    let trace = fs::read_to_string(folder.path().join("out.trace.json")).unwrap();
    let trace: Value = serde_json::from_str(&trace).unwrap();
    let stages = trace["stages"].as_array().unwrap().iter();
    let prompt = |stage: &Value| Some(stage["record"]["image"]["prompt"].as_str()?.to_owned());
    stages.filter_map(prompt).collect()
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", str::from_utf8(&output.stderr).unwrap());
}

#[test]
fn omnigen_draws_with_what_the_gallery_has() {
    let Some(program) = program() else { return };
    let images = tempfile::tempdir().unwrap();
    for name in ["wide.png", "tall.png"] {
        fs::copy(fixture(&format!("omnigen/{name}")), images.path().join(name)).unwrap();
    }
    let (model, encoder) = (fixture("omnigen/plain"), fixture("clip/model"));
    let cat = fixture("omnigen/small.png");
    let (output, folder, _) = run(
        &program,
        &["no", "1. a quetzal\n2. a sheep", "a quetzal\na sheep"],
        &[
            "--backend=omnigen",
            "--model",
            &model,
            "--encoder",
            &encoder,
            "--gallery=g",
            "--images",
            &images.path().display().to_string(),
            "--reference",
            &cat,
            "--image-guidance=2",
            "--max-input-image-size=64",
            "--prompt=a zoo",
        ],
    );
    assert_success(&output);
    assert_eq!(
        prompts(&folder),
        [
            "According to these examples of small: <img><|image_1|></img>, generate a zoo",
            "According to these examples of small: <img><|image_1|></img>, \
             a quetzal: <img><|image_2|></img>, a sheep: <img><|image_3|></img>, generate a zoo",
        ]
    );
    let [draft, image] = ["out.draft.png", "out.png"].map(|name| {
        let image = Image::open(folder.path().join(name)).unwrap();
        assert_eq!((image.width(), image.height()), (32, 32));
        image
    });
    assert_ne!(draft, image);
}

#[test]
fn omnigen_edits_a_picture_in_its_own_size() {
    let Some(program) = program() else { return };
    let (model, tall) = (fixture("omnigen/plain"), fixture("omnigen/tall.png"));
    let words = ["--backend=omnigen", "--model", &model, "--mode=plan_edit", "--draft", &tall];
    let size = ["--max-input-image-size=64", "--use-input-image-size-as-output", "--prompt=a tree"];
    let (output, folder, _) =
        run(&program, &["1. Add a tree.", "yes"], &[&words[..], &size].concat());
    assert_success(&output);
    assert_eq!(prompts(&folder), ["<img><|image_1|></img> Add a tree."]);
    let image = Image::open(folder.path().join("out.png")).unwrap();
    assert!(image.height() > image.width(), "{}x{}", image.width(), image.height());
}

#[test]
fn pixart_draws_a_rephrased_prompt_and_takes_no_references() {
    let Some(program) = program() else { return };
    let (model, cat) = (fixture("pixart/sigma"), fixture("omnigen/small.png"));
    let words = ["--backend=pixart", "--model", &model, "--prompt=a quetzal"];
    let with = |more: &[&str]| run(&program, &["a green bird"], &[&words[..], more].concat());
    let (output, folder, _) = with(&["--mode=rephrase_only"]);
    assert_success(&output);
    assert_eq!(prompts(&folder), ["a quetzal", "a green bird"]);

    for more in
        [&["--gallery=g", "--encoder=e"][..], &["--mode=rephrase_only", "--reference", &cat]]
    {
        let (output, folder, asked) = with(more);
        assert_eq!(output.status.code(), Some(1));
        let told = str::from_utf8(&output.stderr).unwrap();
        assert!(told.contains("PixArt-Σ draws from the prompt alone"), "{told}");
        assert!(told.contains("omnigen, sdxl or flux"), "{told}");
        assert!(!folder.path().join("out.png").exists() && asked.try_recv().is_err());
    }
}

#[test]
fn an_option_of_another_backend_is_named_before_anything_is_loaded() {
    let Some(program) = program() else { return };
    for (backend, option, whose) in [
        ("omnigen", "--lora=x", "flux"),
        ("omnigen", "--scale=1", "sdxl and flux"),
        ("sdxl", "--image-guidance=2", "omnigen"),
        ("flux", "--max-input-image-size=64", "omnigen"),
        ("flux", "--scheduler=ddim", "sdxl and pixart"),
    ] {
        let words =
            ["--backend", backend, "--model=none", "--mode=plan_edit", "--prompt=a", option];
        let (output, _, _) = run(&program, &[], &words);
        let told = str::from_utf8(&output.stderr).unwrap();
        let option = option.split_once('=').unwrap().0;
        assert_eq!(told, format!("error: {option}: an option of {whose}, and not of {backend}\n"));
    }
}

#[test]
fn a_bad_setting_is_named_before_anything_is_loaded() {
    let Some(program) = program() else { return };
    let tall = fixture("omnigen/tall.png");
    for (words, expected) in [
        (&["--steps=0"][..], "steps: expected 1 to 10000, found 0"),
        (&["--guidance=-1"], "guidance scale: expected a finite number of at least 0, found -1"),
        (&["--guidance", "-1"], "guidance scale: expected a finite number of at least 0, found -1"),
        (&["--guidance=NaN"], "guidance scale: expected a finite number of at least 0, found NaN"),
        (&["--width=0"], "width: expected 1 to 16384 pixels, found 0"),
        (&["--height=20000"], "height: expected 1 to 16384 pixels, found 20000"),
        (&["--rounds=0"], "max_rounds: expected 1 to 100, found 0"),
        (
            &["--prompt=<|image_1|> in a zoo"],
            "images that the prompt names: expected none, because there are no images, found <|image_1|>",
        ),
        (
            &["--all-concepts", "--draft", &tall],
            "the caller's draft: expected none, as Mode::AllConcepts begins without one, found one of",
        ),
    ] {
        let prompt = if words[0].starts_with("--prompt") { None } else { Some("--prompt=a zoo") };
        let words =
            ["--backend=omnigen", "--model=none"].iter().chain(words).copied().chain(prompt);
        let (output, _, asked) = run(&program, &[], &words.collect::<Vec<_>>());
        let told = str::from_utf8(&output.stderr).unwrap();
        assert!(told.starts_with(&format!("error: {expected}")), "{told}");
        assert!(asked.try_recv().is_err(), "the model was asked");
    }
}

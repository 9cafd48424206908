//! The example `embed` as a person types it: lines, numbers, and images that cannot be read.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, str};

use futures::executor::block_on;
use imagerag::Image;
use imagerag::embedder::ImageFeatures;
use imagerag::models::{DType, Device, Preprocessing};
use serde_json::Value;

const GALLERY: &str = "examples/tinyworld/gallery";

/// The example's program, which `cargo test` builds beside the tests.
fn program() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let program = tests
        .parent()?
        .parent()?
        .join("examples/embed")
        .with_extension(if cfg!(windows) { "exe" } else { "" });
    if !program.exists() {
        println!("skipped: run `cargo build --example embed` with these features first");
        return None;
    }
    Some(program)
}

fn run(program: &Path, model: &str, words: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["--model", model]).args(words);
    command.output().unwrap()
}

/// What each line of standard output says: the image and its embedding.
fn lines(output: &Output) -> Vec<(String, Vec<f64>)> {
    let text = str::from_utf8(&output.stdout).unwrap();
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let numbers = value["embedding"].as_array().unwrap();
        let numbers = numbers.iter().map(|number| number.as_f64().unwrap()).collect();
        (value["image"].as_str().unwrap().to_owned(), numbers)
    };
    text.lines().map(line).collect()
}

#[test]
fn each_image_has_a_line_and_each_failure_too() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.png");
    fs::write(&broken, "no picture").unwrap();
    let broken = broken.to_str().unwrap();
    let [first, second] = ["bruno-1.png", "bruno-2.png"].map(|name| format!("{GALLERY}/{name}"));
    for (model, preprocessing) in [
        ("tests/fixtures/dino/vit_224", Preprocessing::Official),
        ("tests/fixtures/dino/dinov2", Preprocessing::File),
        ("tests/fixtures/clip/model", Preprocessing::File),
        ("tests/fixtures/siglip/model", Preprocessing::Official),
    ] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let known =
            ImageFeatures::open(root.join(model), Device::Cpu, DType::F32, preprocessing).unwrap();
        let images = [&first, &second].map(|path| Image::open(root.join(path)).unwrap());
        let expected = block_on(known.features(&images)).unwrap();

        let option = format!("--preprocessing={preprocessing}");
        let output = run(&program, model, &[&first, broken, "no-such.png", &second, &option]);
        assert_eq!(output.status.code(), Some(1));
        let errors = str::from_utf8(&output.stderr).unwrap();
        assert_eq!(errors.lines().count(), 2, "{errors}");
        assert!(errors.contains("broken.png") && errors.contains("no-such.png"), "{errors}");
        let found = lines(&output);
        assert_eq!(found.len(), 2);
        for ((image, found), (path, expected)) in
            found.iter().zip([&first, &second].into_iter().zip(&expected))
        {
            assert_eq!((image, found.len()), (path, expected.len()));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - f64::from(*expected)).abs() < 1e-5, "{model}: {found} {expected}");
            }
        }

        let output = run(&program, model, &[&first, "--normalize"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let square: f64 = lines(&output)[0].1.iter().map(|number| number * number).sum();
        assert!((square - 1.0).abs() < 1e-5, "{square}");
    }
}

#[test]
fn a_model_that_cannot_be_loaded_prints_nothing_but_why() {
    let Some(program) = program() else { return };
    let image = format!("{GALLERY}/bruno-1.png");
    for (model, expected) in [
        ("tests/fixtures/t5/encoder", "found t5"),
        ("tests/fixtures/no-such", "no such file or folder"),
    ] {
        let output = run(&program, model, &[&image]);
        let error = str::from_utf8(&output.stderr).unwrap();
        assert!(error.contains(expected) && output.stdout.is_empty(), "{error}");
        assert_eq!(output.status.code(), Some(1));
    }
}

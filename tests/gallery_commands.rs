//! Each command of the example `gallery` on 1,000 picture files of mixed formats, some of them
//! broken, as a person types it.

#[path = "gallery_support/mixed.rs"]
mod mixed;
#[path = "gallery_support/wild.rs"]
mod wild;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::tempdir;

/// The example's program, which `cargo test` builds beside the tests.
fn program() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let program = tests
        .parent()?
        .parent()?
        .join("examples/gallery")
        .with_extension(if cfg!(windows) { "exe" } else { "" });
    if !program.exists() {
        println!("skipped: run `cargo build --example gallery` with these features first");
        return None;
    }
    Some(program)
}

struct Gallery {
    program: PathBuf,
    folder: PathBuf,
}

impl Gallery {
    fn run(&self, command: &str, rest: &[&str]) -> Output {
        let mut run = Command::new(&self.program);
        run.arg(command).arg("g").args(rest).current_dir(&self.folder).output().unwrap()
    }

    /// What `command` prints; it must go well.
    fn ok(&self, command: &str, rest: &[&str]) -> String {
        let output = self.run(command, rest);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command} {rest:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `command` says is wrong; it must end with 1, and in words.
    fn fails(&self, command: &str, rest: &[&str]) -> String {
        let output = self.run(command, rest);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command} {rest:?}: {told}");
        assert!(told.starts_with("error: ") && !told.contains("panicked"), "{told}");
        told
    }

    /// What becomes of `command` when nobody reads what it prints.
    fn unread(&self, command: &str, rest: &[&str]) -> Output {
        let mut run = Command::new(&self.program);
        run.arg(command).arg("g").args(rest).current_dir(&self.folder);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        run.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
    }

    fn json(&self, command: &str, rest: &[&str]) -> Value {
        serde_json::from_str(&self.ok(command, &[rest, &["--json"]].concat())).unwrap()
    }
}

#[test]
fn every_command_works_on_a_thousand_mixed_files() {
    let Some(program) = program() else { return };
    let folder = tempdir().unwrap();
    let gallery = Gallery { program, folder: folder.path().to_owned() };
    let photos = folder.path().join("photos");
    let mixed = mixed::write(&photos);
    assert_eq!(mixed, mixed::Mixed { good: 900, copies: 50, bad: 50 });

    // build, and again: everything is there already.
    let told = gallery.json("build", &["photos"]);
    let counts = &told["sources"][0]["progress"];
    assert_eq!(counts["total"], 1000);
    assert_eq!([&counts["added"], &counts["known"], &counts["rejected"]], [900, 50, 50]);
    assert_eq!(told["images"], 900);
    let told = gallery.ok("build", &["photos"]);
    assert!(told.contains("0 added, 0 updated, 950 already there, 50 rejected"), "{told}");
    assert!(told.contains("900 images in g"), "{told}");
    assert!(gallery.fails("build", &["nowhere"]).contains("nowhere"));

    // stats
    let told = gallery.json("stats", &[]);
    assert_eq!(told["stats"]["images"], 900);
    assert_eq!(told["rejected"].as_array().unwrap().len(), 50);
    let told = gallery.ok("stats", &[]);
    assert!(told.contains("an empty file") && told.contains("16384x16384"), "{told}");
    let deaf = gallery.unread("stats", &["--all"]);
    assert!(deaf.status.success() && deaf.stderr.is_empty(), "{deaf:?}");

    search(&gallery, &photos);

    // add: one more picture, and what brings its embedding from another encoder.
    let (width, height) = (9, 5);
    image::RgbImage::from_pixel(width, height, image::Rgb([1, 2, 3]))
        .save(folder.path().join("more.png"))
        .unwrap();
    assert!(gallery.ok("add", &["more.png"]).contains("1 added"));
    let laion = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ingest/clip_retrieval");
    assert!(gallery.fails("add", &[laion]).contains("found 8 values"));
    let shards = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ingest/shards");
    assert!(gallery.ok("add", &[shards]).contains("4 added"));

    // remove
    let hash = gallery.json("search", &["--image", "more.png", "--limit", "1"])["hash"].clone();
    assert!(gallery.ok("remove", &["--hash", hash.as_str().unwrap()]).contains("removed    1"));
    assert!(gallery.ok("remove", &["photos/0/0/0000.png"]).contains("903 are left"));
    assert!(gallery.fails("remove", &["photos/0/0/0000.png"]).contains("one of an image"));
    assert!(gallery.fails("remove", &["--hash", "xyz"]).contains("64 hexadecimal digits"));

    // export, once
    gallery.ok("export", &["out"]);
    let lines = fs::read_to_string(folder.path().join("out/images.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 903);
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    assert!(gallery.fails("export", &["out"]).contains("images.jsonl"));

    #[cfg(feature = "faiss")]
    index(&gallery);
    tidy(&gallery, &photos);
}

#[test]
fn a_folder_as_people_have_them_is_accounted_for() {
    let Some(program) = program() else { return };
    let folder = tempdir().unwrap();
    let gallery = Gallery { program, folder: folder.path().to_owned() };
    let wild = wild::write(&folder.path().join("wild"));
    let told = gallery.json("build", &["wild"]);
    let counts = &told["sources"][0]["progress"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    let left_out: u64 = counts["left_out"]
        .as_object()
        .unwrap()
        .values()
        .map(|of| of["count"].as_u64().unwrap())
        .sum();
    let rejected = gallery.json("stats", &[])["rejected"].clone();
    assert_eq!(count("added"), wild.licenses.len() as u64, "{rejected:#}");
    assert_eq!([count("updated"), count("known")], [0, 1]);
    assert_eq!(count("rejected"), wild.rejected.len() as u64, "{rejected:#}");
    assert_eq!([left_out, count("found")], [wild.left_out, wild.found], "{counts:#}");
    assert_eq!(count("metadata_files"), wild.metadata_files);
    // Every rejection is one of those that are expected.
    let mut expected = wild.rejected.clone();
    for one in rejected.as_array().unwrap() {
        let source = one["source"].as_str().unwrap();
        let at = expected.iter().position(|name| source.ends_with(name));
        expected.remove(at.unwrap_or_else(|| panic!("{one}")));
    }
    assert_eq!(expected, [""; 0]);
    // Every license is the right one, or absent.
    gallery.ok("export", &["out"]);
    let lines = fs::read_to_string(folder.path().join("out/images.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), wild.licenses.len());
    for line in lines.lines() {
        let image: Value = serde_json::from_str(line).unwrap();
        let source = image["source"].as_str().unwrap();
        let license = wild.licenses.iter().find(|(name, _)| source.ends_with(**name));
        assert_eq!(image["license"].as_str(), *license.unwrap().1, "{source}");
    }
    assert!(gallery.ok("verify", &["--pictures"]).contains("everything is as it was written"));
    // As a person sees it; built again, all is there already.
    let told = gallery.ok("build", &["wild"]);
    let known = wild.licenses.len() + 1;
    assert!(told.contains(&format!("0 added, 0 updated, {known} already there")), "{told}");
    assert!(told.contains("lonely.txt") && told.contains("Thumbs.db"), "{told}");
    assert!(told.contains("catalog.json") && told.contains("found HEIC"), "{told}");
}

/// With an index the same images are found; one of other vectors is named, and can be done without.
#[cfg(feature = "faiss")]
fn index(gallery: &Gallery) {
    let exact = gallery.ok("search", &["a photo", "--limit", "20"]);
    assert!(gallery.fails("index", &["Nonsense"]).contains("FAISS factory string"));
    assert!(gallery.ok("index", &["HNSW32", "--ef-search", "256"]).contains("of 903 images"));
    assert_eq!(gallery.ok("search", &["a photo", "--limit", "20"]), exact);
    assert_eq!(gallery.ok("search", &["a photo", "--limit", "20", "--exact"]), exact);
}

fn tidy(gallery: &Gallery, photos: &Path) {
    // dedup says what it would remove before it does.
    let told = gallery.ok("dedup", &["--threshold", "0.999"]);
    let may_go = told.lines().filter(|line| line.starts_with("same")).count();
    assert!(may_go > 0 && told.contains(&format!("with {may_go} images that may go")), "{told}");
    let told = gallery.ok("dedup", &["--threshold", "0.999", "--remove"]);
    let left = 903 - may_go;
    assert!(told.contains(&format!("removed    {may_go} images; {left} are left")), "{told}");
    assert!(gallery.ok("dedup", &["--threshold", "0.999"]).starts_with("groups     0"));
    let told = gallery.ok("compact", &[]);
    assert!(told.contains(&format!("{left} are left")), "{told}");

    // verify: whole, then a picture that changed, then a vector that did.
    assert!(gallery.ok("verify", &["--pictures"]).contains("everything is as it was written"));
    // relocate: relative to the gallery, and back.
    let absolute = photos.to_str().unwrap();
    let told = gallery.ok("relocate", &[absolute, "../photos"]);
    assert!(told.starts_with("relocated  ") && !told.contains(" 0 images"), "{told}");
    assert!(gallery.ok("verify", &["--pictures"]).contains("everything is as it was written"));
    assert!(gallery.json("search", &["x", "--limit", "1"])["source"].is_string());
    assert_eq!(gallery.ok("relocate", &["../photos", absolute])[..20], told[..20]);
    let picture = photos.join("4/2/0284.webp");
    let mut bytes = fs::read(&picture).unwrap();
    bytes.push(0);
    fs::write(&picture, bytes).unwrap();
    gallery.ok("verify", &[]);
    assert!(gallery.fails("verify", &["--pictures"]).starts_with("error: 1 problem in g"));
    let vectors = fs::read_dir(gallery.folder.join("g")).unwrap();
    let mut vectors = vectors.map(|file| file.unwrap().path());
    let vectors = vectors.find(|path| path.extension().is_some_and(|e| e == "f32")).unwrap();
    let mut bytes = fs::read(&vectors).unwrap();
    bytes[1000] ^= 1;
    fs::write(&vectors, bytes).unwrap();
    assert!(gallery.fails("verify", &[]).starts_with("error: 1 problem in g"));
    assert!(gallery.fails("search", &["x"]).contains("checksum"));
}

fn search(gallery: &Gallery, photos: &Path) {
    let told = gallery.ok("search", &["a photo", "--limit", "5", "--sheet", "found.png"]);
    assert_eq!(told.lines().count(), 5);
    let sheet = image::open(gallery.folder.join("found.png")).unwrap();
    assert!(sheet.height() > 5 * 128, "{}", sheet.height());
    // A picture finds itself.
    let itself = photos.join("4/2/0284.webp");
    let found = gallery.json("search", &["--image", itself.to_str().unwrap(), "--limit", "1"]);
    assert!(found["score"].as_f64().unwrap() > 0.999, "{found}");
    assert_eq!(found["metadata"]["license"], "CC0-1.0");
    // Filters and thresholds.
    for license in ["CC0-1.0", "CC-BY-4.0"] {
        let told = gallery.ok("search", &["x", "--limit", "1000", "--license", license]);
        assert!(told.lines().count() > 200);
        assert!(told.lines().all(|line| line.contains(license)), "{told}");
    }
    assert!(gallery.ok("search", &["x", "--license", "MIT"]).starts_with("nothing among 900"));
    assert!(gallery.ok("search", &["x", "--threshold", "1.0"]).starts_with("nothing"));
    assert_eq!(gallery.ok("search", &["x", "--limit", "0", "--json"]), "");
    assert!(gallery.fails("search", &["x", "--near-duplicates", "1.5"]).contains("in (0, 1]"));
    assert!(gallery.fails("search", &["--image", "nowhere.png"]).contains("nowhere.png"));
    assert!(gallery.fails("search", &["x", "--sheet", "found.xyz"]).contains("found.xyz"));
}

//! A study from results to answers and back.

mod answers;
mod order;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use futures::executor::block_on;
use serde_json::json;
use tempfile::TempDir;

use super::key::{self, KeyRow, Role};
use super::picture::equally_long;
use super::published::Published;
use super::*;
use crate::evaluation::dataset::{Class, Dataset, RealImage, Split};
use crate::evaluation::experiment::Results;
use crate::reference::Picture;
use crate::{Error, Image, Result};

const SYSTEMS: [&str; 2] = ["Plain", "Plain+RAG"];

/// A folder with the results of two systems on `classes` classes, of which the first drew nothing new.
struct World {
    folder: TempDir,
    results: Results,
    datasets: Vec<Dataset>,
}

fn image(side: u32, color: [u8; 3]) -> Image {
    let pixel = |i: u32| color.map(|c| c.wrapping_add((i % side / 4) as u8));
    Image::new(side, side, (0..side * side).flat_map(pixel).collect::<Vec<u8>>()).unwrap()
}

impl World {
    fn new(classes: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let mut pictures = Vec::new();
        let mut set = Dataset::new("Birds");
        for class in 0..classes {
            let id = format!("{class:03}");
            for (s, system) in SYSTEMS.iter().enumerate() {
                let (file, color) = (format!("{s}-{id}.png"), (20 * class + 100 * s) as u8);
                let side = [64, 96][s];
                image(side, [color, 90, 160]).save(folder.path().join(&file)).unwrap();
                let hash = if class == 0 { "same".into() } else { file.clone() };
                pictures.push(json!({
                    "system": system, "settings": "x", "dataset": "Birds", "item": id, "seed": 7,
                    "prompt": format!("A photo of a <bird> {class}"), "class": id, "category": null,
                    "elapsed": 1.0,
                    "ended": {"drawn": {
                        "picture": {"file": file, "hash": hash, "width": side, "height": side},
                        "draft": null, "references": [], "stop": null, "trace": null,
                    }},
                }));
            }
            let mut of_class = Class::new(id.clone(), format!("bird {class}"));
            for split in [Split::Train, Split::Test] {
                let color = [10, (20 * class) as u8, if split == Split::Test { 250 } else { 5 }];
                let bytes = image(80, color).encode_png().unwrap();
                let mut real = RealImage::new(format!("{id}/{split}.png"), Picture::bytes(bytes));
                real.split = Some(split);
                of_class.images.push(real);
            }
            set.classes.push(of_class);
        }
        let system = |name: &str, base: Option<&str>| json!({"name": name, "settings": "x", "base": base, "description": ""});
        let results: Results = serde_json::from_value(json!({
            "folder": folder.path(),
            "systems": [system(SYSTEMS[0], None), system(SYSTEMS[1], Some(SYSTEMS[0]))],
            "datasets": [], "metrics": [], "pictures": pictures, "scores": [],
        }))
        .unwrap();
        Self { folder, results, datasets: vec![set] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, study: &Study) -> Result<StudyFolder> {
        let (folder, key) = (self.path("study"), self.path("key.csv"));
        block_on(study.write(&self.results, &self.datasets, folder, key))
    }

    fn written(&self, study: &Study) -> (StudyFolder, Published, Vec<KeyRow>) {
        let written = self.write(study).unwrap();
        let published = fs::read(written.folder.join("study.json")).unwrap();
        let key = key::read(&written.key).unwrap();
        (written, serde_json::from_slice(&published).unwrap(), key)
    }
}

fn study(kind: StudyKind) -> Study {
    Study { items_per_participant: 4, votes_per_item: 3, ..Study::new("birds", kind) }
}

#[test]
fn the_folder_is_whole_and_tells_no_system() {
    let world = World::new(6);
    let (written, published, key) = world.written(&study(StudyKind::Comparative));
    assert_eq!(written.items, 5, "the class with equal pictures is left out");
    assert!(
        written.left_out[0].contains("1 items with the same picture"),
        "{:?}",
        written.left_out
    );
    assert_eq!(written.participants, published.lists.len());
    assert_eq!(written.version, published.version);
    for file in ["index.html", "study.json"] {
        let text = fs::read_to_string(written.folder.join(file)).unwrap();
        for secret in SYSTEMS.iter().copied().chain([key[0].salt.as_str(), "key.csv", "Birds"]) {
            assert!(!text.contains(secret), "{file} tells {secret}");
        }
        assert!(text.contains(&key[0].picture));
    }
    let mut times = BTreeSet::new();
    for entry in fs::read_dir(written.folder.join("pictures")).unwrap() {
        let entry = entry.unwrap();
        times.insert(entry.metadata().unwrap().modified().unwrap());
        let name = entry.file_name().into_string().unwrap();
        assert!(name.len() == 21 && name.starts_with('p') && name.ends_with(".jpg"), "{name}");
    }
    assert_eq!(times.len(), 1);
    for screen in &published.screens {
        let sizes: BTreeSet<_> = screen.pictures.iter().map(|name| size(&written, name)).collect();
        assert_eq!(sizes.len(), 1, "{screen:?}");
        assert_eq!(sizes.first().unwrap().1, (96, 96), "the smaller ones are enlarged");
        assert!(screen.pictures.is_sorted());
    }
}

/// Length of the file, and width and height.
fn size(written: &StudyFolder, name: &str) -> (u64, (u32, u32)) {
    let path = written.folder.join("pictures").join(format!("{name}.jpg"));
    let image = Image::open(&path).unwrap();
    (fs::metadata(&path).unwrap().len(), (image.width(), image.height()))
}

#[test]
fn lists_are_balanced() {
    for (screens, per_list, votes) in [(5, 4, 3), (20, 7, 6), (3, 15, 4), (1, 1, 1), (40, 10, 10)] {
        let groups: Vec<usize> = (0..screens).map(|i| i / 2).collect();
        let lists = list::lists(&groups, per_list, votes, &[screens], 1, &mut Rng::with_seed(3));
        let mut seen = vec![(0, 0); screens];
        let mut first_place = vec![0; screens];
        for list in &lists {
            let items: Vec<_> = list.iter().filter(|shown| shown.screen < screens).collect();
            assert_eq!(items.len(), per_list.min(screens));
            assert_eq!(items.iter().map(|s| s.screen).collect::<BTreeSet<_>>().len(), items.len());
            assert_eq!(list.len(), items.len() + 1, "one check");
            assert_ne!(list[0].screen, screens, "no check comes first");
            first_place[items[0].screen] += 1;
            for shown in items {
                seen[shown.screen].0 += 1;
                seen[shown.screen].1 += usize::from(shown.swapped);
            }
        }
        for (count, swapped) in seen {
            assert!((votes..=votes + 2).contains(&count), "{count} votes of {votes}");
            assert!(swapped.abs_diff(count - swapped) <= 1, "{swapped} of {count} swapped");
        }
        let expected = lists.len() / screens;
        assert!(first_place.iter().all(|&n| n <= expected + 3), "{first_place:?}, {expected}");
    }
    // Three screens of each of 20 prompts: nobody sees a prompt twice, and no votes are lost by that.
    let groups: Vec<usize> = (0..60).map(|i| i / 3).collect();
    let lists = list::lists(&groups, 15, 5, &[], 0, &mut Rng::with_seed(3));
    for list in &lists {
        let prompts: BTreeSet<usize> = list.iter().map(|shown| groups[shown.screen]).collect();
        assert_eq!(prompts.len(), list.len());
    }
    assert!(lists.len() <= 22, "{} instead of 20", lists.len());
    assert!(list::lists(&[], 5, 5, &[], 2, &mut Rng::with_seed(0)).is_empty());
}

#[test]
fn participants_see_other_orders_and_the_same_study_twice_is_the_same() {
    let (one, two) = (World::new(6), World::new(6));
    let fixed = Study { salt: Some("s".into()), ..study(StudyKind::Comparative) };
    let (first, second) = (one.written(&fixed), two.written(&fixed));
    assert_eq!((&first.1, &first.2), (&second.1, &second.2));
    let orders: BTreeSet<Vec<usize>> =
        first.1.lists.iter().map(|list| list.iter().map(|shown| shown.screen).collect()).collect();
    assert_eq!(orders.len(), first.1.lists.len());
    let other = World::new(6).written(&Study { seed: 1, ..fixed });
    assert_ne!(other.1.version, first.1.version);
    let drawn = World::new(6).written(&study(StudyKind::Comparative));
    assert_ne!(drawn.2[0].salt, first.2[0].salt);
    assert_eq!(drawn.1.salt_hash, blake3::hash(drawn.2[0].salt.as_bytes()).to_hex().to_string());
}

#[test]
fn nothing_is_overwritten_and_the_key_is_never_in_the_folder() {
    let world = World::new(4);
    let write = |folder: PathBuf, key: PathBuf| {
        let study = study(StudyKind::Comparative);
        block_on(study.write(&world.results, &world.datasets, folder, key))
    };
    let folder = world.path("out");
    let mut inside = vec![folder.join("key.csv"), folder.join("a/../key.csv"), folder.clone()];
    inside.push(world.path("other/../out/deep/key.csv"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(world.folder.path(), world.path("link")).unwrap();
        inside.push(world.path("link/out/key.csv"));
    }
    for key in inside {
        let error = write(folder.clone(), key.clone()).unwrap_err().to_string();
        assert!(error.contains("outside of"), "{}: {error}", key.display());
        assert!(!folder.exists() && !key.exists());
    }
    let written = write(folder.clone(), world.path("keys/key.csv")).unwrap();
    let before = fs::read(&written.key).unwrap();
    let again = write(folder.clone(), world.path("key2.csv")).unwrap_err().to_string();
    assert!(again.contains("empty or not there"), "{again}");
    assert!(!world.path("key2.csv").exists());
    let again = write(world.path("out2"), written.key.clone()).unwrap_err().to_string();
    assert!(again.contains("not there yet"), "{again}");
    assert_eq!(fs::read(&written.key).unwrap(), before);
    fs::create_dir(world.path("empty")).unwrap();
    write(world.path("empty"), world.path("key3.csv")).unwrap();
    let names = |folder: &Path| -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with('.')).collect()
    };
    assert!(names(world.folder.path()).is_empty(), "drafts are gone");
}

#[test]
fn settings_and_results_that_make_no_study_are_refused() {
    let world = World::new(4);
    let fails = |study: Study, words: &str| {
        let error = world.write(&study).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }));
        assert!(error.to_string().contains(words), "{error}");
        assert!(!world.path("study").exists() && !world.path("key.csv").exists());
    };
    let base = || study(StudyKind::Comparative);
    let pair = |a: &str, b: &str| vec![(a.to_owned(), b.to_owned())];
    fails(Study { id: "a study".into(), ..base() }, "study id");
    fails(Study { id: String::new(), ..base() }, "study id");
    fails(Study { items_per_participant: 0, ..base() }, "items_per_participant");
    fails(Study { votes_per_item: 0, ..base() }, "votes_per_item");
    fails(Study { checks: 6, ..base() }, "checks");
    fails(Study { max_side: 1, ..base() }, "max_side");
    fails(Study { questions: vec!["a".into(), "a".into()], ..base() }, "questions");
    fails(Study { questions: vec!["a\nb".into()], ..base() }, "one line");
    fails(Study { pairs: pair("Plain", "Plain"), ..base() }, "two different systems");
    fails(Study { pairs: pair("Plain", "SDXL"), ..base() }, "one of Plain, Plain+RAG, found SDXL");
    for address in
        ["ftp://x", "https://", "https://me:pw@x/", "javascript:1", "https://x/;script-src *"]
    {
        fails(Study { post_to: Some(address.into()), ..base() }, "post_to");
    }
    let mut same = World::new(1);
    assert!(same.write(&base()).unwrap_err().to_string().contains("same picture"));
    same.results.systems[1].base = None;
    assert!(same.write(&base()).unwrap_err().to_string().contains("a base"));
}

#[test]
fn a_picture_that_is_gone_is_an_error_that_names_it() {
    let world = World::new(4);
    fs::remove_file(world.path("1-002.png")).unwrap();
    let error = world.write(&study(StudyKind::Comparative)).unwrap_err();
    assert!(error.to_string().contains("1-002.png"), "{error}");
    assert!(!world.path("study").exists() && !world.path("key.csv").exists());
}

#[test]
fn real_images_are_of_the_test_set_and_their_terms_are_told() {
    let mut world = World::new(4);
    world.datasets[0].license = Some("non-commercial research".into());
    let test = &mut world.datasets[0].classes[2].images[1];
    test.metadata.license = Some("CC-BY-4.0".into());
    test.metadata.author = Some("A. Photographer".into());
    let (written, published, _) = world.written(&study(StudyKind::Comparative));
    let warning = "2 real images of Birds will be published";
    assert!(
        written.warnings.len() == 1 && written.warnings[0].starts_with(warning),
        "{:?}",
        written.warnings
    );
    assert!(written.warnings[0].contains("non-commercial research"));
    for screen in &published.screens {
        let photo = screen.reference.as_ref().unwrap();
        let credited = screen.concept.as_deref() == Some("bird 2");
        assert_eq!(photo.credit.as_deref(), credited.then_some("A. Photographer, CC-BY-4.0"));
        let path = written.folder.join("pictures").join(format!("{}.jpg", photo.picture));
        assert!(Image::open(path).unwrap().pixels()[2] > 200, "test images are blue");
    }
    let world = World::new(4);
    assert!(world.written(&study(StudyKind::Comparative)).0.warnings[0].contains("not known"));
}

#[test]
fn a_real_image_that_cannot_be_read_or_was_a_reference_is_not_shown() {
    let mut world = World::new(4);
    let images = &mut world.datasets[0].classes[1].images;
    images[1].picture = Picture::bytes(*b"no picture");
    let used = PathBuf::from("/data/birds/002/test.png");
    world.datasets[0].classes[2].images[1].path = Some(used.clone());
    let reference = json!({
        "picture": {"file": "x", "hash": "x", "width": 1, "height": 1}, "caption": "a bird",
        "provenance": {"source": {"uri": used}, "retriever": "x", "score": 1.0, "rank": 0},
    });
    let mut results = serde_json::to_value(&world.results).unwrap();
    results["pictures"][5]["ended"]["drawn"]["references"] = json!([reference]);
    world.results = serde_json::from_value(results).unwrap();
    let (written, published, _) = world.written(&study(StudyKind::Comparative));
    assert!(
        written.left_out.iter().any(|line| line.contains("001/test.png")),
        "{:?}",
        written.left_out
    );
    for screen in published.screens.iter().filter(|screen| screen.told.is_none()) {
        let photo = &screen.reference.as_ref().unwrap().picture;
        let path = written.folder.join("pictures").join(format!("{photo}.jpg"));
        let is_of_training = Image::open(path).unwrap().pixels()[2] < 100;
        assert_eq!(
            is_of_training,
            screen.concept.as_deref() != Some("bird 3"),
            "{:?}",
            screen.concept
        );
    }
}

#[test]
fn without_real_images_checks_say_what_to_choose() {
    let mut world = World::new(4);
    world.datasets.clear();
    let (written, published, key) = world.written(&study(StudyKind::Comparative));
    let told: Vec<_> = published.screens.iter().filter_map(|screen| screen.told.as_ref()).collect();
    assert!(
        !told.is_empty() && written.warnings[0].starts_with("3 of 3 items"),
        "{:?}",
        written.warnings
    );
    for name in told {
        assert!(key.iter().any(|row| row.picture == *name && row.role == Role::Right));
    }
    let absolute = World { datasets: Vec::new(), ..World::new(4) };
    let error = absolute.write(&study(StudyKind::Absolute)).unwrap_err().to_string();
    assert!(error.contains("no real image"), "{error}");
}

#[test]
fn hostile_texts_stay_texts() {
    let mut world = World::new(3);
    let hostile = "</script><script>alert(1)</script><!-- {{study}} \u{2028}";
    let mut results = serde_json::to_value(&world.results).unwrap();
    results["pictures"][2]["prompt"] = hostile.into();
    world.results = serde_json::from_value(results).unwrap();
    let title = "<b>\"{{script}}\"</b>".to_owned();
    let (written, published, _) = world.written(&Study { title, ..study(StudyKind::Comparative) });
    let page = fs::read_to_string(written.folder.join("index.html")).unwrap();
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(page.contains("<title>&lt;b&gt;&quot;{{script}}&quot;&lt;/b&gt;</title>"));
    assert!(published.screens.iter().any(|screen| screen.prompt == hostile));
    assert!(page.contains("connect-src 'none'"));
    let post_to = Some("https://example.org:8443/answers?x=1".to_owned());
    let world = World::new(3);
    let sending = world.written(&Study { post_to, ..study(StudyKind::Comparative) }).0;
    let page = fs::read_to_string(sending.folder.join("index.html")).unwrap();
    assert!(page.contains("connect-src https://example.org:8443;"));
}

#[test]
fn files_become_equally_long_and_stay_pictures() {
    let picture = image(64, [9, 120, 40]).encode_jpeg(95).unwrap();
    for missing in [0, 1, 3, 4, 5, 0xffff - 2, 0xffff, 0xffff + 1, 0xffff + 2, 0xffff + 3, 200_000]
    {
        let mut longer = picture.clone();
        longer.resize(picture.len() + missing, 0);
        let mut files = [picture.clone(), longer];
        equally_long(&mut files, &mut Rng::with_seed(1));
        assert_eq!(files[0].len(), files[1].len(), "{missing}");
        assert_eq!(
            Image::decode(&files[0]).unwrap(),
            Image::decode(&picture).unwrap(),
            "{missing}"
        );
        let zeros = files[0].windows(64).filter(|bytes| bytes.iter().all(|byte| *byte == 0));
        assert_eq!(zeros.count(), 0, "{missing}: a run of zeros tells how long it was");
    }
    equally_long(&mut [], &mut Rng::with_seed(1));
}

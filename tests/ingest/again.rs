//! What was taken in and is met again: under another name, with another license, twice.

use std::fs;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use imagerag::gallery::ingest::{Content, Folder, Ingest, IngestProgress, Item, WebDataset};
use imagerag::gallery::{ContentHash, Depth, Gallery, Rejected};
use imagerag::reference::Metadata;
use imagerag::testing::FakeEmbedder;
use tempfile::{TempDir, tempdir};

use super::support::*;

/// A folder of pictures with texts beside them, and a gallery.
struct World {
    home: TempDir,
    gallery: Gallery,
}

impl World {
    fn new() -> Self {
        let home = tempdir().unwrap();
        fs::create_dir(home.path().join("photos")).unwrap();
        let gallery = Gallery::open_or_create(home.path().join("g"), &FakeEmbedder);
        let gallery = block_on(gallery).unwrap();
        Self { home, gallery }
    }

    fn photos(&self) -> PathBuf {
        self.home.path().join("photos")
    }

    /// Writes picture `n`, which says what it is in the text beside it.
    fn write(&self, name: &str, n: u32) {
        fs::write(self.photos().join(format!("{name}.png")), png(n)).unwrap();
        self.license(name, Some(&format!("license {n}")));
    }

    fn license(&self, name: &str, license: Option<&str>) {
        let path = self.photos().join(format!("{name}.json"));
        let said = serde_json::json!({ "license": license, "caption": license });
        fs::write(path, said.to_string()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        for ending in ["png", "json"] {
            let path = |name: &str| self.photos().join(format!("{name}.{ending}"));
            fs::rename(path(from), path(to)).unwrap();
        }
    }

    fn remove(&self, name: &str) {
        for ending in ["png", "json"] {
            fs::remove_file(self.photos().join(format!("{name}.{ending}"))).unwrap();
        }
    }

    fn run<I>(&self, items: I) -> IngestProgress
    where
        I: IntoIterator<Item = Result<Item, Rejected>> + Send,
        I::IntoIter: Send + 'static,
    {
        // Small batches: what is displaced in one is met in another.
        let ingest = Ingest::into(&self.gallery).with_embedder(FakeEmbedder).with_batch(2);
        let done = block_on(ingest.run(items, |_| {})).unwrap();
        assert!(done.adds_up(), "{done:?}");
        done
    }

    fn build(&self) -> IngestProgress {
        self.run(Folder::open(self.photos()).unwrap())
    }

    /// That the gallery holds each picture of the folder once, where it is, with what is said there.
    fn check(&self, names: &[(&str, u32)]) {
        let found = Gallery::verify(self.gallery.folder(), Depth::Pictures);
        assert!(found.is_whole(), "{:?}", found.problems);
        assert_eq!(self.gallery.count().unwrap(), names.len());
        for (name, n) in names {
            let path = self.photos().join(format!("{name}.png"));
            let record = self.gallery.by_source(path.to_str().unwrap()).unwrap().unwrap().record;
            assert_eq!(record.hash, ContentHash::of(&png(*n)), "{name}");
            assert_eq!(record.image().unwrap(), picture(*n));
            let said = Some(format!("license {n}"));
            assert_eq!((record.metadata.license, record.metadata.caption), (said.clone(), said));
        }
    }

    fn license_of(&self, name: &str) -> Option<String> {
        let source = self.photos().join(name);
        let entry = self.gallery.by_source(source.to_str().unwrap()).unwrap();
        entry.unwrap_or_else(|| panic!("{name} is there")).record.metadata.license
    }

    fn reasons(&self) -> Vec<String> {
        self.gallery.rejected().unwrap().iter().map(ToString::to_string).collect()
    }
}

/// Six pictures in a gallery.
fn six() -> World {
    let world = World::new();
    for n in 1..=6 {
        world.write(&n.to_string(), n);
    }
    assert_eq!(world.build().added, 6);
    world.check(&[("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5", 5), ("6", 6)]);
    world
}

#[test]
fn files_that_were_numbered_downwards_are_all_there() {
    let world = six();
    world.remove("1");
    for n in 2..=6 {
        world.rename(&n.to_string(), &(n - 1).to_string());
    }
    let done = world.build();
    assert_eq!((done.added, done.updated, done.known), (0, 0, 5));
    world.check(&[("1", 2), ("2", 3), ("3", 4), ("4", 5), ("5", 6)]);
}

#[test]
fn files_that_were_numbered_upwards_are_all_there_under_their_ids() {
    let world = six();
    let id = |n: u32| {
        let entry = world.gallery.by_hash(&ContentHash::of(&png(n))).unwrap();
        entry.map(|entry| entry.id)
    };
    let before: Vec<_> = (1..=6).map(id).collect();
    for n in (1..=6).rev() {
        world.rename(&n.to_string(), &(n + 1).to_string());
    }
    let done = world.build();
    assert_eq!((done.added, done.updated, done.known), (0, 0, 6));
    world.check(&[("2", 1), ("3", 2), ("4", 3), ("5", 4), ("6", 5), ("7", 6)]);
    assert_eq!((1..=6).map(id).collect::<Vec<_>>(), before);
    // With a new one at the beginning, whose name was another's.
    for n in (2..=7).rev() {
        world.rename(&n.to_string(), &(n + 1).to_string());
    }
    world.write("2", 20);
    let done = world.build();
    assert_eq!((done.added + done.updated, done.known), (1, 6));
    world.check(&[("2", 20), ("3", 1), ("4", 2), ("5", 3), ("6", 4), ("7", 5), ("8", 6)]);
}

#[test]
fn files_that_were_swapped_rotated_and_copied_are_all_there() {
    let world = six();
    for (from, to) in [("1", "x"), ("2", "1"), ("x", "2"), ("3", "x"), ("5", "3"), ("4", "5")] {
        world.rename(from, to);
    }
    world.rename("x", "4");
    let now = [("1", 2), ("2", 1), ("3", 5), ("4", 3), ("5", 4), ("6", 6)];
    world.build();
    world.check(&now);
    // A copy takes the name of another, which is nowhere else, and the first is removed.
    world.write("6", 2);
    assert_eq!(world.build().known, 6);
    world.check(&now[..5]);
    world.remove("1");
    world.build();
    world.check(&[("2", 1), ("3", 5), ("4", 3), ("5", 4), ("6", 2)]);
    assert_eq!(world.build().known, 5);
}

#[test]
fn a_run_over_a_part_keeps_what_it_does_not_see() {
    let world = six();
    world.remove("1");
    for n in 2..=6 {
        world.rename(&n.to_string(), &(n - 1).to_string());
    }
    let half = Folder::open(world.photos()).unwrap().take(2);
    world.run(half);
    let hashes: Vec<_> =
        (2..=6).map(|n| world.gallery.by_hash(&ContentHash::of(&png(n))).unwrap()).collect();
    assert!(hashes.iter().all(Option::is_some), "{hashes:?}");
    world.build();
    world.check(&[("1", 2), ("2", 3), ("3", 4), ("4", 5), ("5", 6)]);
}

#[test]
fn images_that_the_gallery_keeps_are_where_they_were_said_last() {
    let world = World::new();
    let items = |order: &[u32]| {
        let of = |(camera, n): (usize, &u32)| {
            Ok(Item::new(format!("camera {camera}"), Content::Image(picture(*n))))
        };
        order.iter().enumerate().map(of).collect::<Vec<_>>()
    };
    for (order, count) in [
        (&[1, 2, 3][..], 3),
        (&[2, 1, 3], 3),
        (&[3, 2, 1], 3),
        (&[2, 1], 2),
        (&[7, 3, 2, 1], 4),
        (&[3, 2, 1], 3),
        (&[2, 1, 3], 3),
        (&[1, 3, 2], 3),
        (&[1, 1, 2], 2),
    ] {
        world.run(items(order));
        assert_eq!(world.gallery.count().unwrap(), count, "{order:?}");
        for (camera, n) in
            order.iter().enumerate().filter(|(camera, _)| order != [1, 1, 2] || *camera != 1)
        {
            let entry = world.gallery.by_source(&format!("camera {camera}")).unwrap().unwrap();
            assert_eq!(entry.record.image().unwrap(), picture(*n), "{order:?}");
        }
    }
}

/// A shard of pictures with a license each, in this order.
fn shard(path: &Path, members: &[(&str, u32)]) {
    let mut all = Vec::new();
    for (key, n) in members {
        all.push((format!("{key}.png"), png(*n)));
        let said = serde_json::json!({ "license": format!("license {n}") });
        all.push((format!("{key}.json"), said.to_string().into_bytes()));
    }
    let all: Vec<(&str, &[u8])> = all.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    fs::write(path, tar(&all)).unwrap();
}

#[test]
fn a_shard_that_was_written_anew_is_found_as_it_is() {
    for now in [
        // A key less, a key more, swapped; other places, or other names at the same ones.
        &[("0", 2), ("1", 3)][..],
        &[("0", 9), ("1", 1), ("2", 2), ("3", 3)],
        &[("0", 3), ("1", 2), ("2", 1)],
        &[("2", 1), ("1", 2), ("0", 3)],
        &[("1", 1), ("2", 2), ("0", 3)],
    ] {
        let world = World::new();
        let path = world.photos().join("x.tar");
        shard(&path, &[("0", 1), ("1", 2), ("2", 3)]);
        world.run(WebDataset::open(&path).unwrap());
        shard(&path, now);
        world.run(WebDataset::open(&path).unwrap());
        let found = Gallery::verify(world.gallery.folder(), Depth::Pictures);
        assert!(found.is_whole(), "{now:?}: {:?}", found.problems);
        assert_eq!(world.gallery.count().unwrap(), now.len(), "{now:?}");
        for (key, n) in now {
            let source = format!("{}#{key}.png", path.display());
            let record = world.gallery.by_source(&source).unwrap().unwrap().record;
            assert_eq!(record.image().unwrap(), picture(*n), "{now:?}");
            assert_eq!(record.metadata.license, Some(format!("license {n}")), "{now:?}");
        }
    }
}

#[test]
fn a_license_is_the_one_that_is_said_now() {
    let world = World::new();
    let (json, other) = (world.photos().join("a.json"), world.photos().join("a.bmp"));
    fs::write(world.photos().join("a.png"), png(1)).unwrap();
    let now = |text: &str| {
        fs::write(&json, text).unwrap();
        world.build();
        world.license_of("a.png")
    };
    let given = r#"{"license": "CC0-1.0", "author": "me"}"#;
    for text in [
        r#"{"license": "CC0-1.0", "licence": "all rights reserved"}"#,
        r#"{"license": "CC0-1.0""#,
        r#"{"license": ""}"#,
        r#"{"license": null, "author": "me"}"#,
        r#"{"license": 4}"#,
        r#"{"license": "4"}"#,
        r#"{"license": "Unknown"}"#,
        "{}",
        "",
    ] {
        assert_eq!(now(given).as_deref(), Some("CC0-1.0"), "before {text}");
        assert_eq!(now(text), None, "{text}");
    }
    // The text is gone, or could be about another picture.
    now(given);
    picture(2).save(&other).unwrap();
    world.build();
    assert_eq!(world.license_of("a.png"), None);
    fs::remove_file(&other).unwrap();
    assert_eq!(now(given).as_deref(), Some("CC0-1.0"));
    fs::remove_file(&json).unwrap();
    world.build();
    assert_eq!(world.license_of("a.png"), None);
    // A reader that tells nothing.
    now(given);
    world.run([Ok(Item::file(world.photos().join("a.png")))]);
    assert_eq!(world.license_of("a.png"), None);
}

#[test]
fn a_caption_that_was_written_for_a_picture_stays() {
    let world = World::new();
    fs::write(world.photos().join("a.png"), png(1)).unwrap();
    world.build();
    world.gallery.writer().unwrap().set_captions(&[(0, "a bee")]).unwrap();
    world.build();
    let caption = || world.gallery.entry(0).unwrap().unwrap().record.metadata.caption;
    assert_eq!(caption().as_deref(), Some("a bee"));
    fs::write(world.photos().join("a.txt"), "a wasp").unwrap();
    world.build();
    assert_eq!(caption().as_deref(), Some("a wasp"));
}

#[test]
fn copies_whose_licenses_contradict_each_other_have_none() {
    let world = World::new();
    for name in ["a", "b"] {
        fs::write(world.photos().join(format!("{name}.png")), png(1)).unwrap();
    }
    world.license("a", Some("CC0-1.0"));
    world.license("b", Some("all rights reserved"));
    // In one run, and in the next.
    for counts in [(1, 0, 1), (0, 1, 1)] {
        let done = world.build();
        assert_eq!((done.added, done.known, done.rejected), counts);
        assert_eq!(world.license_of("a.png"), None);
        let reasons = world.reasons();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        for said in ["a.png", "b.png", "CC0-1.0", "all rights reserved"] {
            assert!(reasons[0].contains(said), "{reasons:?}");
        }
    }
    // Also where only one of them is seen.
    world.run(Folder::open(world.photos()).unwrap().take(1));
    assert_eq!(world.license_of("a.png"), None);
    // Once they agree, it is theirs.
    world.license("b", Some("cc0-1.0"));
    world.build();
    world.build();
    assert_eq!(world.license_of("a.png").as_deref(), Some("CC0-1.0"));
    assert_eq!(world.reasons(), [""; 0]);
    let json = world.gallery.entry(0).unwrap().unwrap().record.metadata.json;
    assert_eq!(json, None);
}

#[test]
fn a_copy_that_was_added_later_is_compared_too() {
    let world = World::new();
    world.write("m", 1);
    world.build();
    assert_eq!(world.license_of("m.png").as_deref(), Some("license 1"));
    world.write("z", 1);
    world.license("z", None);
    world.build();
    assert_eq!(world.license_of("m.png").as_deref(), Some("license 1"), "it says nothing");
    world.write("a", 1);
    world.license("a", Some("MIT"));
    world.build();
    assert_eq!(world.license_of("m.png"), None);
    // The copy is gone.
    world.remove("a");
    world.build();
    assert_eq!(world.license_of("m.png").as_deref(), Some("license 1"));
    // What only a copy says does not count.
    world.license("m", None);
    world.license("z", Some("MIT"));
    world.build();
    assert_eq!(world.license_of("m.png"), None);
}

#[test]
fn copies_in_a_shard_and_in_memory_are_compared_too() {
    let world = World::new();
    let path = world.photos().join("x.tar");
    let text = |license: &str| format!(r#"{{"license": "{license}"}}"#).into_bytes();
    let (ours, theirs, picture) = (text("CC0-1.0"), text("MIT"), png(1));
    let members: [(&str, &[u8]); 4] =
        [("0.png", &picture), ("0.json", &ours), ("1.png", &picture), ("1.json", &theirs)];
    fs::write(&path, tar(&members)).unwrap();
    for _ in 0..2 {
        let done = world.run(WebDataset::open(&path).unwrap());
        assert_eq!(done.rejected, 1);
        assert_eq!(world.license_of("x.tar#0.png"), None);
    }
    let world = World::new();
    let of = |name: &str, license: &str| {
        let license = Some(license.to_owned());
        let metadata = Metadata { license, ..Metadata::default() };
        Ok(Item::new(name, Content::Bytes(png(1))).with_metadata(metadata))
    };
    assert_eq!(world.run([of("one", "CC0-1.0"), of("two", "MIT")]).rejected, 1);
    assert_eq!(world.run([of("one", "CC0-1.0")]).known, 1);
    let entry = world.gallery.by_source("one").unwrap().unwrap();
    assert_eq!(entry.record.metadata.license, None);
}

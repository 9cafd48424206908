//! Paths that are relative to the gallery: it is moved together with its pictures.

use std::fs;
use std::path::Path;

use futures::executor::block_on;
use imagerag::gallery::ingest::{Content, Folder, Ingest, Item, WebDataset};
use imagerag::gallery::{Depth, Gallery, Rejected};
use imagerag::testing::FakeEmbedder;
use tempfile::tempdir;

use super::support::*;

/// Takes in the pictures of `root/photos` and the shard `root/shards/0.tar`, into `gallery`.
fn take_in(gallery: &Gallery, root: &Path) -> [u64; 4] {
    let ingest = Ingest::into(gallery).with_embedder(FakeEmbedder).with_relative_paths();
    let folder = Folder::open(root.join("photos")).unwrap();
    let shards = WebDataset::open(root.join("shards")).unwrap();
    let own = [Ok(Item::new("own", Content::Image(picture(9))))];
    let bad = [Err(Rejected {
        source: root.join("photos/bad.png").display().to_string(),
        reason: "it is broken".to_owned(),
    })];
    let items = folder.chain(shards).chain(own).chain(bad);
    let done = block_on(ingest.run(items, |_| {})).unwrap();
    [done.added, done.updated, done.known, done.rejected]
}

#[test]
fn a_gallery_moves_with_its_pictures_and_is_known_again() {
    let folder = tempdir().unwrap();
    let (home, away) = (folder.path().join("home"), folder.path().join("away"));
    for name in ["photos/deep", "shards"] {
        fs::create_dir_all(home.join(name)).unwrap();
    }
    fs::write(home.join("photos/1.png"), png(1)).unwrap();
    fs::write(home.join("photos/deep/2.png"), png(2)).unwrap();
    fs::write(home.join("photos/torn.png"), b"no picture").unwrap();
    fs::write(home.join("shards/0.tar"), tar(&[("a/3.png", &png(3))])).unwrap();
    let gallery = block_on(Gallery::open_or_create(home.join("g"), &FakeEmbedder)).unwrap();
    assert_eq!(take_in(&gallery, &home), [4, 0, 0, 2]);
    drop(gallery);
    fs::rename(&home, &away).unwrap();

    let gallery = Gallery::open(away.join("g")).unwrap();
    let sources = ["../photos/1.png", "../photos/deep/2.png", "../shards/0.tar#a/3.png", "own"];
    for (source, n) in sources.into_iter().zip([1, 2, 3, 9]) {
        let entry = gallery.by_source(source).unwrap().unwrap_or_else(|| panic!("{source}"));
        assert_eq!(entry.record.image().unwrap(), picture(n), "{source}");
    }
    assert!(Gallery::verify(gallery.folder(), Depth::Pictures).is_whole());
    let rejected: Vec<String> =
        gallery.rejected().unwrap().into_iter().map(|one| one.source).collect();
    assert_eq!(rejected, ["../photos/bad.png", "../photos/torn.png"]);
    // All of it is known where it is now, and one that was mended leaves the list.
    fs::write(away.join("photos/torn.png"), png(4)).unwrap();
    assert_eq!(take_in(&gallery, &away), [1, 0, 4, 1]);
    assert_eq!(gallery.rejected().unwrap().len(), 1);
    assert_eq!(gallery.count().unwrap(), 5);
}

/// The system follows a link before it goes up: the path is that from where the gallery really is.
#[cfg(unix)]
#[test]
fn a_gallery_behind_a_link_finds_its_pictures() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    for name in ["real/disk", "photos", "shards"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(root.join("real/disk"), root.join("link")).unwrap();
    fs::write(root.join("photos/1.png"), png(1)).unwrap();
    fs::write(root.join("shards/0.tar"), tar(&[("3.png", &png(3))])).unwrap();
    let gallery = block_on(Gallery::open_or_create(root.join("link/g"), &FakeEmbedder)).unwrap();
    assert_eq!(take_in(&gallery, root), [3, 0, 0, 1]);
    let entry = gallery.by_source("../../../photos/1.png").unwrap().unwrap();
    assert_eq!(entry.record.image().unwrap(), picture(1));
    assert!(Gallery::verify(gallery.folder(), Depth::Pictures).is_whole());
}

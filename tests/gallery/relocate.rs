//! Pictures that were moved are found again, and nothing but their places changes.

use std::fs;

use imagerag::gallery::{Depth, Entry, Gallery, Pixels, Rejected};
use imagerag::testing::solid;
use imagerag::{Error, Result};

use crate::support::{empty, picture, record, vector};

/// A gallery of images with these sources, whose pixels are there too.
fn of(sources: &[&str]) -> (tempfile::TempDir, Gallery) {
    let (folder, gallery) = empty();
    let images = sources.iter().enumerate().map(|(n, source)| {
        let mut record = record(n as u64);
        record.source = (*source).to_owned();
        record.pixels = match source.split_once('#') {
            Some((archive, _)) => {
                Pixels::Member { archive: archive.into(), offset: 512, length: 7 }
            }
            None if source.contains("://") => Pixels::Remote,
            None => Pixels::File(source.into()),
        };
        (record, vector(n as u64))
    });
    gallery.writer().unwrap().add(&images.collect::<Vec<_>>()).unwrap();
    (folder, gallery)
}

fn entries(gallery: &Gallery) -> Vec<Entry> {
    gallery.iter().unwrap().map(|image| image.unwrap().0).collect()
}

/// The sources, and the paths of the pixels where there are any.
fn places(gallery: &Gallery) -> Vec<(String, Option<String>)> {
    let place = |entry: Entry| {
        let path = match &entry.record.pixels {
            Pixels::File(path) | Pixels::Member { archive: path, .. } => Some(path),
            _ => None,
        };
        let path = path.map(|path| path.display().to_string());
        (entry.record.source, path)
    };
    entries(gallery).into_iter().map(place).collect()
}

fn relocate(gallery: &Gallery, from: &str, to: &str) -> Result<usize> {
    gallery.writer().unwrap().relocate(from, to)
}

#[test]
fn what_is_below_the_folder_is_below_the_other_and_all_else_stays() {
    let (_folder, gallery) = of(&[
        "/old/photos/a.png",
        "/old/photos/deep/b.png",
        "/old/photos2/c.png",
        "/old/photos/0.tar#x/y.png",
        "https://example.org/old/photos/d.png",
        "/photos/old/photos/e.png",
    ]);
    let before = entries(&gallery);
    assert_eq!(relocate(&gallery, "/old/photos/", "/new").unwrap(), 3);
    let path = |path: &str| (path.to_owned(), Some(path.to_owned()));
    let expected = [
        path("/new/a.png"),
        path("/new/deep/b.png"),
        path("/old/photos2/c.png"),
        ("/new/0.tar#x/y.png".to_owned(), Some("/new/0.tar".to_owned())),
        ("https://example.org/old/photos/d.png".to_owned(), None),
        path("/photos/old/photos/e.png"),
    ];
    assert_eq!(places(&gallery), expected);
    // Back again, all is as it was; what is not there moves nothing and changes nothing.
    assert_eq!(relocate(&gallery, "/new", "/old/photos").unwrap(), 3);
    assert_eq!(entries(&gallery), before);
    assert_eq!(relocate(&gallery, "/nowhere", "/new").unwrap(), 0);
    // One file, and an address.
    assert_eq!(relocate(&gallery, "/old/photos/a.png", "/z.png").unwrap(), 1);
    assert_eq!(relocate(&gallery, "https://example.org/old", "https://example.com").unwrap(), 1);
    let sources: Vec<String> = entries(&gallery).into_iter().map(|e| e.record.source).collect();
    assert_eq!([&*sources[0], &*sources[4]], ["/z.png", "https://example.com/photos/d.png"]);
}

#[test]
fn a_source_that_another_image_has_is_refused_and_nothing_is_changed() {
    let (_folder, gallery) = of(&["/a/1.png", "/a/2.png", "/b/2.png"]);
    let before = entries(&gallery);
    let error = relocate(&gallery, "/a", "/b").unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("/a/2.png") && said.contains("/b/2.png"), "{said}");
    assert!(said.contains("image 2"), "{said}");
    assert_eq!(entries(&gallery), before);
    let error = relocate(&gallery, "", "/b").unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    // A source that moves away itself is free.
    let (_folder, gallery) = of(&["/a/2.png", "/a/a/2.png"]);
    assert_eq!(relocate(&gallery, "/a", "/a/a").unwrap(), 2);
    let sources: Vec<String> = entries(&gallery).into_iter().map(|e| e.record.source).collect();
    assert_eq!(sources, ["/a/a/2.png", "/a/a/a/2.png"]);
}

#[test]
fn the_list_of_rejected_images_moves_too() {
    let (_folder, gallery) = of(&["/a/1.png"]);
    let rejected =
        |source: &str| Rejected { source: source.to_owned(), reason: "broken".to_owned() };
    gallery.writer().unwrap().reject(&[rejected("/a/x.png"), rejected("/b/y.png")]).unwrap();
    assert_eq!(relocate(&gallery, "/a", "/c").unwrap(), 1);
    assert_eq!(gallery.rejected().unwrap(), [rejected("/b/y.png"), rejected("/c/x.png")]);
}

/// Absolute paths become relative to the gallery, which then moves with its pictures, and back.
#[test]
fn paths_relative_to_the_gallery_hold_when_both_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (home, away) = (root.join("home"), root.join("away"));
    fs::create_dir_all(home.join("photos")).unwrap();
    let (_temporary, gallery) = empty();
    fs::rename(gallery.folder(), home.join("g")).unwrap();
    let gallery = Gallery::open(home.join("g")).unwrap();
    let (record, _) = picture(&home.join("photos"), "bee", &solid(4, 4, [9, 9, 9]));
    gallery.writer().unwrap().add(&[(record.clone(), vector(0))]).unwrap();
    let photos = home.join("photos");
    assert_eq!(gallery.writer().unwrap().relocate(&photos, "../photos").unwrap(), 1);
    drop(gallery);
    fs::rename(&home, &away).unwrap();
    let gallery = Gallery::open(away.join("g")).unwrap();
    let entry = gallery.by_source("../photos/bee.png").unwrap().unwrap();
    assert_eq!(entry.record.image().unwrap(), solid(4, 4, [9, 9, 9]));
    assert!(Gallery::verify(gallery.folder(), Depth::Pictures).is_whole());
    // What is relative is not below an absolute folder.
    assert_eq!(gallery.writer().unwrap().relocate(&away, "/nowhere").unwrap(), 0);
    let photos = away.join("photos");
    assert_eq!(gallery.writer().unwrap().relocate("../photos", &photos).unwrap(), 1);
    let entry = entries(&gallery).remove(0);
    assert_eq!(entry.record.pixels, Pixels::File(photos.join("bee.png")));
    assert_eq!(entry.record.source, photos.join("bee.png").display().to_string());
}

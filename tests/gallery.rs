//! A gallery keeps every image it acknowledged, finds it, and says what is wrong where it cannot.

mod gallery_support;

use futures::executor::block_on;
use imagerag::gallery::{Added, Gallery, GalleryRetriever, Pixels, Rejected, SearchOptions};
use imagerag::retriever::{Caption, Embedding, Filter, Metadata};
use imagerag::testing::{FakeEmbedder, conformance, solid};
use imagerag::{Error, Retriever};

use gallery_support::{empty, filled, picture, record, vector};

/// The sizes at which the paper's release loses images (official code, A.7 item 3).
#[test]
fn finds_every_image_whatever_the_number() {
    for count in [1, 3_000, 4_096, 5_000, 10_000] {
        let (_folder, gallery) = filled(count, 997);
        assert_eq!(gallery.count().unwrap(), count as usize);
        let reopened = Gallery::open(gallery.folder()).unwrap();
        let search = |n: u64, limit| {
            reopened.search(&[vector(n)], &SearchOptions::new(limit)).unwrap().remove(0)
        };
        let mut all = search(0, count as usize);
        all.sort_by_key(|found| found.entry.id);
        assert!(all.iter().map(|found| found.entry.id).eq(0..count), "of {count}");
        assert!(all.iter().all(|found| found.entry.record == record(found.entry.id)));
        // By its own vector: some of all, and the whole tail.
        for n in (0..count).filter(|n| n % 61 == 0 || n + 70 > count) {
            assert_eq!(search(n, 1)[0].entry.id, n, "of {count}");
        }
    }
}

#[test]
fn each_content_is_there_once_and_its_record_is_kept_up() {
    let (_folder, gallery) = empty();
    let mut writer = gallery.writer().unwrap();
    let add = |writer: &mut imagerag::gallery::GalleryWriter, record, n| {
        writer.add(&[(record, vector(n))]).unwrap()[0]
    };
    assert_eq!(add(&mut writer, record(0), 0), Added::New(0));
    writer.set_captions(&[(0, "written later")]).unwrap();
    // The same again, now with an author: what it does not say stays.
    let mut again = record(0);
    again.metadata = Metadata { author: Some("Ada".into()), ..Metadata::default() };
    assert_eq!(add(&mut writer, again, 0), Added::Known(0));
    let entry = gallery.entry(0).unwrap().unwrap();
    assert_eq!(entry.record.metadata.author.as_deref(), Some("Ada"));
    assert_eq!(entry.record.metadata.caption.as_deref(), Some("written later"));
    assert_eq!(entry.record.metadata.licence, record(0).metadata.licence);
    // The same content from a second source, while the first is there.
    let there = gallery.folder().join("catalog.sqlite");
    let mut first = record(1);
    first.pixels = Pixels::File(there);
    assert_eq!(add(&mut writer, first.clone(), 1), Added::New(1));
    let mut copy = first;
    copy.source = "copy".into();
    assert_eq!(add(&mut writer, copy.clone(), 1), Added::Known(1));
    assert!(gallery.by_source("copy").unwrap().is_none());
    // From a second source, after the first has gone.
    let mut moved = record(0);
    moved.source = "moved".into();
    assert_eq!(add(&mut writer, moved, 0), Added::Known(0));
    assert_eq!(gallery.by_source("moved").unwrap().unwrap().id, 0);
    // Other content at a source that is known.
    let mut edited = record(2);
    edited.source = "moved".into();
    assert_eq!(add(&mut writer, edited, 2), Added::Updated { id: 2, old: 0 });
    assert_eq!(gallery.count().unwrap(), 2);
    assert!(gallery.by_hash(&record(0).hash).unwrap().is_none());
    // Twice in one batch.
    let twice = [(record(3), vector(3)), (record(3), vector(3))];
    assert_eq!(writer.add(&twice).unwrap(), [Added::New(3), Added::Known(3)]);
    drop(writer);
    assert_eq!(Gallery::open(gallery.folder()).unwrap().count().unwrap(), 3);
}

#[test]
fn a_removed_image_is_not_found_until_it_is_added_again() {
    let (_folder, gallery) = filled(20, 7);
    let mut writer = gallery.writer().unwrap();
    assert_eq!(writer.remove(&[3, 3, 99]).unwrap(), 1);
    let best = |gallery: &Gallery| {
        gallery.search(&[vector(3)], &SearchOptions::new(50)).unwrap().remove(0)
    };
    for gallery in [&gallery, &Gallery::open(gallery.folder()).unwrap()] {
        assert_eq!(best(gallery).len(), 19);
        assert!(best(gallery).iter().all(|found| found.entry.id != 3));
    }
    assert_eq!(writer.add(&[(record(3), vector(3))]).unwrap(), [Added::New(20)]);
    assert_eq!(best(&gallery)[0].entry.id, 20);
}

#[test]
fn only_what_the_filter_lets_through_is_found() {
    let (_folder, gallery) = filled(300, 64);
    let filter = Filter::all().licences(["CC0-1.0"]).field("even", true);
    let options = SearchOptions::new(300).with_filter(filter.clone());
    let found = gallery.search(&[vector(5)], &options).unwrap().remove(0);
    let mut ids: Vec<u64> = found.iter().map(|found| found.entry.id).collect();
    ids.sort_unstable();
    let allowed = |n: &u64| filter.matches(&record(*n).metadata);
    assert_eq!(ids, (0..300).filter(allowed).collect::<Vec<_>>());
    assert!(!ids.is_empty());
    // What becomes of an image counts at once.
    let id = ids[0];
    gallery.writer().unwrap().describe(&[(id, Metadata::default())]).unwrap();
    let found = gallery.search(&[vector(id)], &options).unwrap().remove(0);
    assert!(found.len() == ids.len() - 1 && found.iter().all(|found| found.entry.id != id));
}

#[test]
fn near_duplicates_of_a_better_image_are_left_out() {
    let (_folder, gallery) = filled(50, 50);
    let mut writer = gallery.writer().unwrap();
    let nearly = |n: u64, by: f32| {
        let mut values = vector(n).values().to_vec();
        values[0] += by;
        Embedding::new(values).unwrap()
    };
    let copies: Vec<_> =
        (0..30).map(|n| (record(100 + n), nearly(7, 0.001 * (n + 1) as f32))).collect();
    writer.add(&copies).unwrap();
    let options = SearchOptions::new(5).without_near_duplicates(0.99);
    let found = gallery.search(&[vector(7)], &options).unwrap().remove(0);
    assert_eq!(found[0].entry.id, 7);
    assert_eq!(found.iter().filter(|found| found.entry.id >= 50).count(), 0);
    assert_eq!(found.len(), 5);
    for threshold in [0.0, 1.01, f32::NAN] {
        let options = SearchOptions::new(5).without_near_duplicates(threshold);
        assert!(matches!(gallery.search(&[vector(7)], &options), Err(Error::InvalidInput { .. })));
    }
}

#[test]
fn nothing_and_too_much_may_be_asked_for() {
    let (_folder, gallery) = empty();
    let best = |limit| gallery.search(&[vector(0)], &SearchOptions::new(limit)).unwrap().remove(0);
    assert!(best(3).is_empty());
    gallery.writer().unwrap().add(&[(record(0), vector(0)), (record(1), vector(1))]).unwrap();
    assert!(best(0).is_empty());
    assert_eq!(best(1_000).len(), 2);
    assert!(gallery.search(&[], &SearchOptions::new(1)).unwrap().is_empty());
    let short = Embedding::new([1.0]).unwrap();
    let error = gallery.search(&[short], &SearchOptions::new(1)).unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
}

#[test]
fn a_batch_that_does_not_fit_changes_nothing() {
    let (_folder, gallery) = empty();
    let mut writer = gallery.writer().unwrap();
    let good = (record(0), vector(0));
    let named = |mut change: imagerag::gallery::ImageRecord| {
        change.source = "named".into();
        change
    };
    let mut no_json = named(record(1));
    no_json.metadata.json = Some("[1]".into());
    let mut no_width = named(record(1));
    no_width.metadata.width = Some(0);
    let cases = [
        (no_json, vector(1)),
        (no_width, vector(1)),
        (named(record(1)), Embedding::new([1.0]).unwrap()),
    ];
    for bad in cases {
        let error = writer.add(&[good.clone(), bad]).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
        assert!(error.to_string().contains("named"), "{error}");
    }
    assert!(writer.describe(&[(9, Metadata::default())]).is_err());
    assert_eq!(gallery.count().unwrap(), 0);
    assert_eq!(writer.add(&[good]).unwrap(), [Added::New(0)]);
}

#[test]
fn rejected_images_are_listed_until_they_are_added() {
    let (_folder, gallery) = empty();
    let mut writer = gallery.writer().unwrap();
    let rejected = Rejected { source: record(0).source, reason: "no picture".into() };
    writer.reject(std::slice::from_ref(&rejected)).unwrap();
    assert_eq!(gallery.rejected().unwrap(), [rejected]);
    writer.add(&[(record(0), vector(0))]).unwrap();
    assert!(gallery.rejected().unwrap().is_empty());
}

#[test]
fn a_second_writer_is_refused_at_once() {
    let (_folder, gallery) = empty();
    let first = gallery.writer().unwrap();
    let error = Gallery::open(gallery.folder()).unwrap().writer().unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("another writer"), "{error}");
    drop(first);
    gallery.writer().unwrap();
}

#[test]
fn every_image_comes_with_its_vector() {
    let (_folder, gallery) = filled(2_500, 400);
    gallery.writer().unwrap().remove(&[0, 1_024, 2_499]).unwrap();
    let all: Vec<_> = gallery.iter().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(all.len(), 2_497);
    for (entry, row) in all {
        assert_eq!(entry.record, record(entry.id));
        assert!(row.similarity(&vector(entry.id)) > 0.999_999);
    }
}

#[test]
fn another_encoder_is_refused_by_both_names() {
    let (_folder, gallery) = empty();
    let error = block_on(GalleryRetriever::new(gallery, FakeEmbedder)).unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("a test") && said.contains("FakeEmbedder"), "{said}");
}

#[test]
fn retrieves_references_with_their_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let gallery = block_on(Gallery::open_or_create(&path, &FakeEmbedder)).unwrap();
    let mut writer = gallery.writer().unwrap();
    for (name, rgb) in [("red", [200, 0, 0]), ("green", [0, 200, 0]), ("blue", [0, 0, 200])] {
        let image = solid(8, 8, rgb);
        writer.add(&[picture(folder.path(), name, &image)]).unwrap();
    }
    let gallery = block_on(Gallery::open_or_create(&path, &FakeEmbedder)).unwrap();
    let retriever = block_on(GalleryRetriever::new(gallery, FakeEmbedder)).unwrap();
    let found = block_on(retriever.retrieve(&[Caption::concept("a green one")], 2)).unwrap();
    assert_eq!(found[0][0].image, solid(8, 8, [0, 200, 0]));
    assert_eq!(found[0][0].provenance.licence.as_deref(), Some("CC0-1.0"));
    assert_eq!(found[0][0].provenance.retriever, "Gallery(FakeEmbedder, Flat)");
    let captions = ["a red one", "blue", "something else"].map(Caption::concept);
    block_on(conformance::retriever(&retriever, &captions));
    // A file that is another by now is not taken for the one that was added.
    solid(8, 8, [1, 1, 1]).save(folder.path().join("green.png")).unwrap();
    let error = block_on(retriever.retrieve(&[Caption::concept("green")], 1)).unwrap_err();
    assert!(matches!(error, Error::InvalidFile { .. }), "{error}");
}

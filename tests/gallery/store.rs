//! Images come, change, go and are numbered anew; each is there once and the files hold just them.

use futures::executor::block_on;
use imagerag::Error;
use imagerag::embedder::Embedding;
use imagerag::gallery::{
    Added, Depth, Gallery, GalleryWriter, ImageRecord, Pixels, Rejected, SearchOptions,
};
use imagerag::reference::Metadata;
use imagerag::testing::{FakeEmbedder, solid};

use crate::support::{DIM, empty, filled, picture, record, vector};

#[test]
fn each_content_is_there_once_and_its_record_is_kept_up() {
    let (_folder, gallery) = empty();
    let mut writer = gallery.writer().unwrap();
    let add =
        |writer: &mut GalleryWriter, record, n| writer.add(&[(record, vector(n))]).unwrap()[0];
    assert_eq!(add(&mut writer, record(0), 0), Added::New(0));
    writer.set_captions(&[(0, "written later")]).unwrap();
    // The same again, now with an author: a caption that it does not have stays.
    let mut again = record(0);
    again.metadata = Metadata { author: Some("Ada".into()), ..Metadata::default() };
    assert_eq!(add(&mut writer, again, 0), Added::Known(0));
    let entry = gallery.entry(0).unwrap().unwrap();
    assert_eq!(entry.record.metadata.author.as_deref(), Some("Ada"));
    assert_eq!(entry.record.metadata.caption.as_deref(), Some("written later"));
    assert_eq!(entry.record.metadata.license, record(0).metadata.license);
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
        block_on(gallery.search(&[vector(3)], &SearchOptions::new(50))).unwrap().remove(0)
    };
    for gallery in [&gallery, &Gallery::open(gallery.folder()).unwrap()] {
        assert_eq!(best(gallery).len(), 19);
        assert!(best(gallery).iter().all(|found| found.entry.id != 3));
    }
    assert_eq!(writer.add(&[(record(3), vector(3))]).unwrap(), [Added::New(20)]);
    assert_eq!(best(&gallery)[0].entry.id, 20);
}

#[test]
fn a_batch_that_does_not_fit_changes_nothing() {
    let (_folder, gallery) = empty();
    let mut writer = gallery.writer().unwrap();
    let good = (record(0), vector(0));
    let named = |mut change: ImageRecord| {
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
        assert!(error.chain().to_string().contains("named"), "{error}");
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
    assert!(error.chain().to_string().contains("another writer"), "{error}");
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
fn compacting_gives_space_back_and_keeps_every_image() {
    let (_folder, gallery) = filled(3_000, 700);
    let own = Gallery::open(gallery.folder()).unwrap();
    let gone: Vec<u64> = (0..3_000).filter(|n| n % 3 == 1).collect();
    let mut writer = gallery.writer().unwrap();
    assert_eq!(writer.compact().unwrap(), 0);
    writer.remove(&gone).unwrap();
    let mut pages = gallery.iter().unwrap();
    pages.next().unwrap().unwrap();
    assert_eq!(writer.compact().unwrap(), 1_000);
    assert!(matches!(pages.last().unwrap(), Err(Error::Unavailable { .. })));
    writer.add(&[(record(1), vector(1))]).unwrap();
    drop(writer);
    for gallery in [&gallery, &own, &Gallery::open(gallery.folder()).unwrap()] {
        let stats = gallery.stats().unwrap();
        assert_eq!((stats.images, stats.removed), (2_001, 0));
        assert_eq!(stats.vector_bytes, 2_001 * DIM as u64 * 4);
        for (row, image) in gallery.iter().unwrap().enumerate() {
            let (entry, embedding) = image.unwrap();
            let n = if row == 2_000 { 1 } else { row as u64 / 2 * 3 + row as u64 % 2 * 2 };
            assert_eq!((entry.id, &entry.record), (row as u64, &record(n)));
            assert!(embedding.similarity(&vector(n)) > 0.999_999);
        }
        let found = block_on(gallery.search(&[vector(2_999)], &SearchOptions::new(1))).unwrap();
        assert_eq!(found[0][0].entry.id, 1_999);
    }
    let files = std::fs::read_dir(gallery.folder()).unwrap();
    let vectors = files.filter(|f| f.as_ref().unwrap().path().extension() == Some("f32".as_ref()));
    assert_eq!(vectors.count(), 1);
}

#[test]
fn exports_what_other_programs_read() {
    let (folder, gallery) = filled(1_500, 500);
    gallery.writer().unwrap().remove(&[0]).unwrap();
    let to = folder.path().join("exported");
    assert_eq!(gallery.export(&to).unwrap(), 1_499);
    let lines = std::fs::read_to_string(to.join("images.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1_499);
    assert_eq!(lines[3]["source"], "nowhere/4.png");
    assert_eq!((&lines[3]["path"], &lines[3]["offset"]), (&"nowhere.tar".into(), &2048.into()));
    assert_eq!(lines[3]["json"]["even"], true);
    let npy = std::fs::read(to.join("vectors.npy")).unwrap();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1499, 24), }";
    assert_eq!(&npy[..10], b"\x93NUMPY\x01\x00\x76\x00");
    assert_eq!(std::str::from_utf8(&npy[10..128]).unwrap(), format!("{header:117}\n"));
    assert_eq!(npy.len(), 128 + 1_499 * DIM * 4);
    assert_eq!(npy[128..132], vector(1).values()[0].to_le_bytes());
    assert!(matches!(gallery.export(&to), Err(Error::InvalidInput { .. })));
}

#[test]
fn verifying_looks_for_every_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let gallery = block_on(Gallery::open_or_create(&path, &FakeEmbedder)).unwrap();
    let images = [("a", 1), ("b", 2), ("c", 3)]
        .map(|(name, blue)| picture(folder.path(), name, &solid(4, 4, [9, 9, blue])));
    gallery.writer().unwrap().add(&images).unwrap();
    let problems = |depth| Gallery::verify(&path, depth).problems;
    assert!(problems(Depth::Pictures).is_empty());
    std::fs::remove_file(folder.path().join("a.png")).unwrap();
    solid(4, 4, [0, 0, 0]).save(folder.path().join("b.png")).unwrap();
    let shallow = problems(Depth::Gallery);
    assert_eq!(shallow.len(), 1, "{shallow:?}");
    assert!(shallow[0].to_string().contains("a.png"));
    let deep = problems(Depth::Pictures);
    assert_eq!(deep.len(), 2, "{deep:?}");
    assert!(deep[1].to_string().contains("b.png"));
    assert_eq!(Gallery::verify(&path, Depth::Gallery).images, 3);
}

#[test]
fn several_that_create_one_gallery_all_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let together = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        let open = || {
            together.wait();
            let gallery = futures::executor::block_on(Gallery::open_or_create(
                &path,
                &imagerag::testing::FakeEmbedder,
            ));
            gallery.map(|gallery| gallery.count().unwrap()).map_err(|error| error.to_string())
        };
        let all: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        for one in all {
            assert_eq!(one.join().unwrap(), Ok(0));
        }
    });
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let named = imagerag::gallery::Fingerprint::named("another", 2).unwrap();
    let error = Gallery::create(&path, &named).unwrap_err().to_string();
    assert!(error.contains("expected an empty folder"), "{error}");
}

//! A FAISS index that is saved with its gallery, and used for that gallery alone.

use futures::executor::block_on;
use std::fs;

use imagerag::Error;
use imagerag::embedder::Embedding;
use imagerag::gallery::{Depth, Gallery, SearchOptions};
use imagerag::index::FaissIndex;
use imagerag::reference::Filter;

use crate::support::{DIM, filled, record, vector};

fn options() -> [SearchOptions; 3] {
    let licensed = Filter::all().licenses(["CC0-1.0"]);
    [
        SearchOptions::new(3),
        SearchOptions::new(3).with_filter(licensed),
        SearchOptions::new(3).without_near_duplicates(0.9),
    ]
}

#[test]
fn a_saved_index_finds_what_the_vectors_do() {
    let (_folder, gallery) = filled(2_000, 500);
    gallery.writer().unwrap().remove(&[5]).unwrap();
    let queries: Vec<Embedding> = (0..100).map(|n| vector(20 * n)).collect();
    for factory in ["Flat", "IVF16,Flat", "HNSW16", "IVF16,PQ8np"] {
        let builder = match (FaissIndex::builder(DIM, factory), &factory[..3]) {
            (builder, "IVF") => builder.nprobe(16),
            (builder, "HNS") => builder.ef_search(128),
            (builder, _) => builder,
        };
        gallery.build_index(builder).unwrap();
        let opened = Gallery::open(gallery.folder()).unwrap();
        let indexed = opened.with_faiss(opened.saved_index().unwrap()).unwrap();
        for options in options() {
            let exact = block_on(gallery.search(&queries, &options)).unwrap();
            let found = block_on(indexed.search(&queries, &options)).unwrap();
            let pairs = || exact.iter().zip(&found);
            let hits = pairs().filter(|(a, b)| a == b).count();
            let least = if factory.contains("PQ") { 60 } else { 98 };
            assert!(hits >= least, "{factory}: {hits} of 100 are the same");
            let best = pairs().filter(|(a, b)| a[0] == b[0]).count();
            assert!(best >= 98, "{factory}: the best of {best} of 100 is the same");
        }
    }
    let files = fs::read_dir(gallery.folder().join("index")).unwrap().count();
    assert_eq!(files, 2, "index.json and the last index");
}

#[test]
fn images_of_after_the_index_are_found_and_removed_ones_are_not() {
    let (_folder, gallery) = filled(300, 300);
    gallery.build_index(FaissIndex::builder(DIM, "HNSW16")).unwrap();
    let indexed = gallery.with_faiss(gallery.saved_index().unwrap()).unwrap();
    let mut writer = gallery.writer().unwrap();
    writer.add(&(300..400).map(|n| (record(n), vector(n))).collect::<Vec<_>>()).unwrap();
    writer.remove(&[7, 350]).unwrap();
    for gallery in [&indexed, &gallery.with_faiss(gallery.saved_index().unwrap()).unwrap()] {
        for n in [6, 7, 299, 300, 350, 399] {
            let found = block_on(gallery.search(&[vector(n)], &SearchOptions::new(1))).unwrap();
            assert_eq!(found[0][0].entry.id == n, n != 7 && n != 350, "image {n}");
        }
    }
}

#[test]
fn a_stale_or_damaged_index_is_named() {
    let (_folder, gallery) = filled(60, 20);
    assert!(matches!(gallery.saved_index(), Err(Error::Io { .. })));
    gallery.build_index(FaissIndex::builder(DIM, "Flat")).unwrap();
    let folder = gallery.folder().join("index");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    let is_index = |error: &Error| error.chain().to_string().contains("/index/");
    let problems = || Gallery::verify(gallery.folder(), Depth::Gallery).problems;
    for path in files {
        let whole = fs::read(&path).unwrap();
        let step = whole.len() / 60 + 1;
        let flips = (0..whole.len()).step_by(step).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        let cuts = (0..whole.len()).step_by(step).map(|length| whole[..length].to_vec());
        for bytes in flips.chain(cuts) {
            fs::write(&path, bytes).unwrap();
            // A flip may leave the note's meaning as it was, never the index.
            match gallery.saved_index() {
                Ok(_) => assert!(path.ends_with("index.json")),
                Err(error) => {
                    assert!(is_index(&error), "{error}");
                    assert!(problems().iter().any(is_index));
                }
            }
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(gallery.saved_index().is_ok() && !problems().iter().any(is_index));
    // Another gallery's, of as many vectors.
    let (_other_folder, other) = filled(60, 60);
    fs::create_dir(other.folder().join("index")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), other.folder().join("index").join(entry.file_name())).unwrap();
    }
    let error = other.saved_index().unwrap_err().chain().to_string();
    assert!(error.contains("hash of the vectors") && error.contains("build the index"), "{error}");
    // Of images that have other numbers by now.
    let kept = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), kept.path().join(entry.file_name())).unwrap();
    }
    let mut writer = gallery.writer().unwrap();
    writer.remove(&[1]).unwrap();
    writer.compact().unwrap();
    assert!(!folder.exists());
    fs::rename(kept.path(), &folder).unwrap();
    let error = gallery.saved_index().unwrap_err().chain().to_string();
    assert!(error.contains("generation") && error.contains("build the index"), "{error}");
}

//! Every reader on damaged and hostile input: named, never a panic, and what is good is kept.

use std::fs;
use std::path::Path;

use half::f16;
use imagerag::Error;
use imagerag::gallery::ingest::{ClipRetrieval, Folder, WebDataset};
use imagerag::reference::Metadata;
use tempfile::tempdir;

use super::support::*;

/// Numbers that are the same on every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    /// `bytes` with some of them changed, and perhaps cut.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if self.next(4) == 0 {
            bytes.truncate(self.next(bytes.len()));
        }
        for _ in 0..self.next(8) {
            if let Some(length) = (!bytes.is_empty()).then_some(bytes.len()) {
                let at = self.next(length);
                bytes[at] = match self.next(3) {
                    0 => 0xff,
                    1 => 0,
                    _ => self.next(256) as u8,
                };
            }
        }
        bytes
    }
}

#[test]
fn metadata_that_makes_no_sense_is_named_and_costs_no_picture() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    assert!(matches!(Folder::open(root.join("none")), Err(Error::Io { .. })));
    for (text, said) in [("{", "catalog"), (r#"[{"n": 1}]"#, "file"), (r#"[{"file": 3}]"#, "file")]
    {
        fs::write(root.join("catalog.json"), text).unwrap();
        let (items, rejected) = sort(Folder::open(root).unwrap());
        assert_eq!((items.len(), rejected.len()), (0, 1));
        assert!(rejected[0].contains(said) && rejected[0].contains("catalog.json"), "{rejected:?}");
    }
    fs::write(root.join("catalog.json"), "[]").unwrap();
    // A picture of this name does not take the catalog for its notes.
    fs::write(root.join("catalog.png"), png(0)).unwrap();
    fs::write(root.join("a.png"), png(1)).unwrap();
    fs::write(root.join("a.json"), "[1, 2]").unwrap();
    fs::write(root.join("b.png"), png(2)).unwrap();
    fs::write(root.join("b.txt"), b"caf\xe9").unwrap();
    let (items, rejected) = sort(Folder::open(root).unwrap());
    let names: Vec<_> = items.iter().map(|item| item.source.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["a.png", "b.png", "catalog.png"]);
    assert_eq!(items[0].metadata, Metadata::default());
    assert_eq!(items[1].metadata.caption.as_deref(), Some("caf\u{fffd}"));
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].contains("a.json: metadata: expected a JSON object"), "{rejected:?}");
}

#[test]
fn names_that_lead_out_of_an_archive_are_refused_one_by_one() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("bad.tar");
    let bytes = png(1);
    let mut archive = tar::Builder::new(Vec::new());
    let bad =
        ["../../x.png", "/etc/x.png", "a/../../x.png", "C:\\x.png", "a\\..\\x.png", "a//x.png"];
    append(&mut archive, "good/1.png", &bytes, tar::EntryType::Regular);
    for name in bad {
        append(&mut archive, name, &bytes, tar::EntryType::Regular);
    }
    append(&mut archive, "link.png", b"", tar::EntryType::Symlink);
    append(&mut archive, "hard.png", b"", tar::EntryType::Link);
    append(&mut archive, "device.png", b"", tar::EntryType::Block);
    append(&mut archive, "folder", b"", tar::EntryType::Directory);
    append(&mut archive, "good/2.png", &bytes, tar::EntryType::Regular);
    fs::write(&path, archive.into_inner().unwrap()).unwrap();
    let (items, rejected) = sort(WebDataset::open(&path).unwrap());
    assert_eq!(items.len(), 2);
    assert_eq!(rejected.len(), bad.len() + 3);
    for (rejected, name) in
        rejected.iter().zip(bad.iter().chain(&["link.png", "hard.png", "device.png"]))
    {
        let named = format!("member {name:?}: expected a file in the archive");
        assert!(rejected.contains(&named), "{rejected}");
    }
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "nothing is unpacked");
}

#[test]
fn a_shard_cut_at_any_place_loses_only_its_tail() {
    let folder = tempdir().unwrap();
    let whole = fs::read(fixture("shards/00000.tar")).unwrap();
    let mut most = 0;
    let blocks = (0..=whole.len()).step_by(512);
    for cut in blocks.flat_map(|block| [block, block + 1, block + 300]) {
        let cut = cut.min(whole.len());
        fs::write(folder.path().join("s.tar"), &whole[..cut]).unwrap();
        let (items, rejected) = sort(WebDataset::open(folder.path()).unwrap());
        // Never fewer than at an earlier cut, always with everything that belongs to them.
        assert!(items.len() >= most, "{} images at {cut}, {most} before", items.len());
        most = items.len();
        for item in &items {
            assert!(item.metadata.origin.is_some(), "{item:?} at {cut}");
        }
        if items.len() < 4 {
            assert_eq!(rejected.len(), 1, "the cut at {cut} is named");
            assert!(rejected[0].contains("s.tar"), "{rejected:?}");
            assert!(rejected[0].contains("expected more of a tar archive"), "{rejected:?}");
        }
    }
    assert_eq!(most, 4);
}

#[test]
fn a_broken_shard_costs_the_others_nothing() {
    let folder = tempdir().unwrap();
    let bytes = png(1);
    fs::write(folder.path().join("0.tar"), tar(&[("1.png", &bytes)])).unwrap();
    fs::write(folder.path().join("1.tar"), b"no archive at all").unwrap();
    fs::write(folder.path().join("2.tar"), b"").unwrap();
    fs::create_dir(folder.path().join("3.tar")).unwrap();
    let members: [(&str, &[u8]); 4] =
        [("1.png", &bytes), ("1.json", b"{"), ("2.png", &bytes), ("2.json", b"{\"n\": 1}")];
    fs::write(folder.path().join("4.tar"), tar(&members)).unwrap();
    let (items, rejected) = sort(WebDataset::open(folder.path()).unwrap());
    assert_eq!(items.len(), 3, "a picture comes without metadata that is not understood");
    let named = ["1.tar", "2.tar", "3.tar", "4.tar: 1.json: expected a JSON object"];
    assert_eq!(rejected.len(), named.len(), "{rejected:?}");
    assert!(rejected.iter().zip(named).all(|(found, name)| found.contains(name)), "{rejected:?}");

    let empty = tempdir().unwrap();
    let error = WebDataset::open(empty.path()).unwrap_err().chain().to_string();
    assert!(error.starts_with("shards: expected at least one .tar file"), "{error}");
    assert!(matches!(WebDataset::open(empty.path().join("no.tar")), Err(Error::Io { .. })));
}

/// A folder as clip-retrieval's, with these embeddings and captions of these rows.
fn output(root: &Path, embeddings: &[u8], columns: &[(&str, &[&str])]) {
    for name in ["img_emb", "metadata"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::write(root.join("img_emb/img_emb_0.npy"), embeddings).unwrap();
    parquet(&root.join("metadata/metadata_0.parquet"), columns);
}

const URLS: [&str; 3] = ["https://x/0", "https://x/1", "https://x/2"];

#[test]
fn embeddings_of_another_form_are_errors_that_name_file_expected_and_found() {
    let values = [0.5_f32; 6];
    let good = npy(&[3, 2], &values);
    let with = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = good.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (npy(&[3, 2], &[0.5_f64; 6]), "dtype: expected <f2 or <f4, found <f8"),
        (npy(&[3, 2], &[1_i32; 6]), "dtype: expected <f2 or <f4, found <i4"),
        (with("'<f4'", "'>f4'"), "dtype: expected <f2 or <f4, found >f4"),
        (with("'<f4'", "'|O8'"), "dtype: expected <f2 or <f4, found |O8"),
        (with("'<f4'", "[('a'"), "dtype: expected <f2 or <f4, found [('a'"),
        (with("False", "True "), "order: expected C, found Fortran"),
        (with("False", "Maybe"), "fortran_order: expected True or False"),
        (npy(&[6], &values), "shape: expected [n, dim], found 1 dimensions"),
        (npy(&[3, 1, 2], &values), "shape: expected [n, dim], found 3 dimensions"),
        (npy(&[3, 0], &values[..0]), "dim: expected 1 to 65535 values, found 0"),
        (npy(&[2, 2], &values[..4]), "rows: expected 2, as in"),
        (good[..good.len() - 1].to_vec(), "length for 3 rows of 2: expected 152 bytes, found 151"),
        (good[..20].to_vec(), "header: expected a NumPy file, found its end"),
        (b"PK\x03\x04 this is an .npz".to_vec(), "header: expected a NumPy file of version 1 to 3"),
        (Vec::new(), "header: expected a NumPy file, found its end"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff".to_vec(), "header: expected at most 65536 bytes"),
        (with("'shape'", "'share'"), "header: expected descr, fortran_order and shape"),
        (with("(3, 2, )", "(3, x, )"), "shape: expected [n, dim], found (3, x, )"),
        (with("(3, 2, )", "(-3, 2 )"), "shape: expected [n, dim], found (-3, 2 )"),
    ];
    for (bytes, said) in cases {
        let folder = tempdir().unwrap();
        output(folder.path(), &bytes, &[("url", &URLS)]);
        let error = ClipRetrieval::open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::InvalidFile { .. }), "{error}");
        assert!(error.chain().to_string().contains(said), "{said}: {error}");
    }
    // A shape whose product overflows, in the place of the padding.
    let huge = "(4611686018427387904, 60000), }";
    let mut bytes = good.clone();
    let at = good.windows(8).position(|w| w == b"(3, 2, )").unwrap();
    bytes[at..at + huge.len()].copy_from_slice(huge.as_bytes());
    let folder = tempdir().unwrap();
    output(folder.path(), &bytes, &[("url", &URLS)]);
    let error = ClipRetrieval::open(folder.path()).unwrap_err().chain().to_string();
    assert!(error.contains("rows of 60000: expected less"), "{error}");
}

#[test]
fn files_that_are_missing_or_do_not_fit_are_named() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    assert!(matches!(ClipRetrieval::open(root), Err(Error::Io { .. })));
    let embeddings = npy(&[3, 2], &[0.5_f32; 6]);
    output(root, &embeddings, &[("caption", &["a", "b", "c"]), ("license", &["", "", ""])]);
    let error = ClipRetrieval::open(root).unwrap_err().chain().to_string();
    assert!(
        error.ends_with("columns: expected image_path or url, found caption, license"),
        "{error}"
    );
    output(root, &embeddings, &[("url", &URLS)]);
    assert_eq!(sort(ClipRetrieval::open(root).unwrap()).0.len(), 3);
    // Another dimension in another file, and either file without the other.
    fs::write(root.join("img_emb/img_emb_1.npy"), npy(&[3, 1], &[0.5_f32; 3])).unwrap();
    let error = ClipRetrieval::open(root).unwrap_err().chain().to_string();
    assert!(error.contains("metadata_1.parquet"), "{error}");
    parquet(&root.join("metadata/metadata_1.parquet"), &[("url", &URLS)]);
    let error = ClipRetrieval::open(root).unwrap_err().chain().to_string();
    assert!(error.contains("img_emb_1.npy: dim: expected 2"), "{error}");
    fs::remove_file(root.join("img_emb/img_emb_1.npy")).unwrap();
    let error = ClipRetrieval::open(root).unwrap_err().chain().to_string();
    assert!(error.contains("img_emb_1.npy"), "{error}");
    fs::remove_file(root.join("metadata/metadata_1.parquet")).unwrap();
    fs::write(root.join("metadata/metadata_0.parquet"), b"PAR1 and no more").unwrap();
    let error = ClipRetrieval::open(root).unwrap_err().chain().to_string();
    assert!(error.contains("metadata_0.parquet: Parquet: expected a readable file"), "{error}");
}

#[test]
fn rows_that_are_not_finite_are_rejected_one_by_one() {
    let folder = tempdir().unwrap();
    let [nan, infinite] = [f16::NAN, f16::INFINITY];
    let one = f16::ONE;
    let values = [nan, one, one, one, one, infinite];
    output(folder.path(), &npy(&[3, 2], &values), &[("url", &URLS)]);
    let (items, rejected) = sort(ClipRetrieval::open(folder.path()).unwrap());
    assert_eq!(items.iter().map(|item| item.source.as_str()).collect::<Vec<_>>(), [URLS[1]]);
    assert_eq!(rejected.len(), 2);
    assert!(rejected[0].starts_with("https://x/0: embedding: expected finite values"));
    assert!(rejected[1].starts_with("https://x/2: embedding"));
}

#[test]
fn random_damage_is_an_error_or_a_rejection_and_never_a_panic() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    let embeddings = fs::read(fixture("clip_retrieval/img_emb/img_emb_0.npy")).unwrap();
    let table = fs::read(fixture("clip_retrieval/metadata/metadata_0.parquet")).unwrap();
    let shard = fs::read(fixture("shards/00000.tar")).unwrap();
    output(root, &embeddings, &[]);
    let mut numbers = Numbers(3);
    // What damage stops the reader of Parquet with is told as an error, not on the terminal.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut refused = 0;
    for _ in 0..600 {
        let (a, b) = match numbers.next(2) {
            0 => (numbers.damage(&embeddings), table.clone()),
            _ => (embeddings.clone(), numbers.damage(&table)),
        };
        fs::write(root.join("img_emb/img_emb_0.npy"), a).unwrap();
        fs::write(root.join("metadata/metadata_0.parquet"), b).unwrap();
        match ClipRetrieval::open(root) {
            Ok(reader) => assert!(reader.count() <= 6),
            Err(_) => refused += 1,
        }
        fs::write(root.join("s.tar"), numbers.damage(&shard)).unwrap();
        assert!(WebDataset::open(root).unwrap().count() <= 20);
    }
    std::panic::set_hook(hook);
    assert!(refused > 50, "{refused}");
}

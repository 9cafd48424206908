//! Shards of random members: no image gets the license of another key, and the numbers add up.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use imagerag::gallery::Gallery;
use imagerag::gallery::ingest::{Ingest, WebDataset};
use imagerag::testing::FakeEmbedder;
use proptest::prelude::*;
use tempfile::tempdir;

use super::support::*;

/// The name of a member. Few differ, so that many meet.
fn member() -> impl Strategy<Value = String> {
    let folder = prop::sample::select(vec!["", "", "", "", "./", "x/", "__MACOSX/", ".hidden/"]);
    let key = prop::sample::select(vec!["0", "0", "1", "é", "e\u{301}", "._0", "0:1"]);
    let part = prop::sample::select(vec!["", "", "", "", ".left", ".right", ".png", ".json"]);
    let ending = prop::sample::select(vec![
        ".png", ".png", ".jpg", ".json", ".json", ".json", ".JSON", ".txt", ".cls", "", "~",
    ]);
    (folder, key, part, ending)
        .prop_map(|(folder, key, part, ending)| format!("{folder}{key}{part}{ending}"))
}

/// A name as it counts.
fn normal(name: &str) -> String {
    name.strip_prefix("./").unwrap_or(name).replace("e\u{301}", "é")
}

/// A name without its ending.
fn stem(name: &str) -> String {
    let name = normal(name);
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name[base..].rfind('.').map_or(name.len(), |dot| base + dot);
    name[..dot].to_owned()
}

/// Whether a member is a picture: all that is no text is.
fn is_picture(name: &str) -> bool {
    let hidden = normal(name).split('/').any(|part| part.starts_with(['.', '_']));
    let text = [".json", ".txt"].iter().any(|ending| name.to_lowercase().ends_with(ending));
    !hidden && !text && !name.ends_with('~')
}

/// The key of a member, as WebDataset has it.
fn key(name: &str) -> String {
    let name = normal(name);
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name[base..].find('.').map_or(name.len(), |dot| base + dot);
    name[..dot].to_owned()
}

/// A shard of members of these `names` in `folder`, and which license is in which member.
fn write(folder: &Path, names: &[String]) -> (PathBuf, HashMap<String, String>) {
    let mut licenses = HashMap::new();
    let mut archive = tar::Builder::new(Vec::new());
    for (n, name) in names.iter().enumerate() {
        let bytes = if name.to_lowercase().ends_with(".json") {
            licenses.insert(format!("license {n}"), name.clone());
            format!(r#"{{"license": "license {n}"}}"#).into_bytes()
        } else {
            png(n as u32)
        };
        append(&mut archive, name, &bytes, tar::EntryType::Regular);
    }
    let path = folder.join("s.tar");
    fs::write(&path, archive.into_inner().unwrap()).unwrap();
    (path, licenses)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_image_gets_the_license_of_another_key(names in prop::collection::vec(member(), 0..14)) {
        let folder = tempdir().unwrap();
        let (path, licenses) = write(folder.path(), &names);
        let (items, _) = sort(WebDataset::open(&path).unwrap());
        let prefix = format!("{}#", path.display());
        for item in &items {
            let name = item.source.strip_prefix(&prefix).unwrap();
            let same = |one: &str, other: &str| {
                one.strip_prefix("./").unwrap_or(one) == other.strip_prefix("./").unwrap_or(other)
            };
            let count = |wanted: &str| names.iter().filter(|one| same(one, wanted)).count();
            prop_assert_eq!(count(name), 1, "{} is one of several", name);
            let Some(license) = &item.metadata.license else { continue };
            let from = &licenses[license];
            prop_assert_eq!(count(from), 1, "{} is one of several", from);
            prop_assert_eq!(key(from), key(name), "{} of {}", from, name);
            // It is about one picture: that of the whole name, of the name without its ending, or of
            // the key; of names that are composed in two ways, about that which is composed as it is.
            let about = stem(from);
            let fits = |of: fn(&str) -> String| {
                let all = names.iter().filter(|one| is_picture(one) && of(one) == about);
                all.map(String::as_str).collect::<Vec<_>>()
            };
            let pictures = [normal, stem, key].map(fits);
            let pictures = pictures.into_iter().find(|fits| !fits.is_empty()).unwrap_or_default();
            let composed = |one: &str| one.contains("e\u{301}");
            let alike = pictures.iter().filter(|one| composed(one) == composed(from)).count();
            prop_assert!(pictures.iter().any(|one| same(one, name)), "{} of {}", from, name);
            let plain = pictures.len() == 1 || (alike == 1 && composed(name) == composed(from));
            prop_assert!(plain, "{} of {}, but it fits {:?}", from, name, pictures);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_member_is_accounted_for(names in prop::collection::vec(member(), 0..14)) {
        let folder = tempdir().unwrap();
        let (path, _) = write(folder.path(), &names);
        let (items, _) = sort(WebDataset::open(&path).unwrap());
        let gallery = folder.path().join("g");
        let gallery = block_on(Gallery::open_or_create(gallery, &FakeEmbedder)).unwrap();
        let ingest = Ingest::into(&gallery).with_embedder(FakeEmbedder).with_threads(1);
        let done = block_on(ingest.run(WebDataset::open(&path).unwrap(), |_| {})).unwrap();
        prop_assert!(done.adds_up(), "{:?}", done);
        prop_assert_eq!(done.found + done.metadata_files, names.len() as u64, "{:?}", done);
        prop_assert_eq!(gallery.rejected().unwrap().len() as u64, done.rejected);
        prop_assert_eq!(gallery.count().unwrap() as u64, done.added);
        for entry in gallery.iter().unwrap() {
            let record = entry.unwrap().0.record;
            let item = items.iter().find(|item| item.source == record.source).unwrap();
            prop_assert_eq!(&record.metadata.license, &item.metadata.license);
        }
    }
}

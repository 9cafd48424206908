//! Shards of random members: no image gets the license of another key, and the numbers add up.

use std::collections::HashMap;
use std::fs;

use futures::executor::block_on;
use imagerag::gallery::Gallery;
use imagerag::gallery::ingest::{Ingest, WebDataset};
use imagerag::testing::FakeEmbedder;
use proptest::prelude::*;
use tempfile::tempdir;

use super::support::*;

/// A member: its name, and whether it is a picture, a license or something else.
fn member() -> impl Strategy<Value = String> {
    let folder = prop::sample::select(vec!["", "", "", "x/", "./", "__MACOSX/", ".hidden/"]);
    let key = prop::sample::select(vec!["0", "1", "2", "00", "._0", "é", "e\u{301}", "a b", "0:1"]);
    let part = prop::sample::select(vec!["", "", "", ".left", ".right", ".v1.1", ".png", ".json"]);
    let ending = prop::sample::select(vec![
        ".png", ".PNG", ".jpg", ".gif", ".json", ".json", ".json", ".JSON", ".txt", ".caption",
        ".cls", ".avif", ".mp4", "", "~",
    ]);
    (folder, key, part, ending)
        .prop_map(|(folder, key, part, ending)| format!("{folder}{key}{part}{ending}"))
}

/// The key of a member, as WebDataset has it.
fn key(name: &str) -> String {
    let name = name.strip_prefix("./").unwrap_or(name).replace("e\u{301}", "é");
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name[base..].find('.').map_or(name.len(), |dot| base + dot);
    name[..dot].to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_image_gets_the_license_of_another_key(names in prop::collection::vec(member(), 0..14)) {
        let folder = tempdir().unwrap();
        // Each license names its member, and its place among those of the same name.
        let mut licenses: HashMap<String, String> = HashMap::new();
        let members: Vec<(&str, Vec<u8>)> = names.iter().enumerate().map(|(n, name)| {
            let lower = name.to_lowercase();
            let bytes = if lower.ends_with(".json") {
                licenses.insert(format!("license {n}"), name.clone());
                format!(r#"{{"license": "license {n}"}}"#).into_bytes()
            } else {
                png(n as u32)
            };
            (&**name, bytes)
        }).collect();
        let members: Vec<(&str, &[u8])> =
            members.iter().map(|(name, bytes)| (*name, &**bytes)).collect();
        let path = folder.path().join("s.tar");
        fs::write(&path, tar(&members)).unwrap();

        let (items, _) = sort(WebDataset::open(&path).unwrap());
        let prefix = format!("{}#", path.display());
        for item in &items {
            let name = item.source.strip_prefix(&prefix).unwrap();
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            let same = |other: &&String| {
                other.strip_prefix("./").unwrap_or(other) == name
            };
            prop_assert_eq!(names.iter().filter(same).count(), 1, "{} is one of several", name);
            let Some(license) = &item.metadata.license else { continue };
            let from = &licenses[license];
            prop_assert_eq!(key(from), key(name), "{} of {}", from, name);
            // One picture of the whole name, of the name without its ending, or of the key.
            let normal = |name: &str| {
                name.strip_prefix("./").unwrap_or(name).replace("e\u{301}", "é")
            };
            let about = normal(from.rsplit_once('.').unwrap().0);
            let fits = [normal(name), normal(stem), key(name)];
            prop_assert!(fits.contains(&about), "{} of {}", from, name);
        }

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

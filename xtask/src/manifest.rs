//! Turns the crate's manifest into its list of features, so that no list here can fall behind it.

use crate::root;
use crate::shell::Result;
use std::fs;

/// Features that choose how a native library is got, and so are not for a run that has one.
const HOW: [&str; 4] = ["default", "doc-only", "download-libtorch", "faiss-gpu"];

/// Every feature of the crate, in the manifest's order.
pub fn features() -> Result<Vec<String>> {
    let path = root().join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(names(&text).into_iter().map(str::to_owned).collect())
}

/// All that can be built into one test program, joined by commas.
pub fn backends() -> Result<String> {
    let mut features = features()?;
    features.retain(|feature| !HOW.contains(&feature.as_str()));
    Ok(features.join(","))
}

/// The names in a manifest's `[features]` table, in order.
fn names(manifest: &str) -> Vec<&str> {
    let table = manifest.lines().skip_while(|line| line.trim() != "[features]").skip(1);
    table
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once('=')?.0.trim()))
        .filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_a_manifest() {
        let manifest = "[package]\nname = \"x\"\n\n[features]\ndefault = [\"image\"]\n## Files: a = b.\n\
                        image = [\n    \"dep:image\",\n]\ndoc-only = []\n\n[dependencies]\nfutures = \"0.3\"\n";
        assert_eq!(names(manifest), ["default", "image", "doc-only"]);
    }

    #[test]
    fn our_own_backends_are_tested_with_the_libtorch_at_hand() {
        let backends = backends().unwrap();
        let backends: Vec<_> = backends.split(',').collect();
        assert!(
            ["tch", "testing", "serde"].iter().all(|feature| backends.contains(feature)),
            "{backends:?}"
        );
        assert!(!backends.contains(&"download-libtorch"));
    }
}

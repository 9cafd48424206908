//! [`Study::write`]: results to the folder that is published and the key that is not.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::check::checks;
use super::draft::Draft;
use super::key::to_csv;
use super::picture::write;
use super::select::{System, choose};
use super::settings::Study;
use super::{html, list, places};
use crate::error::require;
use crate::evaluation::dataset::Dataset;
use crate::evaluation::experiment::Results;
use crate::{Error, Result};

/// A study that was written.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct StudyFolder {
    /// The folder to publish: open `index.html` in it, or put all of it on a web host.
    pub folder: PathBuf,
    /// The file that tells which picture is whose. Keep it, and do not publish it.
    pub key: PathBuf,
    /// What answers must name as their version.
    pub version: String,
    /// How many items there are, without checks.
    pub items: usize,
    /// How many lists there are: with one participant for each, every item has its votes. Give
    /// participant `n` the address `index.html?participant=n`, or all the same one: then each draws a list.
    pub participants: usize,
    /// What was left out, and why: a line each.
    pub left_out: Vec<String>,
    /// What to think of before publishing, such as terms of data sets that forbid it: a line each.
    pub warnings: Vec<String>,
}

impl Study {
    /// Writes the study: a folder with `index.html`, `study.json` and `pictures/`, and the key beside it.
    ///
    /// Pictures are those of `results`. Real images and names of classes are those of `datasets`, by
    /// name; a comparison goes without where there is none, and a rating leaves the item out. The
    /// folder appears when it is whole. Files are read and written on the thread that polls.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for settings out of range, systems that the results do not have, a
    /// folder or key that is there already (answers to the former study would be worthless), a key
    /// inside the folder, and a study without items. [`Error::Io`] and [`Error::InvalidFile`] where a
    /// picture of the results cannot be read, or a file not be written.
    pub async fn write(
        &self,
        results: &Results,
        datasets: &[Dataset],
        folder: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<StudyFolder> {
        self.check()?;
        let (folder, key) = (places::resolved(folder.as_ref())?, places::resolved(key.as_ref())?);
        places::check(&folder, &key)?;
        let mut random = Rng::with_seed(self.seed);
        let (chosen, left_out) = choose(self, results, &mut random)?;
        let parent = folder.parent().unwrap_or(Path::new("/"));
        for parent in [Some(parent), key.parent()].into_iter().flatten() {
            fs::create_dir_all(parent).map_err(|source| Error::io(parent, source))?;
        }
        let draft = tempfile::Builder::new().prefix(".study").tempdir_in(parent);
        let draft = draft.map_err(|source| Error::io(parent, source))?;
        let pictures = draft.path().join("pictures");
        fs::create_dir(&pictures).map_err(|source| Error::io(&pictures, source))?;

        let longest =
            |system: &System<'_>| system.drawing.picture.width.max(system.drawing.picture.height);
        let side = chosen.iter().flat_map(|screen| &screen.pictures).map(longest).max();
        let side = side.unwrap_or(self.max_side).clamp(64, self.max_side);
        let salt = self.salt.clone().unwrap_or_else(secret);
        let mut drafts = Draft::new(self, pictures, side, salt, left_out);
        drafts.add_items(&chosen, results, datasets, &mut random).await?;
        let items = drafts.screens.len();
        let found = format!("none; {}", drafts.left_out.join("; "));
        require(items > 0, "items of a study", "at least one to show", found)?;
        // Whoever knows the seed must not be able to repeat these draws: they would tell the order of making.
        let mut random = drafts.random(&("lists", self.seed))?;
        let checks = if self.checks > 0 {
            checks(&drafts.screens, self.kind, &mut random)
        } else {
            Vec::new()
        };
        let mut warnings = drafts.warnings();
        if checks.is_empty() && self.checks > 0 {
            warnings.push("no attention checks: there are no real images to make them of".into());
        }
        checks.iter().try_for_each(|check| drafts.add_check(check))?;
        let check_screens: Vec<usize> = (items..drafts.screens.len()).collect();
        let groups = &drafts.groups;
        let (per_list, votes) = (self.items_per_participant, self.votes_per_item);
        let lists = list::lists(groups, per_list, votes, &check_screens, self.checks, &mut random);
        let participants = lists.len();
        let published = drafts.published(lists, !checks.is_empty())?;
        let answers =
            published.lists.iter().map(Vec::len).max().unwrap_or(0) * published.questions.len();
        for row in &mut drafts.rows {
            row.version.clone_from(&published.version);
            row.answers_per_participant = answers;
        }
        let json =
            serde_json::to_vec_pretty(&published).map_err(|e| Error::backend("JSON writer", e))?;
        write(&draft.path().join("study.json"), &json)?;
        write(&draft.path().join("index.html"), html::page(&published)?.as_bytes())?;

        write_new(&key, &to_csv(&drafts.rows)?)?;
        if let Err(error) = places::put(draft, &folder) {
            // Without its folder the key would only be in the way of another try.
            let _ = fs::remove_file(&key);
            return Err(error);
        }
        let (version, left_out) = (published.version, drafts.left_out);
        Ok(StudyFolder { folder, key, version, items, participants, left_out, warnings })
    }
}

/// Writes a file that must not be there, also not since a moment ago.
fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = fs::File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|source| Error::io(path, source))
}

/// 128 bits that nobody can guess: the keys of Rust's hash tables are the operating system's.
fn secret() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("s{:016x}{:016x}", half(), half())
}

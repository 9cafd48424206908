//! The hub's cache on this machine: which files of a revision are there, and where.

use std::fs;
use std::path::{Path, PathBuf};

use super::place::{Place, is_commit, is_safe};
use crate::atomic_file::write_bytes;
use crate::{Error, Result};

/// One repository's folder in the cache, laid out as every client of the hub does.
#[derive(Clone, Debug)]
pub(super) struct Local(PathBuf);

impl Local {
    pub(super) fn new(cache: &Path, place: &Place) -> Self {
        Self(cache.join(format!("models--{}", place.repo().replace('/', "--"))))
    }

    /// The commit that a revision stood for when it was last fetched.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.0.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Notes what a revision stands for now.
    pub(super) fn note(&self, revision: &str, commit: &str) -> Result<()> {
        if is_commit(revision) {
            return Ok(());
        }
        let path = self.0.join("refs").join(revision);
        fs::create_dir_all(path.parent().unwrap_or(&self.0))
            .map_err(|source| Error::io(&path, source))?;
        write_bytes(&path, commit.as_bytes())
    }

    /// The folder with a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.0.join("snapshots").join(commit)
    }

    /// The size of a file of a commit in bytes, where it is here.
    pub(super) fn size(&self, commit: &str, name: &str) -> Option<u64> {
        let metadata = fs::metadata(self.snapshot(commit).join(name)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Every file of a commit that is here, by its name in the repository, with its size.
    pub(super) fn files(&self, commit: &str) -> Vec<(String, u64)> {
        let mut files = Vec::new();
        let mut folders = vec![String::new()];
        let root = self.snapshot(commit);
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
            for entry in entries.flatten() {
                let name = format!("{folder}{}", entry.file_name().to_string_lossy());
                // Follows the link that a file is, so that one whose content is gone does not count.
                match fs::metadata(entry.path()) {
                    Ok(metadata) if metadata.is_dir() => folders.push(format!("{name}/")),
                    Ok(metadata) if is_safe(&name) => files.push((name, metadata.len())),
                    _ => {}
                }
            }
        }
        files.sort_unstable();
        files
    }

    /// Removes a file of a commit and its content, so that it is fetched anew.
    pub(super) fn remove(&self, commit: &str, name: &str) {
        let link = self.snapshot(commit).join(name);
        if let Ok(content) = fs::canonicalize(&link)
            && content.starts_with(fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone()))
        {
            let _ = fs::remove_file(content);
        }
        let _ = fs::remove_file(link);
    }
}

//! The `catalog.json` of a folder to what it says of each picture, by where that is.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::fields::Fields;
use super::read::read;
use crate::{Error, Result, lenient};

/// The name of the file.
pub(super) const FILE: &str = "catalog.json";

/// The most that is read of it, in bytes: a million pictures with long captions.
const MAX_LISTING: u64 = 256 << 20;

/// What a `catalog.json` says.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// What it says of a file, by the folder that this is really in, and its name.
    lines: HashMap<PathBuf, Line>,
    /// Why it, or a part of it, is not understood.
    pub(super) problem: Option<Error>,
    /// Whether there is one that says something.
    pub(super) is_read: bool,
}

#[derive(Debug)]
struct Line {
    /// The file as it is written there.
    file: String,
    fields: Fields,
}

impl Listing {
    /// Reads that of the folder `root`; one that says nothing where there is none.
    pub(super) fn read(root: &Path) -> Self {
        let path = root.join(FILE);
        if path.is_dir() {
            return Self::default();
        }
        match entries(&path) {
            Ok(None) => Self::default(),
            Ok(Some(entries)) => Self::of(root, &path, entries),
            Err(problem) => Self { problem: Some(problem), ..Self::default() },
        }
    }

    fn of(root: &Path, path: &Path, entries: Vec<Entry>) -> Self {
        let (mut folders, mut lines) = (RealFolders::default(), HashMap::<_, Line>::new());
        let (all, mut others, mut other) = (entries.len(), 0, None);
        for entry in entries {
            match entry.line() {
                Ok((file, fields)) => lines
                    .entry(folders.locate(root, &file))
                    .or_insert_with(|| Line { file, fields: Fields::default() })
                    .fields
                    .append(fields),
                Err(found) => {
                    others += 1;
                    other.get_or_insert(found);
                }
            }
        }
        let problem = other.map(|found| {
            let expected = "objects with the path of a picture as \"file\"";
            let found = format!("{others} of {all} others, such as {found}");
            Error::invalid_file(path, "entries", expected, found)
        });
        let is_read = problem.is_none() || !lines.is_empty();
        Self { lines, problem, is_read }
    }

    /// What it says of the file `name` in the folder that is really `real`; it is said once.
    pub(super) fn take(&mut self, real: &Path, name: &OsStr) -> Option<Fields> {
        if self.lines.is_empty() {
            return None;
        }
        self.lines.remove(&real.join(name)).map(|line| line.fields)
    }

    /// The files that were not met, as it writes them, in their order.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let mut rest: Vec<String> = self.lines.drain().map(|(_, line)| line.file).collect();
        rest.sort_unstable();
        rest
    }
}

/// The entries of the list at `path`.
fn entries(path: &Path) -> Result<Option<Vec<Entry>>> {
    let Some(bytes) = read(path, MAX_LISTING)? else { return Ok(None) };
    let wrong = |error| {
        let expected = format!("a list of pictures in JSON{}", lenient::without(&bytes, &error));
        Error::invalid_file(path, "catalog", expected, error)
    };
    lenient::json(&bytes).map(Some).map_err(wrong)
}

/// An entry of the list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Fields(Fields),
    Other(Value),
}

impl Entry {
    /// The file that it is about, and what it says of it. An error is the beginning of another entry.
    fn line(self) -> Result<(String, Fields), String> {
        let other = match self {
            Self::Fields(mut fields) => match fields.remove("file") {
                Some(Value::String(file)) => return Ok((file, fields)),
                Some(found) => format!("\"file\": {found}"),
                None => "an object without it".to_owned(),
            },
            Self::Other(other) => other.to_string(),
        };
        Err(other.chars().take(100).collect())
    }
}

/// Folders as they are written, and where they really are.
#[derive(Default)]
struct RealFolders(HashMap<PathBuf, Option<PathBuf>>);

impl RealFolders {
    /// Where `file`, as it is written in the list of the folder `root`, is. It is looked for as it
    /// stands, with slashes for Windows' backslashes, and in both Unicode normalizations.
    fn locate(&mut self, root: &Path, file: &str) -> PathBuf {
        let slashes = file.replace('\\', "/");
        let forms = [file, &slashes].into_iter().flat_map(|file| {
            [file.to_owned(), file.nfc().collect::<String>(), file.nfd().collect::<String>()]
        });
        let mut paths = forms.map(|form| root.join(form));
        let path = paths.find(|path| path.symlink_metadata().is_ok());
        let path = path.unwrap_or_else(|| root.join(file));
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path };
        let real = self.0.entry(folder.to_owned()).or_insert_with(|| folder.canonicalize().ok());
        real.as_ref().map_or_else(|| path.clone(), |real| real.join(name))
    }
}

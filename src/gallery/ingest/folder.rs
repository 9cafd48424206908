//! A folder tree to the picture files in it, one after the other.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::fields::metadata;
use super::{Item, list, rejected};
use crate::gallery::Rejected;
use crate::image::is_picture;
use crate::{Error, Result};

/// Every picture file below a folder, in the order of their paths.
///
/// What is known of `bee.jpg` is read from the `catalog.json` of the folder, a list of `{"file",
/// "caption", "license", "author", "source", …}`, and from `bee.json` and `bee.txt` beside it, as
/// img2dataset and clip-retrieval lay them out. `license` and `licence` are both read. Sources are
/// absolute paths unless the gallery is built
/// [with relative ones](super::Ingest::with_relative_paths). Each folder is entered once, however many links
/// lead to it. Nothing is decoded.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// What is still to be looked at; the next is the last.
    pending: Vec<PathBuf>,
    /// Folders that were entered, without links.
    entered: HashSet<PathBuf>,
    /// What `catalog.json` says of files that have not been met yet.
    listed: HashMap<PathBuf, Map<String, Value>>,
    /// Pictures that are still to come, where they were counted.
    left: Option<usize>,
}

impl Folder {
    /// The pictures below `root`.
    ///
    /// # Errors
    /// [`Error::Io`] when `root` cannot be read; [`Error::InvalidFile`] when its `catalog.json` is
    /// no list of pictures.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let absolute = std::path::absolute(root).map_err(|source| Error::io(root, source))?;
        std::fs::read_dir(&absolute).map_err(|source| Error::io(root, source))?;
        let listed = read_catalog(&absolute)?;
        Ok(Self::new(absolute, listed))
    }

    /// Goes through the tree once to count its pictures, so that the time that is left can be
    /// foretold.
    #[must_use]
    pub fn counted(mut self) -> Self {
        let mut walk = Self::new(self.root.clone(), HashMap::new());
        self.left = Some(std::iter::from_fn(|| walk.next_path()).count());
        self
    }

    fn new(root: PathBuf, listed: HashMap<PathBuf, Map<String, Value>>) -> Self {
        Self { pending: vec![root.clone()], root, entered: HashSet::new(), listed, left: None }
    }

    fn next_path(&mut self) -> Option<Result<PathBuf>> {
        while let Some(path) = self.pending.pop() {
            if path.is_dir() {
                if let Err(error) = self.enter(&path) {
                    return Some(Err(error));
                }
            } else if is_picture(&path) {
                return Some(Ok(path));
            }
        }
        None
    }

    fn enter(&mut self, folder: &Path) -> Result<()> {
        let real = folder.canonicalize().map_err(|source| Error::io(folder, source))?;
        if self.entered.insert(real) {
            self.pending.extend(list(folder)?.into_iter().rev());
        }
        Ok(())
    }

    fn describe(&mut self, path: PathBuf) -> Result<Item, Rejected> {
        let source = path.display().to_string();
        let reject = |reason| rejected(source.clone(), reason);
        let beside = path.with_extension("json");
        let listing = beside == self.root.join("catalog.json");
        let mut fields = if listing { Map::new() } else { read_fields(&beside).map_err(reject)? };
        if let Some(caption) = read_text(&path.with_extension("txt")).map_err(reject)? {
            fields.insert("caption".to_owned(), caption.into());
        }
        fields.extend(self.listed.remove(&path).unwrap_or_default());
        Ok(Item::file(path).with_metadata(metadata(fields)))
    }
}

impl Iterator for Folder {
    type Item = Result<Item, Rejected>;

    fn next(&mut self) -> Option<Result<Item, Rejected>> {
        let found = match self.next_path() {
            Some(Ok(path)) => self.describe(path),
            Some(Err(reason)) => {
                let source = match &reason {
                    Error::Io { path, .. } => path.display().to_string(),
                    _ => self.root.display().to_string(),
                };
                Err(rejected(source, reason))
            }
            None => {
                let path = self.listed.keys().min()?.clone();
                self.listed.remove(&path);
                let expected = format!("{} in the folder", path.display());
                let (catalog, found) = (self.root.join("catalog.json"), "no such picture");
                let reason = Error::invalid_file(catalog, "picture", expected, found);
                Err(rejected(path.display().to_string(), reason))
            }
        };
        self.left = self.left.map(|left| left.saturating_sub(1));
        Some(found)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.left)
    }
}

/// What the `catalog.json` of `root` says, by path; nothing where there is none.
fn read_catalog(root: &Path) -> Result<HashMap<PathBuf, Map<String, Value>>> {
    let path = root.join("catalog.json");
    let Some(text) = read_text(&path)? else { return Ok(HashMap::new()) };
    let lines: Vec<Map<String, Value>> = serde_json::from_str(&text)
        .map_err(|error| Error::invalid_file(&path, "catalog", "a list of pictures", error))?;
    let line = |mut line: Map<String, Value>| match line.remove("file") {
        Some(Value::String(file)) => Ok((root.join(file), line)),
        found => {
            let found = found.map_or("none".to_owned(), |found| found.to_string());
            Err(Error::invalid_file(&path, "file", "the path of a picture", found))
        }
    };
    lines.into_iter().map(line).collect()
}

/// The JSON object in the file at `path`; an empty one where there is no such file.
fn read_fields(path: &Path) -> Result<Map<String, Value>> {
    let Some(text) = read_text(path)? else { return Ok(Map::new()) };
    serde_json::from_str(&text)
        .map_err(|error| Error::invalid_file(path, "metadata", "a JSON object", error))
}

/// The text of the file at `path`, where there is one.
fn read_text(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, error)),
    }
}

//! A folder tree to the pictures in it, each with what is said of it, and to what else is there.

pub(crate) mod fields;
pub(crate) mod kind;
mod left_out;
mod listing;
pub(crate) mod pairing;
pub(crate) mod read;
pub(crate) mod walk;

pub use left_out::{LeftOut, LeftOutKind};

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::reference::Metadata;
use crate::{Error, Result, lenient};

use fields::Fields;
use kind::Text;
use listing::Listing;
use walk::{Met, Walk};

/// The most that is read of a caption or of the metadata of one picture, in bytes.
pub(crate) const MAX_TEXT: u64 = 4 << 20;

/// One thing that is in a folder tree.
#[derive(Debug)]
pub(crate) enum Found {
    Picture(Picture),
    /// What was found there is not understood, or cannot be read.
    Rejected(PathBuf, Error),
    LeftOut(LeftOutKind, PathBuf),
}

/// A picture file, which was not opened yet.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) path: PathBuf,
    pub(crate) metadata: Metadata,
    /// Files that its metadata was read from.
    pub(crate) read: Vec<PathBuf>,
}

/// Everything below a folder, in the order of paths; folders that links lead to come last. Each
/// folder is entered once.
#[derive(Debug)]
pub(crate) struct Tree {
    walk: Walk,
    listing: Listing,
    /// What was found and is still to come.
    found: VecDeque<Found>,
    /// Metadata that was read, and is not of one picture.
    listing_read: Option<PathBuf>,
}

impl Tree {
    /// What is below `root`.
    ///
    /// # Errors
    /// [`Error::Io`] when `root` cannot be read.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        std::fs::read_dir(root).map_err(|source| Error::io(root, source))?;
        let mut listing = Listing::read(root);
        let path = root.join(listing::FILE);
        let problem = listing.problem.take();
        let listing_read = listing.is_read.then(|| path.clone());
        let found = problem.map(|problem| Found::Rejected(path, problem));
        Ok(Self { walk: Walk::new(root), listing, found: found.into_iter().collect(), listing_read })
    }

    /// The number of pictures, and of what cannot be one, below `root`.
    #[cfg(feature = "gallery")]
    pub(crate) fn count(root: &Path) -> usize {
        Walk::new(root).filter(|met| !matches!(met, Met::LeftOut(..))).count()
    }

    /// What is known of the picture `path`, whose folder is really `real`, from `texts` beside it.
    fn describe(&mut self, path: PathBuf, real: &Path, texts: &[PathBuf]) {
        let mut description = Description::default();
        let name = path.file_name().unwrap_or_default();
        for text in texts {
            let said = read::read(text, MAX_TEXT).and_then(|bytes| {
                let kind = kind::text(&text.to_string_lossy()).unwrap_or(Text::Txt);
                let stem = Path::new(name).file_stem().unwrap_or_default();
                description.add(kind, &bytes.unwrap_or_default(), &stem.to_string_lossy(), text)
            });
            match said {
                Ok(()) => description.read.push(text.clone()),
                Err(problem) => self.found.push_back(Found::Rejected(text.clone(), problem)),
            }
        }
        if let Some(listed) = self.listing.take(real, name) {
            description.fields.append(listed);
            description.listed = Some(self.walk.root().join(listing::FILE));
        }
        let Description { fields, mut read, listed } = description;
        let (metadata, conflict) = fields.metadata();
        if let Some(conflict) = conflict {
            // The license is known again once that file is mended.
            let source = read.pop().or(listed);
            let source = source.unwrap_or_else(|| path.clone());
            let what = format!("license of {}", path.display());
            let problem = Error::invalid_file(&source, what, "one license", conflict);
            self.found.push_back(Found::Rejected(source, problem));
        }
        read.extend(self.listing_read.take());
        self.found.push_back(Found::Picture(Picture { path, metadata, read }));
    }
}

/// What several files say of a picture.
#[derive(Debug, Default)]
pub(crate) struct Description {
    pub(crate) fields: Fields,
    read: Vec<PathBuf>,
    listed: Option<PathBuf>,
}

impl Description {
    /// Takes over what the file at `path` says, whose bytes are given, of the picture `key`.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when it is not understood: it says nothing then.
    pub(crate) fn add(&mut self, text: Text, bytes: &[u8], key: &str, path: &Path) -> Result<()> {
        let wrong = |what: &str, expected: &str, found: String| {
            Error::invalid_file(path, what, expected, found)
        };
        match text {
            Text::Json => {
                let fields: Fields = lenient::json(bytes)
                    .map_err(|error| wrong("metadata", "a JSON object", error.to_string()))?;
                fields.check_key(key).map_err(|other| wrong("key", key, other))?;
                self.fields.append(fields);
            }
            Text::Caption | Text::Txt => {
                let caption = lenient::text(bytes);
                if !caption.trim().is_empty() {
                    self.fields.push("caption", caption.trim());
                }
            }
        }
        Ok(())
    }
}

impl Iterator for Tree {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Some(found);
            }
            match self.walk.next() {
                Some(Met::Picture { path, real, texts }) => self.describe(path, &real, &texts),
                Some(Met::Rejected(path, problem)) => return Some(Found::Rejected(path, problem)),
                Some(Met::LeftOut(kind, path)) => return Some(Found::LeftOut(kind, path)),
                None => {
                    let root = self.walk.root();
                    for file in self.listing.rest() {
                        let path = root.join(&file);
                        let expected = format!("{} in the folder", path.display());
                        let catalog = root.join(listing::FILE);
                        let (what, found) = ("picture", "no such picture");
                        let problem = Error::invalid_file(catalog, what, expected, found);
                        self.found.push_back(Found::Rejected(path, problem));
                    }
                    return self.found.pop_front();
                }
            }
        }
    }
}

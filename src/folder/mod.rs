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
    #[cfg_attr(not(feature = "gallery"), expect(dead_code, reason = "the error names the path"))]
    Rejected(PathBuf, Error),
    LeftOut(LeftOutKind, PathBuf),
}

/// A picture file, which was not opened yet.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) path: PathBuf,
    pub(crate) metadata: Metadata,
    /// Files that its metadata was read from.
    #[cfg_attr(not(feature = "gallery"), expect(dead_code, reason = "only a gallery asks"))]
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
        Ok(Self {
            walk: Walk::new(root),
            listing,
            found: found.into_iter().collect(),
            listing_read,
        })
    }

    /// The number of pictures, and of what cannot be read, below `root`, with those that `shard` says
    /// are in a file that is left out; none where it does not know.
    #[cfg(feature = "gallery")]
    pub(crate) fn count(root: &Path, shard: impl Fn(&Path) -> Option<usize>) -> Option<usize> {
        let count = |met| match met {
            Met::Picture { .. } | Met::Rejected(..) => Some(1),
            Met::LeftOut(_, path) => shard(&path),
        };
        Walk::new(root).map(count).sum()
    }

    /// What is known of the picture `path`, whose folder is really `real`, from `texts` beside it.
    fn describe(&mut self, path: PathBuf, real: &Path, texts: &[PathBuf]) {
        let (mut description, mut read) = (Description::default(), Vec::new());
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for text in texts {
            let kind = kind::text(&text.to_string_lossy()).unwrap_or(Text::Txt);
            let said = read::read(text, MAX_TEXT).and_then(|bytes| {
                description.add(kind, &bytes.unwrap_or_default(), &stem, (text, "metadata"))
            });
            match said {
                Ok(()) => read.push(text.clone()),
                Err(problem) => self.found.push_back(Found::Rejected(text.clone(), problem)),
            }
        }
        let listing = self.walk.root().join(listing::FILE);
        let listed = self.listing.take(real, path.file_name().unwrap_or_default());
        // What is not mended yet is the last that may have a license.
        let json = |read: &&PathBuf| kind::text(&read.to_string_lossy()) == Some(Text::Json);
        let from = read.iter().rfind(json).unwrap_or(&listing).clone();
        description.fields.append(listed.unwrap_or_default());
        let (metadata, problem) = description.metadata(&path.display().to_string(), &from);
        if let Some(problem) = problem {
            read.retain(|read| *read != from);
            self.found.push_back(Found::Rejected(from, problem));
        }
        read.extend(self.listing_read.take());
        self.found.push_back(Found::Picture(Picture { path, metadata, read }));
    }
}

/// What several files say of a picture.
#[derive(Debug, Default)]
pub(crate) struct Description {
    fields: Fields,
}

impl Description {
    /// Takes over what `bytes` say, which are those of the text `what` in the file at `path`, of the
    /// picture called `key` without its ending.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when it is not understood: it says nothing then.
    pub(crate) fn add(
        &mut self,
        text: Text,
        bytes: &[u8],
        key: &str,
        (path, what): (&Path, &str),
    ) -> Result<()> {
        if text != Text::Json {
            let caption = lenient::text(bytes);
            if !caption.trim().is_empty() {
                self.fields.set("caption", caption.trim());
            }
            return Ok(());
        }
        let fields: Fields = lenient::json(bytes).map_err(|error| {
            let expected = format!("a JSON object{}", lenient::without(bytes, &error));
            Error::invalid_file(path, what, expected, error)
        })?;
        fields.check_key(key).map_err(|other| {
            Error::invalid_file(path, what, format!("that of {key}"), format!("that of {other}"))
        })?;
        self.fields.append(fields);
        Ok(())
    }

    /// The metadata of the picture at `source`. Where licenses contradict each other, or the license
    /// is in an encoding that is not read, it has none, and that is an error of the file at `path`.
    pub(crate) fn metadata(self, source: &str, path: &Path) -> (Metadata, Option<Error>) {
        let (metadata, bad) = self.fields.metadata();
        let what = format!("license of {source}");
        let problem = bad.map(|bad| Error::invalid_file(path, what, bad.expected, bad.found));
        (metadata, problem)
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

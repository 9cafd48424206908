//! [`Gallery::verify`]: a folder to everything that is wrong with it.

use std::fs;
use std::path::Path;

use crate::gallery::Gallery;
use crate::gallery::search::index_note::{self, IndexNote};
use crate::gallery::store::catalog::Catalog;
use crate::gallery::store::record::ImageRecord;
use crate::gallery::store::snapshot::{PAGE, Snapshot};
use crate::gallery::store::vectors::{self, Vectors};
use crate::gallery::store::{acknowledged, manifest};
use crate::{Error, Result};

/// What [`Gallery::verify`] checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Depth {
    /// The gallery's own files, and whether the pictures' files are there.
    #[default]
    Gallery,
    /// The content of every picture's file too.
    Pictures,
}

/// The result of [`Gallery::verify`].
///
/// ```
/// use imagerag::gallery::{Depth, Gallery, Verification};
///
/// /// For a nightly job: anything but 0 is looked into.
/// fn exit_code(folder: &str) -> i32 {
///     let Verification { problems, .. } = Gallery::verify(folder, Depth::Gallery);
///     problems.iter().for_each(|problem| eprintln!("{}", problem.chain()));
///     i32::from(!problems.is_empty())
/// }
/// assert_eq!(exit_code("no/such/gallery"), 1);
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Verification {
    /// The number of images with an undamaged record.
    pub images: usize,
    /// Everything that is wrong; empty if nothing is.
    pub problems: Vec<Error>,
}

impl Gallery {
    /// Compares everything in `folder` with its checksum, and looks for the pictures.
    ///
    /// It does not stop at the first problem but lists all. It returns no error: that the gallery
    /// cannot be opened is one of the problems.
    pub fn verify(folder: impl AsRef<Path>, depth: Depth) -> Verification {
        let mut found = Verification::default();
        let checked = found.check(folder.as_ref(), depth);
        found.note(checked);
        found
    }
}

impl Verification {
    /// Whether nothing is wrong.
    pub const fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.problems.push(error)).ok()
    }

    /// What it returns keeps the rest from being looked at.
    fn check(&mut self, folder: &Path, depth: Depth) -> Result<()> {
        let path = folder.join(manifest::FILE);
        let bytes = self.note(fs::read(&path).map_err(|source| Error::io(&path, source)));
        let fingerprint = bytes.as_ref().and_then(|bytes| self.note(manifest::read(&path, bytes)));
        self.note(acknowledged::read(folder));
        let catalog = Catalog::open(folder)?;
        self.note(catalog.check_structure());
        self.note(catalog.rejected());
        if let (Some(state), Some(bytes)) = (self.note(catalog.state()), &bytes) {
            self.note(manifest::compare(&path, bytes, state.manifest));
        }
        let mut next = 0;
        while let Some(page) = self.note(catalog.rows(next, PAGE)) {
            for row in &page {
                let id = match row {
                    Ok(entry) => {
                        self.images += 1;
                        self.note(picture(&entry.record, depth));
                        entry.id
                    }
                    Err(id) => {
                        self.problems.push(catalog.damaged(*id));
                        *id
                    }
                };
                next = next.max(id.saturating_add(1));
            }
            if page.is_empty() {
                break;
            }
        }
        if let Some(fingerprint) = fingerprint {
            self.vectors(folder, fingerprint.dim(), &catalog);
        }
        Ok(())
    }

    /// What was found in the catalog alone is not listed twice.
    fn vectors(&mut self, folder: &Path, dim: usize, catalog: &Catalog) {
        match Snapshot::load(folder, dim, catalog) {
            Ok(snapshot) => {
                self.segments(&snapshot.vectors);
                if index_note::exists(folder) {
                    self.note(IndexNote::read(folder, &snapshot));
                }
            }
            Err(error) => {
                if !self.problems.iter().any(|p| p.chain().to_string() == error.chain().to_string())
                {
                    self.problems.push(error);
                }
                if let (Ok(state), Ok(segments)) = (catalog.state(), catalog.segments(0))
                    && let file = vectors::file(folder, state.generation)
                    && let Ok(vectors) = Vectors::map(file, dim, segments)
                {
                    self.segments(&vectors);
                }
            }
        }
    }

    fn segments(&mut self, vectors: &Vectors) {
        for number in 0..vectors.segments().len() {
            self.note(vectors.check_segment(number));
        }
    }
}

/// That the pixels of `record` are where it says.
fn picture(record: &ImageRecord, depth: Depth) -> Result<()> {
    let (Some(path), member) = record.pixels.parts() else { return Ok(()) };
    let end = member.map_or(1, |(offset, length)| offset.saturating_add(length));
    if depth == Depth::Pictures {
        return record.bytes().map(|_| ());
    }
    let length = fs::metadata(path).map_err(|source| Error::io(path, source))?.len();
    if length < end {
        let (expected, found) = (format!("{end} bytes"), format!("{length} bytes"));
        return Err(Error::invalid_file(path, record.source.clone(), expected, found));
    }
    Ok(())
}

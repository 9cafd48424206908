//! [`Catalog`]: a list of pictures with their metadata.

#[cfg(all(feature = "image", feature = "serde"))]
use crate::image::{EXTENSIONS, is_picture};
use crate::reference::{Caption, Metadata, Picture, Provenance, Reference, Source};
use crate::{Error, Result};

#[cfg(all(feature = "image", feature = "serde"))]
use std::path::{Path, PathBuf};

/// One picture of a catalog.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CatalogEntry {
    /// Where the picture is. Equal sources are the same picture.
    pub source: Source,
    /// What else is known of it.
    pub metadata: Metadata,
    picture: Picture,
}

impl CatalogEntry {
    /// A picture from `source`, such as an [`Image`](crate::Image) that is held in memory.
    pub fn new(source: impl Into<String>, picture: impl Into<Picture>) -> Self {
        let source = Source::Uri(source.into());
        Self { source, metadata: Metadata::default(), picture: picture.into() }
    }

    /// A picture file that is read each time it is needed.
    #[cfg(feature = "image")]
    pub fn file(path: impl AsRef<std::path::Path>) -> Self {
        let path = path.as_ref();
        Self::new(path.display().to_string(), Picture::file(path))
    }

    /// The picture. The catalog does not keep its pixels when it is decoded.
    pub fn picture(&self) -> Picture {
        self.picture.forgetful()
    }
}

/// The pictures that an [`EmbeddingRetriever`](super::EmbeddingRetriever) searches, numbered from
/// 0.
///
/// It is in memory, and its pictures are embedded at each start: fit for tests and some hundreds of
/// pictures. A `Gallery` (feature `gallery`) embeds each picture once and keeps it on disk.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    entries: Vec<CatalogEntry>,
}

impl Catalog {
    /// A catalog of `entries`, numbered in their order.
    pub fn new(entries: impl IntoIterator<Item = CatalogEntry>) -> Self {
        Self { entries: entries.into_iter().collect() }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The pictures, in the order of their numbers.
    pub fn entries(&self) -> &[CatalogEntry] {
        &self.entries
    }

    /// Picture `id` as a reference for `caption`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is no such number.
    pub(crate) fn reference(
        &self,
        id: u64,
        caption: &Caption,
        retriever: String,
        score: f32,
        rank: usize,
    ) -> Result<Reference> {
        let entry = usize::try_from(id).ok().and_then(|id| self.entries.get(id));
        let entry = entry.ok_or_else(|| {
            let expected = format!("less than {}", self.entries.len());
            Error::invalid_input("number of a picture", expected, id)
        })?;
        let provenance = Provenance::new(entry.source.clone(), retriever, score, rank)
            .with_metadata(entry.metadata.clone());
        Ok(Reference { picture: entry.picture(), caption: caption.clone(), provenance })
    }

    /// Every picture file below `folder`, in the order of their paths. Where `folder` holds a
    /// `catalog.json`, a list of `{"file", "caption", "license", "author", "source"}`, captions,
    /// licenses, authors and origins come from there; `licence` is read too. Nothing is decoded yet.
    ///
    /// # Errors
    /// [`Error::Io`] when a folder cannot be read; [`Error::InvalidFile`] when `catalog.json` is
    /// broken or names a file that is not there; [`Error::InvalidInput`] when there is no picture.
    #[cfg(all(feature = "image", feature = "serde"))]
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut files = Vec::new();
        find_pictures(folder, &mut files)?;
        files.sort();
        if files.is_empty() {
            let expected = format!("a folder with files of type {}", EXTENSIONS.join(", "));
            let found = format!("none in {}", folder.display());
            return Err(Error::invalid_input("gallery", expected, found));
        }
        let mut entries: Vec<CatalogEntry> = files.iter().map(CatalogEntry::file).collect();
        let listed = folder.join("catalog.json");
        if listed.is_file() {
            describe(&listed, &files, &mut entries)?;
        }
        Ok(Self { entries })
    }
}

#[cfg(all(feature = "image", feature = "serde"))]
fn find_pictures(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let io = |source| Error::io(folder, source);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        // A link to a folder could lead back here: only real folders are entered.
        if path.is_dir() && !path.is_symlink() {
            find_pictures(&path, files)?;
        } else if is_picture(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// Fills in what `catalog.json` says of the pictures.
#[cfg(all(feature = "image", feature = "serde"))]
fn describe(listed: &Path, files: &[PathBuf], entries: &mut [CatalogEntry]) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Line {
        file: PathBuf,
        caption: Option<String>,
        #[serde(alias = "licence")]
        license: Option<String>,
        author: Option<String>,
        source: Option<String>,
    }
    let text = std::fs::read_to_string(listed).map_err(|source| Error::io(listed, source))?;
    let lines: Vec<Line> = serde_json::from_str(&text)
        .map_err(|error| Error::invalid_file(listed, "catalog", "a list of pictures", error))?;
    for line in lines {
        let path = listed.with_file_name(&line.file);
        let Ok(at) = files.binary_search(&path) else {
            let what = line.file.display().to_string();
            return Err(Error::invalid_file(listed, what, "a picture in the folder", "none"));
        };
        let Line { caption, license, author, source: origin, .. } = line;
        entries[at].metadata = Metadata { caption, license, author, origin, ..Metadata::default() };
    }
    Ok(())
}

#[cfg(all(test, feature = "image", feature = "serde"))]
mod tests {
    use super::*;
    use crate::Image;

    fn picture(path: &Path) {
        Image::new(1, 1, vec![1, 2, 3]).unwrap().save(path).unwrap();
    }

    #[test]
    fn finds_every_picture_and_what_is_said_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::create_dir(folder.join("deep")).unwrap();
        picture(&folder.join("b.png"));
        picture(&folder.join("deep/a.BMP"));
        std::fs::write(folder.join("notes.txt"), "no picture").unwrap();
        let line =
            r#"[{"file": "b.png", "caption": "a bee", "license": "CC0-1.0", "source": "x"}]"#;
        std::fs::write(folder.join("catalog.json"), line).unwrap();
        let catalog = Catalog::from_folder(folder).unwrap();
        assert_eq!(catalog.len(), 2);
        let Metadata { caption, license, origin, author, .. } = &catalog.entries()[0].metadata;
        assert_eq!((caption.as_deref(), license.as_deref()), (Some("a bee"), Some("CC0-1.0")));
        assert_eq!((origin.as_deref(), author.as_deref()), (Some("x"), None));
        assert!(futures::executor::block_on(catalog.entries()[0].picture().load()).is_ok());
    }

    #[test]
    fn empty_and_broken_galleries_are_errors_that_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let error = Catalog::from_folder(folder).unwrap_err().to_string();
        assert!(error.starts_with("gallery: expected a folder with files of type"), "{error}");
        assert!(matches!(Catalog::from_folder(folder.join("none")), Err(Error::Io { .. })));
        picture(&folder.join("b.png"));
        for (text, said) in [("{", "catalog"), (r#"[{"file": "c.png"}]"#, "c.png")] {
            std::fs::write(folder.join("catalog.json"), text).unwrap();
            let error = Catalog::from_folder(folder).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}

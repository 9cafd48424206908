//! [`Catalog`]: a list of pictures with their metadata.

#[cfg(all(feature = "image", feature = "serde"))]
use crate::folder::{Found, LeftOut, Tree};
use crate::reference::{Caption, Metadata, Picture, Provenance, Reference, Source};
use crate::{Error, Result};

#[cfg(feature = "image")]
use std::path::Path;
#[cfg(all(feature = "image", feature = "serde"))]
use std::sync::Arc;

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
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        #[cfg(feature = "serde")]
        let source = crate::path_text::path_text(path).into_owned();
        #[cfg(not(feature = "serde"))]
        let source = path.display().to_string();
        Self::new(source, Picture::file(path))
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
    #[cfg(all(feature = "image", feature = "serde"))]
    problems: Vec<Arc<Error>>,
    #[cfg(all(feature = "image", feature = "serde"))]
    left_out: LeftOut,
}

impl Catalog {
    /// A catalog of `entries`, numbered in their order.
    pub fn new(entries: impl IntoIterator<Item = CatalogEntry>) -> Self {
        let mut catalog = Self::default();
        catalog.entries.extend(entries);
        catalog
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

    /// Every picture file below `folder`, with what is said of it in the `catalog.json` of the folder
    /// and in files beside the picture, as [`gallery::ingest::Folder`] reads them. Nothing is decoded
    /// yet.
    ///
    /// What is not understood costs no picture: it is among the [`problems`](Self::problems). Other
    /// files are [left out](Self::left_out).
    ///
    /// [`gallery::ingest::Folder`]: https://docs.rs/imagerag/latest/imagerag/gallery/ingest/struct.Folder.html
    ///
    /// # Errors
    /// [`Error::Io`] when `folder` cannot be read; [`Error::InvalidInput`] when there is no picture.
    #[cfg(all(feature = "image", feature = "serde"))]
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut catalog = Self::default();
        for found in Tree::open(folder)? {
            match found {
                Found::Picture(picture) => {
                    let mut entry = CatalogEntry::file(picture.path);
                    entry.metadata = picture.metadata;
                    catalog.entries.push(entry);
                }
                Found::Rejected(_, problem) => catalog.problems.push(Arc::new(problem)),
                Found::LeftOut(kind, path) => {
                    let path = crate::path_text::path_text(&path);
                    catalog.left_out.push(kind, path.into_owned());
                }
            }
        }
        if !catalog.entries.is_empty() {
            return Ok(catalog);
        }
        let expected = format!("a folder with files of type {}", crate::image::format::FORMATS);
        let first = catalog.problems.first().map(|problem| format!("; {}", problem.chain()));
        let found = format!("none in {}{}", folder.display(), first.unwrap_or_default());
        Err(Error::invalid_input("gallery", expected, found))
    }

    /// What in the folder was not understood or cannot be read, in the order in which it was found:
    /// pictures in formats that are not read, broken metadata, licenses that contradict each other,
    /// files that `catalog.json` lists and that are not there. A picture whose metadata is not
    /// understood is in the catalog without a license.
    #[cfg(all(feature = "image", feature = "serde"))]
    pub fn problems(&self) -> impl Iterator<Item = &Error> {
        self.problems.iter().map(Arc::as_ref)
    }

    /// Files of the folder that are no pictures, by kind.
    #[cfg(all(feature = "image", feature = "serde"))]
    pub const fn left_out(&self) -> &LeftOut {
        &self.left_out
    }
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
    fn what_is_not_understood_is_named_and_costs_no_picture() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
        for name in ["bee.png", "ant.png", "fly.png", "fly.bmp"] {
            picture(&folder.join(name));
        }
        std::fs::rename(folder.join("ant.png"), folder.join("ant")).unwrap();
        write("bee.json", b"\xef\xbb\xbf{\"license\": \"CC0-1.0\", \"score\": NaN}");
        write("ant.json", b"[]");
        write("fly.json", br#"{"license": "CC0-1.0"}"#);
        write("wasp.heic", b"?");
        write("Thumbs.db", b"");
        write("catalog.json", br#"{"info": "somebody else's"}"#);
        let catalog = Catalog::from_folder(folder).unwrap();
        let licenses: Vec<_> =
            catalog.entries().iter().map(|entry| entry.metadata.license.as_deref()).collect();
        assert_eq!(licenses, [None, Some("CC0-1.0"), None, None]);
        let problems: Vec<String> = catalog.problems().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 4, "{problems:?}");
        for (problem, name) in problems.iter().zip(["catalog.json", "ant.json", "fly.json", "HEIC"])
        {
            assert!(problem.contains(name), "{problem}");
        }
        assert_eq!(catalog.left_out().to_string(), "1 left out (1 system)");
    }

    #[test]
    fn empty_galleries_are_errors_and_what_is_broken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let error = Catalog::from_folder(folder).unwrap_err().to_string();
        assert!(error.starts_with("gallery: expected a folder with files of type"), "{error}");
        assert!(matches!(Catalog::from_folder(folder.join("none")), Err(Error::Io { .. })));
        picture(&folder.join("b.png"));
        for (text, said) in [("{", "catalog"), (r#"[{"file": "c.png"}]"#, "c.png")] {
            std::fs::write(folder.join("catalog.json"), text).unwrap();
            let catalog = Catalog::from_folder(folder).unwrap();
            assert_eq!((catalog.len(), catalog.problems().count()), (1, 1));
            let problem = catalog.problems().next().unwrap().to_string();
            assert!(problem.contains(said), "{problem}");
        }
    }
}

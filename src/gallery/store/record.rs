//! [`ImageRecord`]: what the catalog stores of an image.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::path_text::path_text;
use crate::reference::Metadata;
use crate::{Error, Result};

/// The BLAKE3 hash of an image's file, which identifies the image.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The hash of the bytes of an image file. If there is no file, hash something else that
    /// identifies the image, such as its address.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// A hash from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl FromStr for ContentHash {
    type Err = Error;

    /// The hash of 64 hexadecimal digits.
    fn from_str(digits: &str) -> Result<Self> {
        let hash = blake3::Hash::from_hex(digits);
        let invalid = |_| Error::invalid_input("hash", "64 hexadecimal digits", digits);
        hash.map(|hash| Self(*hash.as_bytes())).map_err(invalid)
    }
}

impl Serialize for ContentHash {
    /// As 64 hexadecimal digits.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// Where the pixels of an image are read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pixels {
    /// A picture file. A path that is not UTF-8 is serialised as a URL, such as
    /// `file:///photos/caf%E9.jpg`.
    File(#[serde(serialize_with = "path_as_text")] PathBuf),
    /// A picture file inside an archive that is not compressed, such as a tar file.
    Member {
        /// The archive.
        #[serde(serialize_with = "path_as_text")]
        archive: PathBuf,
        /// Where the picture file begins, in bytes from the start of the archive.
        offset: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// Nowhere on this machine: the image's source is the address to fetch it from.
    Remote,
}

impl Pixels {
    /// The file to read, and where in it: the first byte and how many there are.
    pub(crate) fn parts(&self) -> (Option<&Path>, Option<(u64, u64)>) {
        match self {
            Self::File(path) => (Some(path), None),
            Self::Member { archive, offset, length } => (Some(archive), Some((*offset, *length))),
            Self::Remote => (None, None),
        }
    }

    /// The file to read.
    pub(crate) fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::File(path) | Self::Member { archive: path, .. } => Some(path),
            Self::Remote => None,
        }
    }

    /// From what [`parts`](Self::parts) gives; a place in no file is none.
    pub(crate) fn from_parts(path: Option<PathBuf>, member: Option<(u64, u64)>) -> Option<Self> {
        match (path, member) {
            (Some(archive), Some((offset, length))) => {
                Some(Self::Member { archive, offset, length })
            }
            (Some(path), None) => Some(Self::File(path)),
            (None, None) => Some(Self::Remote),
            (None, Some(_)) => None,
        }
    }
}

fn path_as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path_text(path))
}

/// What the catalog stores of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageRecord {
    /// The hash of its content; no two images of a gallery have the same.
    pub hash: ContentHash,
    /// The path or address it was added from; no two images of a gallery have the same. A path that
    /// is not UTF-8 is written as a URL, such as `file:///photos/caf%E9.jpg`.
    pub source: String,
    /// Where its pixels are.
    pub pixels: Pixels,
    /// What else is known of it.
    pub metadata: Metadata,
}

/// An image of a gallery.
///
/// It is displayed in one line, and serialised with its hash as hexadecimal digits:
///
/// ```
/// # use imagerag::embedder::Embedding;
/// # use imagerag::gallery::{ContentHash, Fingerprint, Gallery, ImageRecord, Pixels};
/// # use imagerag::reference::Metadata;
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-e-{}", std::process::id()));
/// # let gallery = Gallery::create(&folder, &Fingerprint::named("CLIP ViT-B/32", 2)?)?;
/// # let record = ImageRecord {
/// #     hash: ContentHash::of(b"the file's bytes"),
/// #     source: "photos/quetzal.jpg".into(),
/// #     pixels: Pixels::File("photos/quetzal.jpg".into()),
/// #     metadata: Metadata { license: Some("CC0-1.0".into()), ..Metadata::default() },
/// # };
/// # gallery.writer()?.add(&[(record, Embedding::new([0.6, 0.8])?)])?;
/// use imagerag::gallery::Entry;
///
/// let entry: Entry = gallery.by_source("photos/quetzal.jpg")?.expect("it was added");
/// assert_eq!(entry.to_string(), "image 0: photos/quetzal.jpg (CC0-1.0)");
/// let json = serde_json::to_value(&entry).expect("its fields are plain");
/// assert_eq!(json["record"]["hash"], entry.record.hash.to_string());
/// assert_eq!(json["record"]["pixels"]["file"], "photos/quetzal.jpg");
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The image's id: the row of its vector. It stays the same until the gallery is compacted.
    pub id: u64,
    /// What is known of it.
    pub record: ImageRecord,
}

impl fmt::Display for ImageRecord {
    /// The source and the license.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let license = self.metadata.license.as_deref().unwrap_or("license unknown");
        write!(f, "{} ({license})", self.source)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image {}: {}", self.id, self.record)
    }
}

/// The result of adding an image to a gallery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is new, with this id.
    New(u64),
    /// Its content was there already, under this id.
    ///
    /// Where it comes from the same source, or no longer is where it was, the image's record becomes
    /// the new one: the license, author, origin and JSON are those that are said now, and **absent if
    /// none are said**, whatever was said before. Only a caption and a size, which others may have
    /// added, stay where the new record has none.
    ///
    /// Where it still is where it was too, it is a copy, and the image's record stays. If the copy has
    /// another license than the image, the image has none from then on: the copy is among
    /// [`Gallery::rejected`](crate::gallery::Gallery::rejected) with both licenses, which
    /// [`Metadata::json`] holds as `licenses_of_copies`. A license that only a copy has does not
    /// count, and a copy without one contradicts none.
    Known(u64),
    /// Its source was there with other content, as image `old`, which is removed unless its content
    /// is met under another source in the same call, or in the same
    /// [`Ingest`](crate::gallery::ingest::Ingest).
    Updated {
        /// The new image's id.
        id: u64,
        /// The id of the image that it replaces.
        old: u64,
    },
}

impl Added {
    /// The id of the image.
    pub const fn id(self) -> u64 {
        match self {
            Self::New(id) | Self::Known(id) | Self::Updated { id, .. } => id,
        }
    }
}

/// An image that could not be added, or metadata that was not understood, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The path or address.
    pub source: String,
    /// Why it is not in the gallery: an error with all its causes, in one line.
    pub reason: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.reason)
    }
}

//! [`Item`]: one image on its way into a gallery.

use std::path::PathBuf;

use crate::Image;
use crate::embedder::Embedding;
use crate::gallery::Pixels;
use crate::path_text::path_text;
use crate::reference::Metadata;

/// One image to take in.
///
/// A reader of your own is an iterator of items:
/// ```
/// use imagerag::Image;
/// use imagerag::gallery::Rejected;
/// use imagerag::gallery::ingest::{Content, Item};
/// use imagerag::reference::Metadata;
///
/// let pixels = Image::new(1, 1, [0, 140, 70])?;
/// let license = Some("CC0-1.0".to_owned());
/// let drawn = Item::new("camera 2, frame 17", Content::Image(pixels))
///     .with_metadata(Metadata { license, ..Metadata::default() });
/// // For `Ingest::run`. What cannot be read is an `Err`, which the gallery lists.
/// let items: [Result<Item, Rejected>; 2] = [Ok(Item::file("photos/quetzal.jpg")), Ok(drawn)];
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Item {
    /// Where it comes from: a path, `SHARD.tar#MEMBER`, or an address.
    pub source: String,
    /// Its pixels.
    pub content: Content,
    /// What is known of it.
    pub metadata: Metadata,
    /// Its embedding, where somebody has computed it.
    pub embedding: Option<Embedding>,
    /// Sources of the files that its metadata was read from.
    pub(super) read_from: Vec<String>,
}

/// The pixels of an [`Item`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// They stay in this file or archive, and are read from there.
    At(Pixels),
    /// The bytes of an image file, which the gallery stores.
    Bytes(Vec<u8>),
    /// An image, which the gallery stores as PNG.
    Image(Image),
}

impl Item {
    /// An image from `source`; nothing else is known of it.
    pub fn new(source: impl Into<String>, content: Content) -> Self {
        let (source, metadata) = (source.into(), Metadata::default());
        Self { source, content, metadata, embedding: None, read_from: Vec::new() }
    }

    /// A picture file, which stays where it is. Its source is its path; one that is not UTF-8 is
    /// written as a URL, such as `file:///photos/caf%E9.jpg`.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::new(path_text(&path).into_owned(), Content::At(Pixels::File(path)))
    }

    /// With what is known of it.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// With its embedding, which is then not computed.
    #[must_use]
    pub fn with_embedding(mut self, embedding: Embedding) -> Self {
        self.embedding = Some(embedding);
        self
    }

    /// With the sources of the files that its metadata was read from: they are no longer rejected.
    pub(super) fn read_from(mut self, sources: Vec<String>) -> Self {
        self.read_from = sources;
        self
    }
}

//! A retrieved image, with the caption it was retrieved for and where it comes from.
//!
//! ```
//! use futures::executor::block_on;
//! # use imagerag::Image;
//! use imagerag::reference::{Caption, Metadata, Provenance, Reference, Source};
//!
//! // What a retriever of your own returns.
//! # let image = Image::new(1, 1, [0, 140, 70])?;
//! let uri = Source::Uri("https://example.org/quetzal.jpg".into());
//! let license = Some("CC-BY-4.0".into());
//! let reference = Reference {
//!     picture: image.into(), // Or `Picture::file`, `Picture::bytes`, `Picture::lazy`.
//!     caption: Caption::new("a quetzal perched on a mossy branch", "a quetzal"),
//!     provenance: Provenance::new(uri, "my-archive", 0.31, 0)
//!         .with_metadata(Metadata { license, ..Metadata::default() }),
//! };
//! assert_eq!(block_on(reference.image())?.width(), 1);
//! # Ok::<(), imagerag::Error>(())
//! ```

mod caption;
mod filter;
mod metadata;
mod picture;
mod provenance;

use futures::future::try_join_all;

use crate::image::Image;
use crate::{Error, Result};

pub use caption::Caption;
#[cfg(feature = "serde")]
pub use filter::FieldValue;
pub use filter::{Clause, Filter};
pub use metadata::Metadata;
pub use picture::Picture;
pub use provenance::{Finding, Provenance, Source};

/// An image that shows what a caption describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The picture, which is decoded when it is needed.
    pub picture: Picture,
    /// What it was retrieved for.
    pub caption: Caption,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl Reference {
    /// A picture of the caller's own, for conditioners that are used without a retriever. Give each
    /// of several a [`Source`] of its own.
    ///
    /// ```
    /// use imagerag::reference::{Caption, Picture, Reference, Source};
    ///
    /// let reference = Reference::new(Picture::file("quetzal.jpg"), Caption::concept("a quetzal"));
    /// assert_eq!(reference.provenance.source, Source::Caller(0));
    /// ```
    pub fn new(picture: impl Into<Picture>, caption: Caption) -> Self {
        let provenance = Provenance::new(Source::Caller(0), "caller", 1.0, 0);
        Self { picture: picture.into(), caption, provenance }
    }

    /// The pixels.
    ///
    /// # Errors
    /// Those of [`Picture::load`], of the same kind, in which the source of the picture is named.
    pub async fn image(&self) -> Result<Image> {
        let image = self.picture.load().await;
        image.map_err(|error| naming(error, &self.provenance.source.to_string()))
    }

    /// The pixels, or `None` if they cannot be read and the picture is marked with
    /// [`Picture::skipping_unreadable`].
    ///
    /// # Errors
    /// Those of [`image`](Self::image), if the picture is not marked.
    pub async fn readable_image(&self) -> Result<Option<Image>> {
        match self.image().await {
            Err(_) if self.picture.skips_unreadable() => Ok(None),
            image => image.map(Some),
        }
    }

    /// Whether both are known to be one image: equal sources, or equal pictures under two names.
    /// Nothing is decoded for it.
    pub(crate) fn shows_the_same(&self, other: &Self) -> bool {
        self.provenance.source == other.provenance.source || self.picture == other.picture
    }
}

/// `error`, which a picture from `source` gave, with that source, unless what it is about is the
/// source. [`Error::Cancelled`] and [`Error::MissingPart`] are about no picture.
fn naming(mut error: Error, source: &str) -> Error {
    let (of, aside) = (format!(" of {source}"), format!(" (picture {source})"));
    let (subject, suffix) = match &mut error {
        Error::InvalidFile { path, .. } | Error::Io { path, .. } if path.as_os_str() == source => {
            return error;
        }
        Error::Io { source: reason, .. } => {
            // One that was named by a reference that this one loads is named already.
            if !reason.to_string().ends_with(&aside) {
                *reason = std::io::Error::new(reason.kind(), format!("{reason}{aside}"));
            }
            return error;
        }
        Error::InvalidInput { what, .. }
        | Error::InvalidFile { what, .. }
        | Error::OutOfMemory { what, .. }
        | Error::Backend { what, .. } => (what, of),
        // The subject is who was asked, not what for.
        Error::Unavailable { what, .. }
        | Error::Timeout { what, .. }
        | Error::AllFailed { what, .. } => (what, aside),
        Error::Service { service, .. }
        | Error::Connection { service, .. }
        | Error::InvalidReply { service, .. }
        | Error::Refused { service, .. } => (service, aside),
        Error::Incompatible { right, .. } => (right, aside),
        Error::MissingPart { .. } | Error::Cancelled => return error,
    };
    if subject != source && !subject.ends_with(&suffix) {
        subject.push_str(&suffix);
    }
    error
}

/// The pixels of every reference, decoded side by side.
pub(crate) async fn images(references: &[Reference]) -> Result<Vec<Image>> {
    try_join_all(references.iter().map(Reference::image)).await
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn every_error_of_a_picture_names_its_source_once() {
        const SOURCE: &str = "https://example.org/bee.jpg";
        let told = |error: fn() -> Error| {
            block_on(failing(SOURCE, error).image()).unwrap_err().chain().to_string()
        };
        let said = told(|| Error::invalid_input("picture", "PNG", "text"));
        assert_eq!(said, format!("picture of {SOURCE}: expected PNG, found text"));
        let said = told(|| Error::backend("decoder", "it panicked"));
        assert_eq!(said, format!("decoder of {SOURCE} failed: it panicked"));
        let said = told(|| Error::Service {
            service: "the archive".to_owned(),
            status: 404,
            message: "no such file".to_owned(),
            retry_after: None,
        });
        assert_eq!(said, format!("the archive (picture {SOURCE}) answered 404: no such file"));
        let said = told(|| Error::io("cache/7", ErrorKind::NotFound.into()));
        assert!(said.ends_with(&format!("(picture {SOURCE})")), "{said}");
        // The kind stays, and what is named already is not named again.
        let said = told(|| Error::io(SOURCE, ErrorKind::NotFound.into()));
        assert_eq!(said.matches(SOURCE).count(), 1);
        let reference = failing(SOURCE, || Error::io("cache/7", ErrorKind::NotFound.into()));
        let Err(Error::Io { source, .. }) = block_on(reference.image()) else { panic!("no Io") };
        assert_eq!(source.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_source_of_one_letter_is_named_in_every_kind_of_error() {
        let lost = || std::io::Error::from(ErrorKind::NotFound);
        let limit = std::time::Duration::from_secs(3);
        let memory = Error::OutOfMemory { what: "up".into(), requested: None, source: "9".into() };
        for (error, expected) in [
            (
                Error::invalid_input("picture", "PNG", "text"),
                "picture of u: expected PNG, found text",
            ),
            (Error::invalid_file("u.tar", "x", "a", "b"), "u.tar: x of u: expected a, found b"),
            (Error::invalid_file("u", "x", "a", "b"), "u: x: expected a, found b"),
            (Error::io("u.tar", lost()), "cannot access u.tar: entity not found (picture u)"),
            (Error::io("u", lost()), "cannot access u: entity not found"),
            (Error::unavailable("hub", "out"), "hub (picture u) is not available: out"),
            (Error::unavailable("u", "out"), "u is not available: out"),
            (Error::service("hub", 404, "out"), "hub (picture u) answered 404: out"),
            (Error::connection("hub", "out"), "hub (picture u) could not be reached: out"),
            (Error::timeout("hub", limit), "hub (picture u) took longer than 3s"),
            (
                Error::invalid_reply("hub", "a", "b"),
                "hub (picture u) gave a reply that makes no sense: expected a, found b",
            ),
            (Error::refused("hub", "out"), "hub (picture u) declines the request: out"),
            (memory, "up of u ran out of memory: 9"),
            (Error::backend("up", "it broke"), "up of u failed: it broke"),
            (
                Error::incompatible("hub", "up", "a", "b"),
                "hub does not fit up (picture u): expected a, found b",
            ),
            (Error::Cancelled, "cancelled"),
        ] {
            let named = naming(error, "u");
            assert_eq!(named.chain().to_string(), expected);
            // A reference that loads another of the same source names it once.
            assert_eq!(naming(named, "u").chain().to_string(), expected);
        }
    }

    fn failing(source: &str, error: fn() -> Error) -> Reference {
        let picture = Picture::lazy("key", move || std::future::ready(Err(error())));
        let provenance = Provenance::new(Source::Uri(source.to_owned()), "any", 1.0, 0);
        Reference { picture, caption: Caption::concept("a bee"), provenance }
    }
}

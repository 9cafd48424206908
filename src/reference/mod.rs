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

/// `error`, which a picture from `source` gave, with that source where it is not named yet.
fn naming(mut error: Error, source: &str) -> Error {
    if error.chain().to_string().contains(source) {
        return error;
    }
    let subject = match &mut error {
        Error::InvalidInput { what, .. }
        | Error::InvalidFile { what, .. }
        | Error::Unavailable { what, .. }
        | Error::Timeout { what, .. }
        | Error::OutOfMemory { what, .. }
        | Error::Backend { what, .. } => what,
        Error::Service { service, .. }
        | Error::Connection { service, .. }
        | Error::InvalidReply { service, .. }
        | Error::Refused { service, .. } => service,
        Error::Incompatible { right, .. } => right,
        Error::Io { source: reason, .. } => {
            *reason = std::io::Error::new(reason.kind(), format!("{reason} (picture {source})"));
            return error;
        }
        _ => return error,
    };
    *subject = format!("{subject} of {source}");
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
        assert_eq!(said, format!("the archive of {SOURCE} answered 404: no such file"));
        let said = told(|| Error::io("cache/7", ErrorKind::NotFound.into()));
        assert!(said.ends_with(&format!("(picture {SOURCE})")), "{said}");
        // The kind stays, and what is named already is not named again.
        let said = told(|| Error::io(SOURCE, ErrorKind::NotFound.into()));
        assert_eq!(said.matches(SOURCE).count(), 1);
        let reference = failing(SOURCE, || Error::io("cache/7", ErrorKind::NotFound.into()));
        let Err(Error::Io { source, .. }) = block_on(reference.image()) else { panic!("no Io") };
        assert_eq!(source.kind(), ErrorKind::NotFound);
    }

    fn failing(source: &str, error: fn() -> Error) -> Reference {
        let picture = Picture::lazy("key", move || std::future::ready(Err(error())));
        let provenance = Provenance::new(Source::Uri(source.to_owned()), "any", 1.0, 0);
        Reference { picture, caption: Caption::concept("a bee"), provenance }
    }
}

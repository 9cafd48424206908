//! A retrieved image, with the caption it was retrieved for and where it comes from.

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
    /// The pixels.
    ///
    /// # Errors
    /// Those of [`Picture::load`]; where the picture is broken, the error names its source.
    pub async fn image(&self) -> Result<Image> {
        self.picture.load().await.map_err(|error| match error {
            Error::InvalidInput { what, expected, found } => {
                let what = format!("{what} of {}", self.provenance.source);
                Error::InvalidInput { what, expected, found }
            }
            other => other,
        })
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

/// The pixels of every reference, decoded side by side.
pub(crate) async fn images(references: &[Reference]) -> Result<Vec<Image>> {
    try_join_all(references.iter().map(Reference::image)).await
}

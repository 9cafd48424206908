//! What a gallery keeps on disk: its catalog, its vectors, and what it acknowledged.

pub(in crate::gallery) mod acknowledged;
pub(in crate::gallery) mod catalog;
pub(in crate::gallery) mod change;
pub(in crate::gallery) mod create;
mod fingerprint;
mod iterate;
pub(in crate::gallery) mod manifest;
pub(in crate::gallery) mod pixels;
pub(in crate::gallery) mod record;
pub(in crate::gallery) mod snapshot;
pub(in crate::gallery) mod vectors;
mod writer;

pub use fingerprint::Fingerprint;
pub use record::{Added, ContentHash, Entry, ImageRecord, Pixels, Rejected};
pub use writer::GalleryWriter;

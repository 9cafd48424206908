//! What a gallery keeps on disk: its catalog, its vectors, and what it acknowledged.

pub(crate) mod acknowledged;
pub(crate) mod catalog;
pub(crate) mod change;
mod copies;
pub(crate) mod create;
pub(crate) mod fingerprint;
mod iterate;
pub(crate) mod manifest;
pub(crate) mod pixels;
mod place;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod vectors;
mod writer;

pub use fingerprint::Fingerprint;
pub use record::{Added, ContentHash, Entry, ImageRecord, Pixels, Rejected};
pub use writer::GalleryWriter;

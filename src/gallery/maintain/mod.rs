//! What keeps a gallery in order: checked, compacted, counted, handed on.

mod compact;
mod export;
#[cfg(feature = "milvus")]
mod milvus;
mod near_duplicates;
mod relocate;
mod stats;
mod verify;

pub use stats::GalleryStats;
pub use verify::{Depth, Verification};

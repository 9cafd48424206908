//! Images from wherever they are into a gallery: readers that find them, and the pipeline that
//! decodes, embeds and keeps them.

mod batch;
mod clip_retrieval;
mod fields;
mod folder;
mod gate;
mod item;
mod load;
mod npy;
mod pipeline;
mod progress;
mod table;
mod tar_table;
mod web_dataset;
mod workers;

pub use clip_retrieval::ClipRetrieval;
pub use folder::Folder;
pub use item::{Content, Item};
pub use pipeline::Ingest;
pub use progress::IngestProgress;
pub use web_dataset::WebDataset;

use super::Rejected;
use crate::Error;

/// What is from `source` is not taken in, for `reason`.
fn rejected(source: impl Into<String>, reason: Error) -> Rejected {
    // One line, whatever a decoder says.
    let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    Rejected { source: source.into(), reason }
}

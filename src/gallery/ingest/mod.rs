//! Images from wherever they are into a gallery: readers that find them, and the pipeline that
//! decodes, embeds and keeps them.
//!
//! ```no_run
//! # use imagerag::{Embedder, Result, gallery::Gallery};
//! # async fn take_in(gallery: Gallery, embedder: impl Embedder) -> Result<()> {
//! use imagerag::gallery::ingest::{Folder, Ingest, IngestProgress};
//!
//! let tell = |at: &IngestProgress| match at.remaining() {
//!     Some(left) => println!("{at}, {left:.0?} left"),
//!     None => println!("{at}"),
//! };
//! // Counted beforehand, so that the time that is left is known.
//! let pictures = Folder::open("photos")?.counted();
//! let done = Ingest::into(&gallery)
//!     .with_embedder(embedder)
//!     .with_batch(256)
//!     .with_threads(8)
//!     .with_max_pixels(40_000_000)
//!     .run(pictures, tell)
//!     .await?;
//! println!("{} of {} are new", done.added, done.seen());
//! // Captions without a picture, what systems leave behind, films, …
//! println!("{}", done.left_out);
//! for rejected in gallery.rejected()? {
//!     eprintln!("{rejected}");
//! }
//! # Ok(())
//! # }
//! ```

mod batch;
mod batches;
mod clip_retrieval;
mod folder;
mod item;
mod load;
mod npy;
mod pipeline;
mod progress;
mod relative;
mod samples;
mod shards;
mod sources;
mod table;
mod tally;
mod tar_table;
mod web_dataset;
mod workers;
mod writer;

pub use crate::folder::{LeftOut, LeftOutKind};
pub use clip_retrieval::ClipRetrieval;
pub use folder::Folder;
pub use item::{Content, Item};
pub use pipeline::Ingest;
pub use progress::IngestProgress;
pub use web_dataset::WebDataset;
#[cfg(feature = "evaluation")]
pub(crate) use web_dataset::texts as member_texts;
#[cfg(feature = "milvus")]
pub(super) use writer::Writer;

use super::Rejected;
use crate::Error;
use crate::folder::walk::list;

/// What is from `source` is not taken in, for `reason` with all its causes.
fn rejected(source: impl Into<String>, reason: Error) -> Rejected {
    let (source, reason) = (source.into(), reason.chain().to_string());
    // An error about the file itself begins with its path, which stands in front of the reason anyway.
    let prefix = format!("{source}: ");
    let reason = reason.strip_prefix(prefix.as_str()).unwrap_or(&reason);
    // One line, whatever a decoder says.
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    Rejected { source, reason }
}

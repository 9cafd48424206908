//! Pictures to a user study that opens in a browser, and its answers to win rates.
//!
//! ```text
//!   Results ─┐                ┌─ folder/   index.html, study.json, pictures/   ── published
//!            ├─ Study::write ─┤                     │ participants' answers
//!   Dataset ─┘                └─ key.csv  ── kept ──┴──▶ analyse ──▶ Analysis: table, figure
//! ```
//!
//! The folder needs no server: it works from disk and on any web host. Nothing in it tells which system
//! drew which picture; that is in the key alone, which is written elsewhere and never published.

mod analyse;
mod analysis;
mod answers;
mod check;
mod count;
mod draft;
mod figure;
mod html;
mod key;
mod list;
mod picture;
mod places;
mod published;
mod select;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod valid;
mod write;

pub use analyse::analyse;
pub use analysis::{Analysis, Contains, Dropped, LeftOut, PairedContains, Preference, Strength};
pub use settings::{Study, StudyKind};
pub use write::StudyFolder;

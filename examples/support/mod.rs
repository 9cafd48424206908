//! What the examples share.

pub mod progress;
pub mod sheet;
pub mod world;

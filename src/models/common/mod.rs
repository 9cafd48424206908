//! What networks of every family are made of: weights, layers, devices, and the thread they run on.

pub(crate) mod checkpoint;
pub(crate) mod cuda;
mod device;
pub(crate) mod encoder;
pub(crate) mod failure;
pub(crate) mod fields;
pub(crate) mod files;
pub(crate) mod free_memory;
#[cfg(test)]
pub(crate) mod golden;
mod held;
pub(crate) mod idle_team;
pub(crate) mod inventory;
pub(crate) mod json;
pub(crate) mod layers;
pub(crate) mod log_sum_exp;
pub(crate) mod mark;
pub(crate) mod math;
pub(crate) mod memory_format;
pub(crate) mod noise;
pub(crate) mod passive_wait;
pub(crate) mod prefetch;
pub(crate) mod preprocess;
pub(crate) mod product;
mod stored;
pub(crate) mod towers;
mod upload;
pub(crate) mod weights;
pub(crate) mod worker;

pub use device::{DType, Device};
pub use inventory::Inventory;
pub use preprocess::Preprocessing;

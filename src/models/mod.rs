//! Networks, one folder per family; nothing here knows of retrieval.

pub(crate) mod clip;
pub(crate) mod config;
pub(crate) mod cuda;
mod device;
pub(crate) mod failure;
mod files;
pub(crate) mod flux;
#[cfg(test)]
pub(crate) mod golden;
mod held;
mod inventory;
pub(crate) mod ip_adapter;
mod layers;
mod log_sum_exp;
pub(crate) mod mark;
mod math;
mod memory_format;
pub(crate) mod noise;
pub(crate) mod preprocess;
mod product;
pub(crate) mod resample;
pub(crate) mod schedule;
pub(crate) mod sdxl;
pub(crate) mod sentencepiece;
pub(crate) mod siglip;
mod special_tokens;
mod stored;
pub(crate) mod t5;
mod upload;
pub(crate) mod vae;
pub(crate) mod weights;
pub(crate) mod worker;

pub use device::{DType, Device};
pub use inventory::{COMPONENTS, Inventory, inventory};
pub use schedule::SchedulerKind;
pub use vae::VaeTiling;

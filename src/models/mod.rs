//! Networks, one folder per family; nothing here knows of retrieval.
#![allow(dead_code)] // until every network has its caller

mod clip;
mod config;
mod device;
mod files;
#[cfg(test)]
mod golden;
mod inventory;
pub(crate) mod ip_adapter;
mod layers;
mod math;
pub(crate) mod noise;
mod preprocess;
mod resample;
pub(crate) mod schedule;
pub(crate) mod sdxl;
pub(crate) mod vae;
mod weights;
mod worker;

pub use device::{DType, Device};
pub use inventory::Inventory;
pub use schedule::SchedulerKind;
pub use vae::VaeTiling;

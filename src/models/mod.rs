//! Networks, one folder per family; nothing here knows of retrieval.

pub(crate) mod clip;
pub(crate) mod common;
pub(crate) mod flux;
mod inventory;
pub(crate) mod ip_adapter;
pub(crate) mod model_index;
pub(crate) mod schedule;
pub(crate) mod sdxl;
pub(crate) mod siglip;
pub(crate) mod t5;
pub(crate) mod tokenizers;
pub(crate) mod vae;

pub use common::{DType, Device, Inventory};
pub use inventory::{COMPONENTS, inventory};
pub use schedule::SchedulerKind;
pub use vae::VaeTiling;

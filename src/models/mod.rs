//! Networks, one folder per family; nothing here knows of retrieval.
//!
//! What is public here are the settings that the local parts share. As a command line gives them:
//! ```no_run
//! use imagerag::generator::Sdxl;
//! use imagerag::models::{DType, Device, SchedulerKind, VaeTiling};
//!
//! let (device, dtype): (Device, DType) = ("cuda:1".parse()?, "f16".parse()?);
//! let scheduler: SchedulerKind = "dpm++".parse()?;
//! let sdxl = Sdxl::builder("stable-diffusion-xl-base-1.0")
//!     .device(device)
//!     .dtype(dtype)
//!     .scheduler(scheduler)
//!     .vae_tiling(VaeTiling::Always)
//!     .load()?;
//! # Ok::<(), imagerag::Error>(())
//! ```

pub(crate) mod clip;
pub(crate) mod common;
pub(crate) mod dino;
pub(crate) mod flux;
mod inventory;
pub(crate) mod ip_adapter;
pub(crate) mod model_index;
pub(crate) mod omnigen;
pub(crate) mod pixart;
pub(crate) mod schedule;
pub(crate) mod sdxl;
pub(crate) mod siglip;
pub(crate) mod t5;
pub(crate) mod tokenizers;
pub(crate) mod vae;

pub use common::{DType, Device, Inventory, Preprocessing};
pub use inventory::{COMPONENTS, inventory};
pub use schedule::SchedulerKind;
pub use tokenizers::llama::TokenizerReading;
pub use vae::VaeTiling;

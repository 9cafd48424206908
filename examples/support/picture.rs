//! Options of a picture that every generator has.

use std::path::PathBuf;

use clap::Args;
use imagerag::models::{DType, Device};

/// What is drawn, where and how.
#[derive(Args)]
pub(crate) struct Picture {
    /// What to draw.
    #[arg(long)]
    pub(crate) prompt: String,
    /// Seed of the starting noise.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Width in pixels; the checkpoint's own by default.
    #[arg(long)]
    pub(crate) width: Option<u32>,
    /// Height in pixels; the checkpoint's own by default.
    #[arg(long)]
    pub(crate) height: Option<u32>,
    /// cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: Device,
    /// f32, f16 or bf16.
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: DType,
    /// Where the image goes.
    #[arg(long, value_name = "IMG.png")]
    pub(crate) out: PathBuf,
}

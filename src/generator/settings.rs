//! What every builder of a generator on this machine can be told.

use std::path::{Path, PathBuf};

use super::loading::Loading;
use super::request::Listener;
use crate::models::{DType, Device, VaeTiling};

/// Settings that do not depend on the family; `None` leaves one to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) folder: PathBuf,
    pub(super) variant: Option<String>,
    pub(super) device: Device,
    pub(super) dtype: DType,
    pub(super) steps: Option<usize>,
    pub(super) guidance_scale: Option<f64>,
    pub(super) negative_prompt: Option<String>,
    pub(super) tiling: VaeTiling,
    pub(super) batch_pixels: Option<u64>,
    pub(super) listener: Listener<Loading>,
}

impl Settings {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..Self::default() }
    }
}

/// The setters of a builder's field `settings`. The texts end the documentation of each: what counts
/// where nothing is said.
macro_rules! shared_setters {
    (steps: $steps:literal, guidance: $guidance:literal, negative: $negative:literal) => {
        /// The variant of the weights where a part of the checkpoint has several, such as `fp16` or
        /// `non_ema`, as diffusers' `variant`. By default the weights without a variant are read, and
        /// where there are none, the first of `fp32`, `fp16`, `bf16` and then the others by name. A
        /// part that lacks the variant is read as by default; that all parts lack it is an error.
        pub fn variant(mut self, variant: impl Into<String>) -> Self {
            self.settings.variant = Some(variant.into());
            self
        }

        /// The device to compute on; the CPU by default.
        pub const fn device(mut self, device: crate::models::Device) -> Self {
            self.settings.device = device;
            self
        }

        /// The dtype to compute in; f32 by default. With f16, the VAE still computes in f32 if the
        /// checkpoint asks for it (`force_upcast`).
        pub const fn dtype(mut self, dtype: crate::models::DType) -> Self {
            self.settings.dtype = dtype;
            self
        }

        #[doc = concat!("Denoising steps where a request asks for none, at least 1; ", $steps)]
        pub const fn steps(mut self, steps: usize) -> Self {
            self.settings.steps = Some(steps);
            self
        }

        #[doc = concat!("Guidance where a request asks for none, at least 0; ", $guidance)]
        pub const fn guidance_scale(mut self, scale: f64) -> Self {
            self.settings.guidance_scale = Some(scale);
            self
        }

        #[doc = concat!("The negative prompt where a request has none", $negative)]
        pub fn negative_prompt(mut self, prompt: impl Into<String>) -> Self {
            self.settings.negative_prompt = Some(prompt.into());
            self
        }

        /// When the VAE decodes in tiles.
        pub const fn vae_tiling(mut self, tiling: crate::models::VaeTiling) -> Self {
            self.settings.tiling = tiling;
            self
        }

        /// The most pixels of a batch, all its images together; 0 draws each image alone. The
        /// default is 2,048 x 2,048 on a GPU and 128 x 128 on a CPU in f32, and 0 in f16 and bf16:
        /// with 16 bits, an image would depend on the others of its batch, because a batch changes
        /// the order of sums and so their rounding.
        pub const fn batch_pixels(mut self, pixels: u64) -> Self {
            self.settings.batch_pixels = Some(pixels);
            self
        }

        /// Calls `listener` before each part of the checkpoint is loaded and once more at the end,
        /// on the model's thread.
        pub fn load_listener(
            mut self,
            listener: impl Fn(crate::generator::Loading) + Send + Sync + 'static,
        ) -> Self {
            self.settings.listener = crate::generator::request::Listener::new(listener);
            self
        }
    };
}

pub(super) use shared_setters;

//! Noisy latents, a timestep and text to the noise in them: SDXL's UNet, one file a part.

pub(crate) mod attention;
pub(crate) mod blocks;
pub(crate) mod config;
pub(crate) mod layout;
pub(crate) mod resnet;
pub(crate) mod time;
pub(crate) mod unet;

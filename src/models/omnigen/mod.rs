//! A prompt with pictures and noisy latents to the flow of each latent: OmniGen, one file a part.

// The generator that calls these parts comes next.
#![allow(dead_code)]

pub(crate) mod picture;
pub(crate) mod prompt;

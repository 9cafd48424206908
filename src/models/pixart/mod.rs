//! Noisy latents, a time and a caption to the noise in the latents: PixArt-Σ's transformer, one file
//! a part.

mod adaln;
mod block;
pub(crate) mod config;
mod patches;
#[cfg(test)]
mod tests;
pub(crate) mod transformer;

//! A prompt with pictures and noisy latents to the flow of each latent: OmniGen, one file a part.

mod block;
pub(crate) mod condition;
pub(crate) mod conditions;
pub(crate) mod config;
mod names;
mod patches;
pub(crate) mod picture;
pub(crate) mod prompt;
pub(crate) mod rope;
#[cfg(test)]
mod tests;
pub(crate) mod transformer;

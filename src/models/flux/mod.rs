//! Noisy latents, a time and text to the flow of each latent: FLUX's transformer, one file a part.
//!
//! # Branches
//! A sequence is made of [`Branch`](branch::Branch)es: the text first, then the image that is
//! drawn, then a condition where there is one. Each has its own tokens, positions
//! ([`Rope`](rope::Rope)), modulation vectors ([`Modulations`](modulation::Modulations), from its
//! own time) and, where an adapter asks for it, its own [`Lora`](lora::Lora). Blocks take any
//! number of them: in a double block the first goes through the text's weights and all others
//! through the image's; in a single block all go through the same. They meet in
//! [`joint_attention`](attention::joint_attention) alone.
//!
//! Branches of the same time and LoRA may be joined to one for the single blocks, as text and image
//! are: their weights are the same there.

pub(crate) mod attention;
pub(crate) mod branch;
pub(crate) mod condition;
#[cfg(test)]
mod condition_tests;
pub(crate) mod config;
pub(crate) mod double;
mod embedding;
pub(crate) mod latents;
pub(crate) mod lora;
pub(crate) mod lora_file;
pub(crate) mod modulation;
pub(crate) mod rope;
pub(crate) mod single;
mod strength;
#[cfg(test)]
mod tests;
pub(crate) mod transformer;

//! Noisy latents, a time and text to the flow of each latent: FLUX's transformer, one file a part.
//!
//! # Branches
//! What the transformer reads is made of [`Branch`](branch::Branch)es: the text first, then the
//! image that is drawn, then a condition where there is one. Each has its own tokens, positions
//! ([`Rope`](rope::Rope)), modulation vectors ([`Modulations`](modulation::Modulations), from its
//! own time) and, where an adapter asks for it, its own [`Lora`](lora::Lora).
//!
//! Branches that go through the same weights are one [`Sequence`](branch::Sequence), so that each
//! product is one for all of them: in a double block the text, and image and condition; in a single
//! block all, where text and image, whose time is the same, are even one branch. Sequences meet in
//! [`joint_attention`](attention::joint_attention) alone.

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

//! Texts to the token numbers that text networks read.

pub(crate) mod clip;
pub(crate) mod sentencepiece;
pub(crate) mod siglip;
mod special_tokens;
pub(crate) mod t5;

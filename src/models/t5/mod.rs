//! T5: texts to the states that FLUX reads.

mod config;
mod encoder;
mod tokenizer;

pub(crate) use config::T5Config;
pub(crate) use encoder::T5Encoder;
pub(crate) use tokenizer::Tokenizer;

#[cfg(test)]
mod tests;

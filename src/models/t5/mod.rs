//! T5: texts to the states that FLUX reads.

mod config;
mod encoder;

pub(crate) use config::T5Config;
pub(crate) use encoder::T5Encoder;

#[cfg(test)]
mod tests;

//! T5: texts to the states that FLUX reads.

mod tokenizer;

pub(crate) use tokenizer::{Tokenizer, Tokens};

#[cfg(test)]
mod tests;

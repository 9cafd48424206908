//! SentencePiece: a trained `spiece.model` to pieces with scores, and a text to those of them that
//! fit it best.

mod charsmap;
mod model;
mod processor;
mod wire;

pub(crate) use charsmap::Charsmap;
pub(crate) use model::{Model, Piece, PieceType};
pub(crate) use processor::{Processor, SPACE};

#[cfg(test)]
pub(crate) mod tests;

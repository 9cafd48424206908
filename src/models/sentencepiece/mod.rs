//! SentencePiece: a trained `spiece.model` to pieces with scores, and a text to those of them that
//! fit it best.

mod charsmap;
mod model;
mod wire;

pub(crate) use charsmap::Charsmap;
pub(crate) use model::{Model, Piece, PieceType};

#[cfg(test)]
pub(crate) mod tests;

//! A `spiece.model` to the pieces and rules that SentencePiece trained: `sentencepiece_model.proto`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::Charsmap;
use super::wire::{Fields, Value};
use crate::models::common::json::{read_bytes, require};
use crate::{Error, Result};

/// A trained model. A field that the file leaves out has the schema's default.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) path: PathBuf,
    /// Their positions are their numbers.
    pub(crate) pieces: Vec<Piece>,
    /// The number of the piece that stands for what no other piece fits.
    pub(crate) unknown: usize,
    /// Whether bytes stand for what no other piece fits.
    pub(crate) byte_fallback: bool,
    /// How characters are rewritten first; `None` where they are not.
    pub(crate) charsmap: Option<Charsmap>,
    /// Whether a text begins with a space, whether it has one or not.
    pub(crate) add_dummy_prefix: bool,
    /// Whether spaces at both ends and after another are dropped.
    pub(crate) remove_extra_whitespaces: bool,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Logarithm of its probability; higher is likelier.
    pub(crate) score: f32,
    pub(crate) kind: PieceType,
}

/// How a model cuts texts; the numbers are those of `TrainerSpec.ModelType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    /// The likeliest pieces, by their probabilities.
    Unigram = 1,
    /// Pairs that are merged again and again, the best score first.
    Bpe = 2,
}

/// What a piece stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceType {
    Normal,
    Unknown,
    /// Stands for no text, such as the end of one.
    Control,
    /// Found whatever its score.
    UserDefined,
    Unused,
    /// One byte of what no other piece fits.
    Byte,
}

impl Model {
    /// The Unigram model in the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::parse(path, &read_bytes(path)?)
    }

    /// The Unigram model in `bytes`, which came from `path`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        Self::read(path, bytes, Algorithm::Unigram)
    }

    /// The BPE model in the file at `path`.
    pub(crate) fn open_bpe(path: &Path) -> Result<Self> {
        Self::read(path, &read_bytes(path)?, Algorithm::Bpe)
    }

    fn read(path: &Path, bytes: &[u8], algorithm: Algorithm) -> Result<Self> {
        let mut model = Self {
            path: path.to_owned(),
            pieces: Vec::new(),
            unknown: 0,
            byte_fallback: false,
            charsmap: None,
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
        };
        let mut found_algorithm = Algorithm::Unigram as u64;
        let broken = |found| Error::invalid_file(path, "file", "a SentencePiece model", found);
        for field in Fields::new(bytes) {
            match field.map_err(broken)? {
                (1, Value::Bytes(piece)) => model.add_piece(piece)?,
                (2, Value::Bytes(trainer)) => model.read_trainer(trainer, &mut found_algorithm)?,
                (3, Value::Bytes(normalizer)) => model.read_normalizer(normalizer)?,
                _ => {}
            }
        }
        let expected = format!("{}, which is {algorithm:?}", algorithm as u64);
        require(
            path,
            "model_type",
            found_algorithm == algorithm as u64,
            expected,
            found_algorithm,
        )?;
        model.check()?;
        Ok(model)
    }

    /// `message SentencePiece`.
    fn add_piece(&mut self, message: &[u8]) -> Result<()> {
        let number = self.pieces.len();
        let broken = |expected: &str, found: String| {
            Error::invalid_file(&self.path, format!("piece {number}"), expected, found)
        };
        let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceType::Normal };
        for field in Fields::new(message) {
            match field.map_err(|found| broken("a whole message", found))? {
                (1, Value::Bytes(text)) => {
                    let text = std::str::from_utf8(text);
                    text.map_err(|error| broken("UTF-8", error.to_string()))?
                        .clone_into(&mut piece.text);
                }
                (2, Value::Fixed32(bits)) => piece.score = f32::from_bits(bits),
                (3, Value::Varint(kind)) => {
                    let known = PieceType::from_number(kind);
                    piece.kind = known.ok_or_else(|| broken("type 1 to 6", kind.to_string()))?;
                }
                _ => {}
            }
        }
        if piece.text.is_empty() {
            return Err(broken("a text", "none".to_owned()));
        }
        if !piece.score.is_finite() {
            return Err(broken("a finite score", piece.score.to_string()));
        }
        self.pieces.push(piece);
        Ok(())
    }

    /// `message TrainerSpec`.
    fn read_trainer(&mut self, message: &[u8], algorithm: &mut u64) -> Result<()> {
        let path = &self.path;
        for field in Fields::new(message) {
            let broken =
                |found| Error::invalid_file(path, "trainer_spec", "a whole message", found);
            match field.map_err(broken)? {
                (3, Value::Varint(number)) => *algorithm = number,
                (24, Value::Varint(suffix)) => {
                    require(path, "treat_whitespace_as_suffix", suffix == 0, "false", "true")?;
                }
                (35, Value::Varint(fallback)) => self.byte_fallback = fallback != 0,
                _ => {}
            }
        }
        Ok(())
    }

    /// `message NormalizerSpec`.
    fn read_normalizer(&mut self, message: &[u8]) -> Result<()> {
        let path = &self.path;
        for field in Fields::new(message) {
            let broken =
                |found| Error::invalid_file(path, "normalizer_spec", "a whole message", found);
            match field.map_err(broken)? {
                (2, Value::Bytes([])) => self.charsmap = None,
                (2, Value::Bytes(bytes)) => self.charsmap = Some(Charsmap::parse(path, bytes)?),
                (3, Value::Varint(prefix)) => self.add_dummy_prefix = prefix != 0,
                (4, Value::Varint(remove)) => self.remove_extra_whitespaces = remove != 0,
                (5, Value::Varint(escape)) => {
                    require(path, "escape_whitespaces", escape != 0, "true", "false")?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        let path = &self.path;
        let unknown = |(_, piece): &(usize, &Piece)| piece.kind == PieceType::Unknown;
        let found: Vec<usize> =
            self.pieces.iter().enumerate().filter(unknown).map(|(i, _)| i).collect();
        let one = matches!(found.as_slice(), [_]);
        require(path, "pieces of type unknown", one, "1", found.len())?;
        self.unknown = found.first().copied().unwrap_or(0);
        let mut seen = HashSet::with_capacity(self.pieces.len());
        for (i, piece) in self.pieces.iter().enumerate() {
            let what = format!("piece {i}");
            let new = seen.insert(piece.text.as_str());
            require(path, &what, new, "a text of its own", format!("{:?} again", piece.text))?;
        }
        Ok(())
    }
}

impl PieceType {
    const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

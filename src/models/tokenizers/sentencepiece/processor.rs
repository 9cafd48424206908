//! A text to the pieces that fit it best, equal to SentencePiece's own processor: the same rewriting,
//! and the same sums in the same precision, so that ties are broken the same way.

use std::collections::HashMap;
use std::path::Path;

use super::{Model, PieceType};
use crate::Result;

/// What stands for a space in pieces.
pub(crate) const SPACE: char = '▁';

/// How much less likely an unknown character is than the least likely piece
/// (`kUnkPenalty` in SentencePiece).
const UNKNOWN_PENALTY: f32 = 10.0;

/// A model that is ready to cut texts.
#[derive(Debug)]
pub(crate) struct Processor {
    model: Model,
    /// Numbers of the pieces that stand for text, sorted by it.
    sorted: Vec<usize>,
    /// Texts that are found whatever their score, the longest first.
    symbols: Vec<String>,
    /// All pieces by their text.
    numbers: HashMap<String, usize>,
    /// The least and the largest score of a normal piece.
    scores: (f32, f32),
}

/// The best way to cut a text up to some place.
#[derive(Clone, Copy)]
struct Best {
    start: usize,
    piece: usize,
    score: f32,
}

impl Processor {
    /// The model in the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self::new(Model::open(path)?))
    }

    pub(crate) fn new(model: Model) -> Self {
        let pieces = &model.pieces;
        let of_kinds = |kinds: &'static [PieceType]| {
            (0..pieces.len()).filter(|&number| kinds.contains(&pieces[number].kind))
        };
        let mut sorted: Vec<usize> =
            of_kinds(&[PieceType::Normal, PieceType::UserDefined]).collect();
        sorted.sort_unstable_by_key(|&number| &pieces[number].text);
        let mut symbols: Vec<String> =
            of_kinds(&[PieceType::UserDefined]).map(|number| pieces[number].text.clone()).collect();
        symbols.sort_unstable_by_key(|symbol| std::cmp::Reverse(symbol.len()));
        let scores = of_kinds(&[PieceType::Normal]).map(|number| pieces[number].score);
        let scores = scores.fold((f32::MAX, f32::MIN_POSITIVE), |(least, largest), score| {
            (least.min(score), largest.max(score))
        });
        let numbers =
            pieces.iter().zip(0..).map(|(piece, number)| (piece.text.clone(), number)).collect();
        Self { sorted, symbols, numbers, scores, model }
    }

    /// One more than the largest number of a piece.
    pub(crate) const fn size(&self) -> usize {
        self.model.pieces.len()
    }

    /// The number of the piece that stands for what no other piece fits.
    pub(crate) const fn unknown(&self) -> usize {
        self.model.unknown
    }

    /// The number of the piece `text`, which may stand for no text.
    pub(crate) fn number(&self, text: &str) -> Option<usize> {
        self.numbers.get(text).copied()
    }

    /// The numbers of the pieces of `text`; a run of unknown characters is one piece, or a piece a
    /// byte where the model has bytes.
    pub(crate) fn encode(&self, text: &str) -> Vec<usize> {
        let text = self.rewrite(text);
        let mut numbers = Vec::new();
        let mut run = String::new();
        for (piece, number) in self.cut(&text) {
            if number != self.model.unknown {
                numbers.extend(self.end_run(&mut run));
                numbers.push(number);
            } else if self.model.byte_fallback {
                numbers.extend(piece.bytes().map(|byte| self.byte(byte)));
            } else {
                run.push_str(piece);
            }
        }
        numbers.extend(self.end_run(&mut run));
        numbers
    }

    /// The piece for a `run` of unknown characters, which ends: together they may spell one that
    /// stands for no text.
    fn end_run(&self, run: &mut String) -> Option<usize> {
        let run = std::mem::take(run);
        (!run.is_empty()).then(|| self.number(&run).unwrap_or(self.model.unknown))
    }

    fn byte(&self, byte: u8) -> usize {
        self.number(&format!("<0x{byte:02X}>")).unwrap_or(self.model.unknown)
    }

    /// `text` in the characters that pieces are made of: `Normalizer::Normalize` in SentencePiece.
    fn rewrite(&self, text: &str) -> String {
        let trim = self.model.remove_extra_whitespaces;
        let mut rest = text;
        // 1. Spaces in front.
        while trim && !rest.is_empty() {
            let (length, rewritten) = self.prefix(rest);
            if rewritten != " " {
                break;
            }
            rest = &rest[length..];
        }
        let mut out = String::with_capacity(text.len());
        if !rest.is_empty() && self.model.add_dummy_prefix {
            out.push(SPACE);
        }
        // 2. Character by character; what follows a space does not begin with one.
        let mut after_space = trim;
        while !rest.is_empty() {
            let (length, rewritten) = self.prefix(rest);
            let kept = if after_space { rewritten.trim_start_matches(' ') } else { rewritten };
            out.extend(kept.chars().map(|c| if c == ' ' { SPACE } else { c }));
            if !kept.is_empty() {
                after_space = trim && kept.ends_with(' ');
            }
            rest = &rest[length..];
        }
        // 3. Spaces at the end.
        if trim {
            out.truncate(out.trim_end_matches(SPACE).len());
        }
        out
    }

    /// How many bytes the first part of `text` has, which is not empty, and what it is rewritten to.
    fn prefix<'a>(&'a self, text: &'a str) -> (usize, &'a str) {
        if let Some(symbol) = self.symbols.iter().find(|symbol| text.starts_with(*symbol)) {
            return (symbol.len(), symbol);
        }
        let map = self.model.charsmap.as_ref();
        // A replacement of part of a character would leave text that is none.
        let longest = map.and_then(|map| map.longest(text.as_bytes()));
        if let Some(found) = longest.filter(|&(length, _)| text.is_char_boundary(length)) {
            return found;
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        (length, &text[..length])
    }

    /// The likeliest way to cut `text`, with the numbers of the pieces:
    /// `unigram::Model::EncodeOptimized` in SentencePiece.
    fn cut<'a>(&self, text: &'a str) -> Vec<(&'a str, usize)> {
        let (least, largest) = self.scores;
        let unknown = f64::from(least - UNKNOWN_PENALTY);
        let mut best: Vec<Option<Best>> = vec![None; text.len() + 1];
        // 1. From each character on: the pieces that begin there.
        for (start, character) in text.char_indices() {
            let before = best[start].map_or(0.0, |best| best.score);
            let mut offer = |end: usize, piece: usize, score: f64| {
                let score = score + f64::from(before);
                if best[end].is_none_or(|best| score > f64::from(best.score)) {
                    best[end] = Some(Best { start, piece, score: score as f32 });
                }
            };
            let mut alone = false;
            for (length, number) in self.prefixes(&text.as_bytes()[start..]) {
                let piece = &self.model.pieces[number];
                let score = match piece.kind {
                    // Likelier than any other way to cut the same text.
                    PieceType::UserDefined => f64::from(length as f32 * largest) - 0.1,
                    _ => f64::from(piece.score),
                };
                offer(start + length, number, score);
                alone |= length == character.len_utf8();
            }
            if !alone {
                offer(start + character.len_utf8(), self.model.unknown, unknown);
            }
        }
        // 2. Back from the end.
        let mut pieces = Vec::new();
        let mut end = text.len();
        while let Some(Best { start, piece, .. }) = best[end] {
            pieces.push((&text[start..end], piece));
            end = start;
        }
        pieces.reverse();
        pieces
    }

    /// The pieces that `text` begins with, the shortest first: length in bytes, and number.
    fn prefixes(&self, text: &[u8]) -> impl Iterator<Item = (usize, usize)> {
        let spelled = |number: usize| self.model.pieces[number].text.as_bytes();
        let mut matching = self.sorted.as_slice();
        (0..text.len())
            .map_while(move |at| {
                // Of the pieces that have all bytes so far, those with this one as well.
                let byte = |number: usize| spelled(number).get(at).copied();
                let from = matching.partition_point(|&number| byte(number) < Some(text[at]));
                let to = matching.partition_point(|&number| byte(number) <= Some(text[at]));
                matching = &matching[from..to];
                let &first = matching.first()?;
                // The piece that ends here sorts before those that go on.
                Some((spelled(first).len() == at + 1).then_some((at + 1, first)))
            })
            .flatten()
    }
}

//! A text to token numbers, equal to transformers' `SiglipTokenizer` for any text.

use std::path::{Path, PathBuf};

use tokenizers::{AddedToken, TruncationParams};

use super::{encode, number, whole_file};
use crate::models::tokenizers::sentencepiece::{Processor, SPACE};
use crate::models::tokenizers::special_tokens::{Defaults, Special, TokenizerConfig};
use crate::{Error, Result};

/// A tokenizer whose texts all have one length, for the network looks at the last token.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    path: PathBuf,
    kind: Kind,
    pad: i64,
    length: usize,
}

#[derive(Debug)]
enum Kind {
    Pieces(Box<Pieces>),
    /// A `tokenizer.json`, which says all there is to do.
    Whole(Box<tokenizers::Tokenizer>),
}

/// A `spiece.model`, and what `SiglipTokenizer` does around it.
#[derive(Debug)]
struct Pieces {
    processor: Processor,
    /// Tokens that are found before anything else, with their numbers; the longest first.
    added: Vec<(AddedToken, i64)>,
    unknown: String,
    /// How many pieces the unknown token is spelt in.
    skipped: usize,
    end: i64,
    lower: bool,
}

/// The tokens with a role, and the tokens a text has, where no file says
/// (`SiglipTokenizer` in transformers).
const END: &str = "</s>";
const UNKNOWN: &str = "<unk>";
const DEFAULTS: Defaults = [None, Some(END), Some(UNKNOWN), None, Some(END), None, None];
const LENGTH: usize = 64;

impl Tokenizer {
    /// The tokenizer in `folder`: a `spiece.model`, or a `tokenizer.json`; special tokens from
    /// `tokenizer_config.json` and `special_tokens_map.json` where they are there. Texts have as many
    /// tokens as the files say, at most `most`.
    pub(crate) fn open(folder: &Path, most: usize) -> Result<Self> {
        let mut config = TokenizerConfig::open_right_sided(folder)?;
        let path = folder.join("spiece.model");
        if path.exists() {
            let length = config.max_length().unwrap_or(LENGTH).min(most);
            let pieces = Pieces::new(Processor::open(&path)?, &mut config)?;
            let pad = Special::text_or(&config.pad_token, END);
            let pad = pieces.number(&pad);
            return Ok(Self { path, kind: Kind::Pieces(Box::new(pieces)), pad, length });
        }
        let path = folder.join("tokenizer.json");
        let length = config.max_length().unwrap_or(most).min(most);
        let tokenizer = cut_to(length, &path)?;
        let pad = Special::text_or(&config.pad_token, "<pad>");
        let pad = number(&path, &tokenizer, &pad)?;
        Ok(Self { path, kind: Kind::Whole(Box::new(tokenizer)), pad, length })
    }

    /// The tokens of `text` and the end, cut before the end token or filled up with the padding token:
    /// the same number for every text.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<i64>> {
        let mut ids = match &self.kind {
            Kind::Pieces(pieces) => pieces.encode(text, self.length),
            Kind::Whole(tokenizer) => encode(&self.path, tokenizer, text, true)?,
        };
        ids.resize(self.length, self.pad);
        Ok(ids)
    }
}

/// The tokenizer in the file at `path`, which cuts texts to `length` tokens.
fn cut_to(length: usize, path: &Path) -> Result<tokenizers::Tokenizer> {
    let mut tokenizer = whole_file(path)?;
    let cut = TruncationParams { max_length: length, ..TruncationParams::default() };
    let broken = |error| Error::invalid_file(path, "file", "a tokenizer", error);
    tokenizer.with_truncation(Some(cut)).map_err(broken)?;
    Ok(tokenizer)
}

impl Pieces {
    fn new(processor: Processor, config: &mut TokenizerConfig) -> Result<Self> {
        // Tokens that the model has keep their numbers; new ones follow.
        let mut next = processor.size();
        let mut added: Vec<(AddedToken, i64)> = Vec::new();
        for token in config.gather(Vec::new(), DEFAULTS)? {
            let known = added.iter().any(|(known, _)| known.content == token.content);
            if known || token.content.is_empty() {
                continue;
            }
            let number = processor.number(&token.content).unwrap_or(next);
            next = next.max(number + 1);
            added.push((token, number as i64));
        }
        added.sort_by_key(|(token, _)| std::cmp::Reverse(token.content.len()));
        let unknown = Special::text_or(&config.unk_token, UNKNOWN);
        let skipped = processor.encode(&unknown).len();
        let end = Special::text_or(&config.eos_token, END);
        let lower = config.do_lower_case.unwrap_or(true);
        let mut pieces = Self { processor, added, unknown, skipped, end: 0, lower };
        pieces.end = pieces.number(&end);
        Ok(pieces)
    }

    /// The number of the token `text`.
    fn number(&self, text: &str) -> i64 {
        let added = self.added.iter().find(|(token, _)| token.content == text);
        let piece = || self.processor.number(text).unwrap_or(self.processor.unknown());
        added.map_or_else(|| piece() as i64, |&(_, number)| number)
    }

    /// The tokens of `text`, then the end: at most `limit` of them, at least 1.
    fn encode(&self, text: &str, limit: usize) -> Vec<i64> {
        // 1. A space in front; what stands for one in pieces is one.
        let text = format!("{SPACE}{}", text.replace(SPACE, " "));
        // 2. Tokens that are found before anything else, and the texts between them.
        let mut ids = Vec::new();
        let mut rest = text.as_str();
        let mut before: Option<&AddedToken> = None;
        while !rest.is_empty() {
            let found = self.find(rest);
            let (between, after) = rest.split_at(found.map_or(rest.len(), |(at, _)| at));
            self.encode_between(between, before, found.map(|(_, (token, _))| token), &mut ids);
            rest = after;
            if let Some((_, (token, number))) = found {
                // A special token needs no space in front.
                if token.special && ids == [self.number(&SPACE.to_string())] {
                    ids.clear();
                }
                ids.push(*number);
                rest = &after[token.content.len()..];
                before = Some(token);
            }
        }
        // 3. The end, once.
        ids.truncate(limit.saturating_sub(1));
        if ids.last() != Some(&self.end) {
            ids.push(self.end);
        }
        ids
    }

    /// Where the first added token in `text` begins, and the longest that begins there.
    fn find(&self, text: &str) -> Option<(usize, &(AddedToken, i64))> {
        text.char_indices().find_map(|(at, _)| {
            let starts = |(token, _): &&(AddedToken, i64)| text[at..].starts_with(&token.content);
            Some((at, self.added.iter().find(starts)?))
        })
    }

    /// The tokens of `text` between two added ones, to `ids`. Those that say so take the spaces
    /// beside them.
    fn encode_between(
        &self,
        mut text: &str,
        before: Option<&AddedToken>,
        after: Option<&AddedToken>,
        ids: &mut Vec<i64>,
    ) {
        if before.is_some_and(|token| token.rstrip) {
            text = text.trim_start_matches(is_space);
        }
        if after.is_some_and(|token| token.lstrip) {
            text = text.trim_end_matches(is_space);
        }
        if text.is_empty() {
            return;
        }
        // The unknown token in front keeps the space behind it, and is then left out.
        let text = format!("{}{}", self.unknown, self.canonical(text));
        let tokens = self.processor.encode(&text);
        let kept = tokens.get(self.skipped..).unwrap_or(&tokens);
        ids.extend(kept.iter().map(|&number| number as i64));
    }

    /// Lower case, no ASCII punctuation, single spaces: `SiglipTokenizer.canonicalize_text`.
    fn canonical(&self, text: &str) -> String {
        let text = if self.lower { text.to_lowercase() } else { text.to_owned() };
        let text: String = text.chars().filter(|c| !c.is_ascii_punctuation()).collect();
        let words = text.split(is_space).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    }
}

/// What Python takes for a space: beside Unicode's, four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

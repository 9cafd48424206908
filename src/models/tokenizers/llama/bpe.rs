//! Pieces and merges of a BPE to a tokenizer that puts blanks where transformers puts them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use super::TokenizerReading;
use crate::models::tokenizers::sentencepiece::Piece;
use crate::models::tokenizers::special_tokens::TokenizerConfig;
use crate::{Error, Result};

/// Where a blank is put in front of a text that has none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Prefix {
    /// Nowhere; `rewritten` before special tokens are looked for.
    Never { rewritten: bool },
    /// In front of the first stretch of text, where no special token stands before it.
    First,
    /// In front of every stretch between special tokens.
    Always { rewritten: bool },
}

impl Prefix {
    /// `LlamaConverter` in transformers 4, and 5.
    pub(super) fn of_transformers_4(config: &TokenizerConfig) -> Self {
        let rewritten = config.legacy.unwrap_or(true);
        match (config.add_prefix_space.unwrap_or(true), rewritten) {
            (false, _) => Self::Never { rewritten },
            (true, true) => Self::Always { rewritten },
            (true, false) => Self::First,
        }
    }

    /// `LlamaTokenizer` in transformers 5.
    pub(super) fn of_transformers_5(config: &TokenizerConfig) -> Self {
        let rewritten = false;
        match (config.add_prefix_space.unwrap_or(true), config.legacy.unwrap_or(false)) {
            (false, _) => Self::Never { rewritten },
            (true, true) => Self::Always { rewritten },
            (true, false) => Self::First,
        }
    }

    /// The normalizer and the pre-tokenizer of a `tokenizer.json`.
    fn steps(self) -> [Value; 2] {
        let blank = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let prepend = json!({"type": "Prepend", "prepend": "▁"});
        let rewriting = |all: Value| [json!({"type": "Sequence", "normalizers": all}), Value::Null];
        let metaspace = |scheme: &str| {
            let kind = "Metaspace";
            let step = json!({
                "type": kind, "replacement": "▁", "prepend_scheme": scheme, "split": false,
            });
            [Value::Null, step]
        };
        match self {
            Self::Never { rewritten: true } => rewriting(json!([blank])),
            Self::Always { rewritten: true } => rewriting(json!([prepend, blank])),
            Self::Never { rewritten: false } => metaspace("never"),
            Self::Always { rewritten: false } => metaspace("always"),
            Self::First => metaspace("first"),
        }
    }
}

/// The model of a `tokenizer.json`.
pub(super) fn bpe(vocabulary: Value, merges: Value, unknown: Option<&str>) -> Value {
    json!({
        "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true,
        "ignore_merges": false, "vocab": vocabulary, "merges": merges,
    })
}

/// The pairs that are merged to pieces, the first one first: transformers' `generate_merges`. Version
/// 4 goes by scores, version 5 by numbers.
pub(super) fn merges<'a>(
    pieces: &'a [Piece],
    vocabulary: &HashMap<&str, usize>,
    reading: TokenizerReading,
) -> Vec<[&'a str; 2]> {
    let mut merges = Vec::new();
    for (piece, number) in pieces.iter().zip(0..) {
        let text = piece.text.as_str();
        let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let numbers =
            |(left, right)| Some((*vocabulary.get(left)?, *vocabulary.get(right)?, [left, right]));
        let mut pairs: Vec<_> = cuts.filter_map(numbers).collect();
        pairs.sort_by_key(|&(left, right, _)| (left, right));
        merges.extend(pairs.into_iter().map(|(.., pair)| (piece.score, number, pair)));
    }
    let lengths = |pair: &[&str; 2]| pair.map(|part| part.chars().count());
    match reading {
        TokenizerReading::File => merges.sort_by(|(a, _, left), (b, _, right)| {
            let by_score = b.partial_cmp(a).unwrap_or(Ordering::Equal);
            by_score.then_with(|| lengths(right).cmp(&lengths(left)))
        }),
        TokenizerReading::Transformers5 => {
            merges.sort_by_key(|(_, number, pair)| (*number, lengths(pair)));
        }
    }
    merges.into_iter().map(|(.., pair)| pair).collect()
}

/// A tokenizer of these parts, which came from `path`.
pub(super) fn build(
    path: &Path,
    bpe: Value,
    prefix: Prefix,
    post_processor: Value,
) -> Result<tokenizers::Tokenizer> {
    let [normalizer, pre_tokenizer] = prefix.steps();
    let definition = json!({
        "version": "1.0", "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": null,
        "model": bpe,
    });
    tokenizers::Tokenizer::from_bytes(definition.to_string())
        .map_err(|error| Error::invalid_file(path, "vocabulary and merges", "a BPE", error))
}

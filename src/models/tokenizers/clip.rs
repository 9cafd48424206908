//! A prompt to token numbers, equal to transformers' `CLIPTokenizer` for any text.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{encode, number, unread};
use crate::models::common::json::{read_json, read_text};
use crate::models::tokenizers::special_tokens::{Defaults, Numbered, Special, TokenizerConfig};
use crate::{Error, Result};

/// CLIP's byte-level BPE, with its special tokens.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    path: PathBuf,
    tokenizer: tokenizers::Tokenizer,
    begin: i64,
    end: i64,
    pad: i64,
    max_length: Option<usize>,
}

/// The two tables of a BPE.
struct Bpe {
    vocab: Value,
    merges: Value,
    added: Vec<Numbered>,
}

impl Tokenizer {
    /// The tokenizer in `folder`: a `tokenizer.json`, or a `vocab.json` with a `merges.txt`; special
    /// tokens from `tokenizer_config.json` and `special_tokens_map.json` where they are there.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        // 1. The tables.
        let whole = folder.join("tokenizer.json");
        let path = if whole.exists() { whole } else { folder.join("vocab.json") };
        let bpe =
            if path.ends_with("tokenizer.json") { whole_file(&path)? } else { two_files(folder)? };
        // 2. The tokens with a role, as transformers gathers them.
        let mut config = TokenizerConfig::open_right_sided(folder)?;
        let added = config.gather(bpe.added, DEFAULTS)?;
        let [begin, end, unknown, pad] = [
            Special::text_or(&config.bos_token, START),
            Special::text_or(&config.eos_token, END),
            Special::text_or(&config.unk_token, END),
            Special::text_or(&config.pad_token, END),
        ];
        // 3. The tokenizer: the same parts in the same order as `CLIPTokenizer` puts together.
        let broken = |error: tokenizers::Error| {
            Error::invalid_file(&path, "vocabulary and merges", "a byte-level BPE", error)
        };
        let definition = json!({
            "version": "1.0",
            "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PIECES}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            ]},
            "post_processor": null,
            "decoder": null,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": "",
                "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": false, "vocab": bpe.vocab, "merges": bpe.merges,
            },
        });
        let mut tokenizer =
            tokenizers::Tokenizer::from_bytes(definition.to_string()).map_err(broken)?;
        tokenizer.set_encode_special_tokens(config.split_special_tokens.unwrap_or(false));
        tokenizer.add_tokens(added).map_err(broken)?;
        // 4. The numbers of those that stand at fixed places.
        let number = |token: &str| number(&path, &tokenizer, token);
        let (begin, end, pad) = (number(&begin)?, number(&end)?, number(&pad)?);
        let max_length = config.max_length();
        Ok(Self { path, tokenizer, begin, end, pad, max_length })
    }

    /// The most tokens a prompt may have, begin and end included, where the files say so.
    pub(crate) const fn max_length(&self) -> Option<usize> {
        self.max_length
    }

    /// Begin, the tokens of `text`, end: at most `limit` of them, at least 2. What is too much is cut
    /// before the end token.
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Result<Vec<i64>> {
        let ids = encode(&self.path, &self.tokenizer, text, false)?;
        let kept = ids.into_iter().take(limit.saturating_sub(2));
        Ok([self.begin].into_iter().chain(kept).chain([self.end]).collect())
    }

    /// [`encode`](Self::encode), filled up with the padding token to exactly `length`, at least 2.
    pub(crate) fn encode_padded(&self, text: &str, length: usize) -> Result<Vec<i64>> {
        let mut ids = self.encode(text, length)?;
        self.pad(&mut ids, length);
        Ok(ids)
    }

    /// The whole of `text` in rows of exactly `length` tokens, at least 3: begin, tokens of `text`, and
    /// end tokens to fill the row up. At least one row.
    pub(crate) fn encode_chunks(&self, text: &str, length: usize) -> Result<Vec<Vec<i64>>> {
        let ids = encode(&self.path, &self.tokenizer, text, false)?;
        let row = |ids: &[i64]| {
            let mut row = [&[self.begin], ids, &[self.end]].concat();
            row.resize(row.len().max(length), self.end);
            row
        };
        let mut rows: Vec<_> = ids.chunks(length.saturating_sub(2).max(1)).map(row).collect();
        if rows.is_empty() {
            rows.push(row(&[]));
        }
        Ok(rows)
    }

    /// The end of `text` that [`encode`](Self::encode) to `limit` tokens cuts off; none where it cuts
    /// nothing.
    pub(crate) fn unread<'a>(&self, text: &'a str, limit: usize) -> Result<Option<&'a str>> {
        unread(&self.path, &self.tokenizer, text, limit.saturating_sub(2))
    }

    /// Fills `ids` up to `length` with the padding token.
    pub(crate) fn pad(&self, ids: &mut Vec<i64>, length: usize) {
        ids.resize(ids.len().max(length), self.pad);
    }
}

/// The tokens with a role where no file names them (`CLIPTokenizer` in transformers).
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
const DEFAULTS: Defaults = [Some(START), Some(END), Some(END), None, Some(END), None, None];

/// What a prompt is cut into before BPE (`CLIPTokenizer` in transformers).
const PIECES: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

fn whole_file(path: &Path) -> Result<Bpe> {
    #[derive(Deserialize)]
    struct Whole {
        model: Model,
        #[serde(default)]
        added_tokens: Vec<Numbered>,
    }
    #[derive(Deserialize)]
    struct Model {
        vocab: HashMap<String, u32>,
        merges: Value,
    }
    let Whole { model, added_tokens } = read_json(path)?;
    Ok(Bpe { vocab: json!(model.vocab), merges: model.merges, added: added_tokens })
}

fn two_files(folder: &Path) -> Result<Bpe> {
    let vocab: HashMap<String, u32> = read_json(&folder.join("vocab.json"))?;
    let path = folder.join("merges.txt");
    let text = read_text(&path)?;
    let mut merges = Vec::new();
    // The first line may name a version; blank lines stand at the end of files edited by hand.
    let is_merge = |line: &str| !line.starts_with("#version") && !line.trim().is_empty();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| is_merge(line)) {
        let invalid = |expected: &str, found: String| {
            Error::invalid_file(&path, format!("line {}", i + 1), expected, found)
        };
        let [left, right] = <[&str; 2]>::try_from(line.split_whitespace().collect::<Vec<_>>())
            .map_err(|_| invalid("two tokens", format!("{line:?}")))?;
        for token in [left, right, &format!("{left}{right}")] {
            if !vocab.contains_key(token) {
                return Err(invalid("tokens of vocab.json", format!("{token:?}")));
            }
        }
        merges.push(json!([left, right]));
    }
    Ok(Bpe { vocab: json!(vocab), merges: Value::Array(merges), added: Vec::new() })
}

//! A prompt to token numbers by a BPE with bytes for what it does not know, equal to transformers'
//! `PreTrainedTokenizerFast` and `LlamaTokenizer` for any text.

mod bpe;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use self::bpe::{Prefix, bpe, build, merges};
use super::{check_template, encode, number, whole_file};
use crate::models::common::json::{read_json, require};
use crate::models::tokenizers::sentencepiece::{Model, Piece, PieceType};
use crate::models::tokenizers::special_tokens::{Defaults, Numbered, Special, TokenizerConfig};
use crate::{Error, Result};

pub use reading::TokenizerReading;

/// A byte-pair encoding, with its special tokens.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    path: PathBuf,
    tokenizer: tokenizers::Tokenizer,
    /// What stands before and behind every text beside what the file itself puts there.
    around: [Option<i64>; 2],
}

/// The tokens with a role where no file names them (`LlamaTokenizer` in transformers).
const BEGIN: &str = "<s>";
const END: &str = "</s>";
const DEFAULTS: Defaults = [Some(BEGIN), Some(END), Some("<unk>"), None, None, None, None];

impl Tokenizer {
    /// The tokenizer in `folder`: a `tokenizer.json`, or a `tokenizer.model`; special tokens from
    /// `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` where they are there.
    pub(crate) fn open(folder: &Path, reading: TokenizerReading) -> Result<Self> {
        let mut config = TokenizerConfig::open(folder)?;
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            let path = folder.join("tokenizer.model");
            let expected = "tokenizer.json or tokenizer.model";
            require(folder, "tokenizer", path.exists(), expected, "neither")?;
            return Self::of_model(path, config, reading);
        }
        let Whole { model, post_processor, added_tokens } = read_json(&path)?;
        let (mut tokenizer, defaults) = match reading {
            TokenizerReading::File => (whole_file(&path)?, Defaults::default()),
            TokenizerReading::Transformers5 => {
                let kind = model["type"].as_str().unwrap_or("BPE");
                require(&path, "model", kind == "BPE", "BPE", kind)?;
                check_template(&path, &post_processor)?;
                let prefix = Prefix::of_transformers_5(&config);
                let bpe = bpe(model["vocab"].clone(), model["merges"].clone(), None);
                (build(&path, bpe, prefix, post_processor)?, DEFAULTS)
            }
        };
        add(&path, &mut tokenizer, &mut config, added_tokens, defaults)?;
        Ok(Self { path, tokenizer, around: [None; 2] })
    }

    /// As transformers converts the SentencePiece model at `path`, which ignores how that rewrites
    /// characters.
    fn of_model(
        path: PathBuf,
        mut config: TokenizerConfig,
        reading: TokenizerReading,
    ) -> Result<Self> {
        // 1. Pieces, merges, and where blanks are put.
        let Model { pieces, unknown, .. } = Model::open_bpe(&path)?;
        let numbered = pieces.iter().zip(0..).map(|(piece, number)| (piece.text.as_str(), number));
        let vocabulary: HashMap<&str, usize> = numbered.collect();
        let merges = merges(&pieces, &vocabulary, reading);
        let (prefix, unknown, begins) = match reading {
            TokenizerReading::File => {
                (Prefix::of_transformers_4(&config), Some(pieces[unknown].text.as_str()), true)
            }
            TokenizerReading::Transformers5 => (Prefix::of_transformers_5(&config), None, false),
        };
        let bpe = bpe(json!(vocabulary), json!(merges), unknown);
        let mut tokenizer = build(&path, bpe, prefix, Value::Null)?;

        // 2. Special tokens.
        let special = |piece: &Piece| match piece.kind {
            PieceType::Control => Some(Special::found(&piece.text, true)),
            PieceType::UserDefined => Some(Special::found(&piece.text, false)),
            _ => None,
        };
        let special: Vec<Special> = pieces.iter().filter_map(special).collect();
        match reading {
            TokenizerReading::File => {
                let special = special.into_iter().map(|token| token.added(&[]));
                tokenizer.add_tokens(special).map_err(|error| not_added(&path, error))?;
            }
            TokenizerReading::Transformers5 => {
                config.extra_special_tokens.get_or_insert(special);
            }
        }
        config.map_adds_special_tokens = reading == TokenizerReading::File;
        add(&path, &mut tokenizer, &mut config, Vec::new(), DEFAULTS)?;

        // 3. Those that stand around every text.
        let found = |stands: bool, token, default| {
            let token = Special::text_or(token, default);
            stands.then(|| number(&path, &tokenizer, &token)).transpose()
        };
        let around = [
            found(config.add_bos_token.unwrap_or(begins), &config.bos_token, BEGIN)?,
            found(config.add_eos_token.unwrap_or(false), &config.eos_token, END)?,
        ];
        Ok(Self { path, tokenizer, around })
    }

    /// The tokens of `text`, with those that the files put around every text.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<i64>> {
        let [begin, end] = self.around;
        let ids = encode(&self.path, &self.tokenizer, text, true)?;
        Ok(begin.into_iter().chain(ids).chain(end).collect())
    }
}

/// The parts of a `tokenizer.json` that transformers 5 takes over.
#[derive(Deserialize)]
struct Whole {
    model: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    added_tokens: Vec<Numbered>,
}

/// Adds the special tokens of the files to `tokenizer`, which came from `path`; `listed` are those of
/// its `tokenizer.json`.
fn add(
    path: &Path,
    tokenizer: &mut tokenizers::Tokenizer,
    config: &mut TokenizerConfig,
    listed: Vec<Numbered>,
    defaults: Defaults,
) -> Result<()> {
    let added = config.gather(listed, defaults)?;
    tokenizer.set_encode_special_tokens(config.split_special_tokens.unwrap_or(false));
    tokenizer.add_tokens(added).map_err(|error| not_added(path, error))?;
    Ok(())
}

fn not_added(path: &Path, error: tokenizers::Error) -> Error {
    Error::invalid_file(path, "special tokens", "tokens to add", error)
}

//! A prompt to token numbers, equal to transformers' `T5Tokenizer` for any text.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;

use super::{encode, number, unread};
use crate::models::common::json::{read_json, require};
use crate::models::tokenizers::sentencepiece::{Charsmap, Model, Piece, PieceType};
use crate::models::tokenizers::special_tokens::{Defaults, Numbered, Special, TokenizerConfig};
use crate::{Error, Result};

/// T5's Unigram model, with its special tokens.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    path: PathBuf,
    tokenizer: tokenizers::Tokenizer,
    end: i64,
    pad: i64,
}

/// The token numbers of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// Those that stand, the end token last.
    pub(crate) ids: Vec<i64>,
    /// How many more there were, which are cut away.
    pub(crate) cut: usize,
}

/// Pieces with their scores, and how characters are rewritten first.
struct Vocabulary {
    pieces: Vec<(String, f64)>,
    unknown: usize,
    charsmap: Option<Charsmap>,
    added: Vec<Numbered>,
    /// Tokens that are found before anything else whatever the other files say.
    extra: Option<Vec<Special>>,
}

/// The tokens with a role where no file names them (`T5Tokenizer` in transformers).
const END: &str = "</s>";
const PAD: &str = "<pad>";
const DEFAULTS: Defaults = [None, Some(END), Some("<unk>"), None, Some(PAD), None, None];

/// Sentinels beside the pieces of a `spiece.model` (`T5Tokenizer` in transformers).
const SENTINELS: usize = 100;

impl Tokenizer {
    /// The tokenizer in `folder`: a `tokenizer.json`, or a `spiece.model`; special tokens from
    /// `tokenizer_config.json` and `special_tokens_map.json` where they are there.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        // 1. The pieces.
        let whole = folder.join("tokenizer.json");
        let path = if whole.exists() { whole } else { folder.join("spiece.model") };
        let vocabulary = if path.ends_with("tokenizer.json") {
            Vocabulary::of_json(&path)?
        } else {
            Vocabulary::of_model(Model::open(&path)?)
        };
        // 2. The tokens with a role, as transformers gathers them.
        let mut config = TokenizerConfig::open_right_sided(folder)?;
        if let Some(extra) = vocabulary.extra {
            config.extra_special_tokens.get_or_insert(extra);
        }
        let sentinels = (0..SENTINELS).map(|number| Special::Text(sentinel(number)));
        let extra = config.extra_special_tokens.get_or_insert_default();
        if !extra.iter().any(|token| token.text().contains("<extra_id_")) {
            extra.extend(sentinels);
        }
        let added = config.gather(vocabulary.added, DEFAULTS)?;
        let end = Special::text_or(&config.eos_token, END);
        let pad = Special::text_or(&config.pad_token, PAD);
        // 3. The tokenizer: the same parts in the same order as `T5Tokenizer` puts together.
        let broken = |error: tokenizers::Error| {
            Error::invalid_file(&path, "vocabulary", "a Unigram model", error)
        };
        let model = Unigram::from(vocabulary.pieces, Some(vocabulary.unknown), false);
        let mut tokenizer = tokenizers::Tokenizer::new(model.map_err(broken)?);
        if let Some(map) = vocabulary.charsmap {
            let map = Precompiled::from(map.bytes()).map_err(|error| broken(error.into()))?;
            tokenizer.with_normalizer(Some(map)).map_err(broken)?;
        }
        let words = [
            PreTokenizerWrapper::WhitespaceSplit(WhitespaceSplit),
            PreTokenizerWrapper::Metaspace(Metaspace::new('▁', PrependScheme::Always, true)),
        ];
        tokenizer.with_pre_tokenizer(Some(Sequence::new(words.into())));
        tokenizer.set_encode_special_tokens(config.split_special_tokens.unwrap_or(false));
        tokenizer.add_tokens(added).map_err(broken)?;
        // 4. The numbers of those that stand at fixed places.
        let (end, pad) = (number(&path, &tokenizer, &end)?, number(&path, &tokenizer, &pad)?);
        Ok(Self { path, tokenizer, end, pad })
    }

    /// The tokens of `text`, then the end: at most `limit` of them, at least 1. What is too much is
    /// cut before the end token.
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Result<Tokens> {
        let mut ids = encode(&self.path, &self.tokenizer, text, false)?;
        let kept = ids.len().min(limit.saturating_sub(1));
        let cut = ids.len() - kept;
        ids.truncate(kept);
        ids.push(self.end);
        Ok(Tokens { ids, cut })
    }

    /// The end of `text` that [`encode`](Self::encode) to `limit` tokens cuts off; none where it cuts
    /// nothing.
    pub(crate) fn unread<'a>(&self, text: &'a str, limit: usize) -> Result<Option<&'a str>> {
        unread(&self.path, &self.tokenizer, text, limit.saturating_sub(1))
    }

    /// [`encode`](Self::encode), filled up with the padding token to exactly `length`, at least 1.
    pub(crate) fn encode_padded(&self, text: &str, length: usize) -> Result<Tokens> {
        let mut tokens = self.encode(text, length)?;
        tokens.ids.resize(length.max(1), self.pad);
        Ok(tokens)
    }
}

/// `<extra_id_0>`: a token for a gap in a text.
fn sentinel(number: usize) -> String {
    format!("<extra_id_{number}>")
}

impl Vocabulary {
    fn of_json(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Whole {
            model: Unigram,
            normalizer: Option<Value>,
            #[serde(default)]
            added_tokens: Vec<Numbered>,
        }
        #[derive(Deserialize)]
        struct Unigram {
            #[serde(rename = "type")]
            kind: Option<String>,
            vocab: Vec<(String, f64)>,
            unk_id: Option<usize>,
        }
        let Whole { model, normalizer, added_tokens } = read_json(path)?;
        let kind = model.kind.as_deref().unwrap_or("Unigram");
        require(path, "model", kind == "Unigram", "Unigram", kind)?;
        // 2 is where `T5Tokenizer` in transformers has it.
        let unknown = model.unk_id.unwrap_or(2);
        let charsmap = Charsmap::of_normalizer(path, normalizer.as_ref())?;
        Ok(Self { pieces: model.vocab, unknown, charsmap, added: added_tokens, extra: None })
    }

    fn of_model(model: Model) -> Self {
        let special = |piece: &Piece| match piece.kind {
            PieceType::Control => Some(Special::found(&piece.text, true)),
            PieceType::UserDefined => Some(Special::found(&piece.text, false)),
            _ => None,
        };
        let extra = model.pieces.iter().filter_map(special).collect();
        let pieces = model.pieces.into_iter().map(|piece| (piece.text, f64::from(piece.score)));
        let sentinels = (0..SENTINELS).rev().map(|number| (sentinel(number), 0.0));
        Self {
            pieces: pieces.chain(sentinels).collect(),
            unknown: model.unknown,
            charsmap: model.charsmap,
            added: Vec::new(),
            extra: Some(extra),
        }
    }
}

//! Texts to the token numbers that text networks read.

pub(crate) mod clip;
pub(crate) mod llama;
pub(crate) mod sentencepiece;
pub(crate) mod siglip;
mod special_tokens;
pub(crate) mod t5;

use std::path::Path;

use serde_json::Value;

use self::sentencepiece::Charsmap;
use super::common::json::{parse_json, read_text, require};
use crate::{Error, Result};

/// The tokenizer that the `tokenizer.json` at `path` describes, which neither cuts texts nor fills
/// them up.
fn whole_file(path: &Path) -> Result<tokenizers::Tokenizer> {
    let text = read_text(path)?;
    // The crate believes a map of characters and a template whatever they hold.
    let whole: Value = parse_json(path, &text)?;
    Charsmap::of_normalizer(path, whole.get("normalizer"))?;
    check_template(path, &whole["post_processor"])?;
    let broken = |error| Error::invalid_file(path, "file", "a tokenizer", error);
    let mut tokenizer: tokenizers::Tokenizer = text.parse().map_err(broken)?;
    tokenizer.with_truncation(None).map_err(broken)?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// Refuses a `post_processor` of the file at `path` whose template names a token that it does not
/// list, or a second text.
fn check_template(path: &Path, post_processor: &Value) -> Result<()> {
    for inner in post_processor["processors"].as_array().into_iter().flatten() {
        check_template(path, inner)?;
    }
    for piece in post_processor["single"].as_array().into_iter().flatten() {
        if let Some(token) = piece["SpecialToken"]["id"].as_str() {
            let known = post_processor["special_tokens"].get(token).is_some();
            require(path, "post_processor", known, "tokens that it lists", token)?;
        }
        if let Some(id) = piece["Sequence"]["id"].as_str() {
            require(path, "post_processor", id == "A", "one text, A", id)?;
        }
    }
    Ok(())
}

/// The number of `token` in `tokenizer`, which came from `path`.
fn number(path: &Path, tokenizer: &tokenizers::Tokenizer, token: &str) -> Result<i64> {
    tokenizer.token_to_id(token).map(i64::from).ok_or_else(|| {
        Error::invalid_file(path, format!("token {token}"), "in the vocabulary", "not there")
    })
}

/// The numbers of the tokens of `text` in `tokenizer`, which came from `path`; with those that it puts
/// around every text where `special`.
fn encode(
    path: &Path,
    tokenizer: &tokenizers::Tokenizer,
    text: &str,
    special: bool,
) -> Result<Vec<i64>> {
    let encoding = tokenizer.encode_fast(text, special).map_err(|error| {
        Error::invalid_file(path, "vocabulary", "a token for every text", error)
    })?;
    Ok(encoding.get_ids().iter().map(|&id| i64::from(id)).collect())
}

/// What of `text` stands behind its first `limit` tokens of `tokenizer`, which came from `path`.
fn unread<'a>(
    path: &Path,
    tokenizer: &tokenizers::Tokenizer,
    text: &'a str,
    limit: usize,
) -> Result<Option<&'a str>> {
    let encoding = tokenizer.encode(text, false).map_err(|error| {
        Error::invalid_file(path, "vocabulary", "a token for every text", error)
    })?;
    let Some(&(start, _)) = encoding.get_offsets().get(limit) else { return Ok(None) };
    // A token of bytes may begin within a character.
    let start = (0..=start.min(text.len())).rfind(|&at| text.is_char_boundary(at)).unwrap_or(0);
    Ok(Some(text[start..].trim()))
}

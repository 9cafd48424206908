//! Texts to the token numbers that text networks read.

pub(crate) mod clip;
pub(crate) mod sentencepiece;
pub(crate) mod siglip;
mod special_tokens;
pub(crate) mod t5;

use std::path::Path;

use crate::{Error, Result};

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

//! Prompts to the token numbers that each of SDXL's text encoders reads, whole or cut.

use crate::Result;
use crate::generator::unread::{Unread, note};
use crate::models::clip::TextConfig;
use crate::models::common::json::require;
use crate::models::model_index::ModelIndex;
use crate::models::tokenizers::clip::Tokenizer;

/// Rows of token numbers, all of one length.
pub(super) type Rows = Vec<Vec<i64>>;

/// The tokenizers of a checkpoint. Callers check requests with them, and the model's thread reads
/// prompts with them.
#[derive(Debug)]
pub(super) struct Tokenizers {
    /// By the folder of the encoder, such as `text_encoder_2`.
    each: Vec<(&'static str, Tokenizer)>,
    /// Tokens of a row, begin, end and padding included; the same for all encoders.
    length: usize,
    /// Whether prompts are read whole, in as many rows as that takes.
    whole: bool,
}

impl Tokenizers {
    /// The tokenizers beside the encoders of these folders.
    pub(super) fn open(
        index: &ModelIndex,
        encoders: &[(&'static str, TextConfig)],
        whole: bool,
    ) -> Result<Self> {
        let (mut each, mut lengths) = (Vec::new(), Vec::new());
        for (name, config) in encoders {
            let tokenizer =
                Tokenizer::open(&index.part(&name.replace("text_encoder", "tokenizer")))?;
            let most = usize::try_from(config.sizes.max_tokens).unwrap_or(2);
            lengths.push(tokenizer.max_length().unwrap_or(most).min(most));
            each.push((*name, tokenizer));
        }
        let length = lengths.first().copied().unwrap_or(2);
        let equal = lengths.iter().all(|other| *other == length);
        let expected = "the same for all tokenizers";
        require(&index.path(), "model_max_length", equal, expected, format!("{lengths:?}"))?;
        let least = if whole { 3 } else { 2 };
        let expected = format!("at least {least}");
        require(&index.path(), "model_max_length", length >= least, expected, length)?;
        Ok(Self { each, length, whole })
    }

    /// The tokens of `prompt` beside begin and end, the most that an encoder has of it; 0 unless prompts
    /// are read whole.
    pub(super) fn count(&self, prompt: &str) -> Result<usize> {
        if !self.whole {
            return Ok(0);
        }
        let counts = self.each.iter().map(|(_, tokenizer)| tokenizer.encode(prompt, usize::MAX));
        counts
            .map(|ids| Ok(ids?.len() - 2))
            .try_fold(0, |most, count: Result<_>| Ok(most.max(count?)))
    }

    /// The token numbers of `prompt` for each encoder. In one row there is each tokenizer's own padding.
    /// More than fit into it are in rows that are filled up with the end token, as many as `tokens`
    /// take; only the first so many of all rows together count, begin and end tokens included.
    pub(super) fn encode(&self, prompt: &str, tokens: usize) -> Result<(Vec<Rows>, usize)> {
        let room = self.length.saturating_sub(2).max(1);
        if tokens <= room {
            let row = |(_, tokenizer): &(_, Tokenizer)| {
                Ok(vec![tokenizer.encode_padded(prompt, self.length)?])
            };
            return Ok((self.each.iter().map(row).collect::<Result<_>>()?, self.length));
        }
        let count = tokens.div_ceil(room);
        let rows = |(_, tokenizer): &(_, Tokenizer)| {
            let mut rows = tokenizer.encode_chunks(prompt, self.length)?;
            while rows.len() < count {
                rows.extend(tokenizer.encode_chunks("", self.length)?);
            }
            Ok(rows)
        };
        Ok((self.each.iter().map(rows).collect::<Result<_>>()?, tokens + 2 * count))
    }

    /// What of a prompt and a negative prompt the encoders do not read, in words.
    pub(super) fn note(&self, prompt: &str, negative: Option<&str>) -> Result<Option<String>> {
        if self.whole {
            return Ok(None);
        }
        note(prompt, negative, |text, prompt| {
            let mut all = Vec::new();
            for (encoder, tokenizer) in &self.each {
                let words = tokenizer.unread(prompt, self.length)?;
                all.extend(words.map(|words| Unread {
                    text,
                    encoder,
                    tokens: self.length,
                    words: words.to_owned(),
                }));
            }
            Ok(all)
        })
    }
}

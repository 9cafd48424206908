//! Prompts to the token numbers that PixArt-Σ's text encoder reads.

use super::caption;
use super::checkpoint::Checkpoint;
use crate::Result;
use crate::generator::unread::{Unread, note};
use crate::models::tokenizers::t5::Tokenizer;

/// The tokenizer of a checkpoint, and what is done to a prompt before. Callers check requests with
/// it, and the model's thread reads prompts with it.
#[derive(Debug)]
pub(super) struct PromptReader {
    tokenizer: Tokenizer,
    /// The most tokens of a prompt that are read, the end among them.
    max_sequence_length: usize,
    clean_caption: bool,
}

impl PromptReader {
    /// That of `checkpoint`.
    pub(super) fn open(
        checkpoint: &Checkpoint,
        max_sequence_length: usize,
        clean_caption: bool,
    ) -> Result<Self> {
        let tokenizer = Tokenizer::open(&checkpoint.index.part("tokenizer"))?;
        Ok(Self { tokenizer, max_sequence_length, clean_caption })
    }

    /// The token numbers of `prompt`, cut to what is read.
    pub(super) fn tokens(&self, prompt: &str) -> Result<Vec<i64>> {
        Ok(self.tokenizer.encode(&self.prepare(prompt), self.max_sequence_length)?.ids)
    }

    /// What of a prompt and a negative prompt is not read, in words.
    pub(super) fn note(&self, prompt: &str, negative: Option<&str>) -> Result<Option<String>> {
        let tokens = self.max_sequence_length;
        note(prompt, negative, |text, prompt| {
            let prompt = self.prepare(prompt);
            let words = self.tokenizer.unread(&prompt, tokens)?.map(str::to_owned);
            let unread = words.map(|words| Unread { text, encoder: "text_encoder", tokens, words });
            Ok(unread.into_iter().collect())
        })
    }

    /// diffusers' `_text_preprocessing`.
    fn prepare(&self, prompt: &str) -> String {
        if self.clean_caption { caption::clean(prompt) } else { caption::lower_and_strip(prompt) }
    }
}

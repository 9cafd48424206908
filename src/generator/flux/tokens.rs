//! Prompts to the token numbers that FLUX's text encoders read.

use super::checkpoint::Checkpoint;
use crate::Result;
use crate::generator::unread::{Unread, note};
use crate::models::common::json::require;
use crate::models::tokenizers::{clip, t5};

/// Both tokenizers of a checkpoint. Callers check requests with them, and the model's thread reads
/// prompts with them.
#[derive(Debug)]
pub(super) struct Tokenizers {
    clip: clip::Tokenizer,
    /// Tokens of every prompt that CLIP reads, begin, end and padding included.
    clip_length: usize,
    t5: t5::Tokenizer,
    /// Tokens of every prompt that T5 reads, end and padding included.
    t5_length: usize,
}

impl Tokenizers {
    /// Those of `checkpoint`. Of a prompt, T5 reads `max_sequence_length` tokens.
    pub(super) fn open(checkpoint: &Checkpoint, max_sequence_length: usize) -> Result<Self> {
        let path = checkpoint.index.part("tokenizer");
        let clip = clip::Tokenizer::open(&path)?;
        let most = usize::try_from(checkpoint.text_encoder.sizes.max_tokens).unwrap_or(2);
        let clip_length = clip.max_length().unwrap_or(most).min(most);
        require(&path, "model_max_length", clip_length >= 2, "2 or more", clip_length)?;
        let t5 = t5::Tokenizer::open(&checkpoint.index.part("tokenizer_2"))?;
        Ok(Self { clip, clip_length, t5, t5_length: max_sequence_length })
    }

    /// The token numbers of `prompt` for CLIP and for T5, each cut to what it reads.
    pub(super) fn encode(&self, prompt: &str) -> Result<[Vec<i64>; 2]> {
        let clip = self.clip.encode_padded(prompt, self.clip_length)?;
        Ok([clip, self.t5.encode_padded(prompt, self.t5_length)?.ids])
    }

    /// What of a prompt and a negative prompt the encoders do not read, in words. As in diffusers,
    /// both encoders are told of, although CLIP's is but one vector of the whole prompt.
    pub(super) fn note(&self, prompt: &str, negative: Option<&str>) -> Result<Option<String>> {
        note(prompt, negative, |text, prompt| {
            let unread = [
                ("text_encoder", self.clip_length, self.clip.unread(prompt, self.clip_length)?),
                ("text_encoder_2", self.t5_length, self.t5.unread(prompt, self.t5_length)?),
            ];
            let unread = unread.into_iter().filter_map(|(encoder, tokens, words)| {
                Some(Unread { text, encoder, tokens, words: words?.to_owned() })
            });
            Ok(unread.collect())
        })
    }
}

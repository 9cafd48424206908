//! Prompts to the states that FLUX's transformer reads: T5's, and CLIP's of the whole prompt.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::checkpoint::Checkpoint;
use super::offload::{Part, Placing};
use crate::Result;
use crate::generator::encoded::Encoded;
use crate::models::clip::{TextConfig, TextModel};
use crate::models::common::json::require;
use crate::models::t5::{T5Config, T5Encoder};
use crate::models::tokenizers;
use crate::models::tokenizers::clip::Tokenizer;

/// Prompts whose states are kept: draft and final image share most of theirs.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Both text encoders of a checkpoint.
#[derive(Debug)]
pub(super) struct TextEncoders {
    tokenizer: Tokenizer,
    /// Tokens of every prompt that CLIP reads, begin, end and padding included.
    length: usize,
    clip: Part<TextModel, TextConfig>,
    tokenizer_2: tokenizers::t5::Tokenizer,
    /// Tokens of every prompt that T5 reads, end and padding included.
    length_2: usize,
    t5: Part<T5Encoder, T5Config>,
    recent: LruCache<String, Encoded>,
}

impl TextEncoders {
    /// Those of `checkpoint`. Of a prompt, T5 reads `max_sequence_length` tokens.
    pub(super) fn open(
        checkpoint: &Checkpoint,
        max_sequence_length: usize,
        placing: Placing,
    ) -> Result<Self> {
        let folder = |name: &str| checkpoint.folder.join(name);
        let (config, config_2) = (&checkpoint.text_encoder, &checkpoint.text_encoder_2);
        let path = folder("tokenizer");
        let tokenizer = Tokenizer::open(&path)?;
        let most = usize::try_from(config.sizes.max_tokens).unwrap_or(2);
        let length = tokenizer.max_length().unwrap_or(most).min(most);
        require(&path, "model_max_length", length >= 2, "2 or more", length)?;
        Ok(Self {
            tokenizer,
            length,
            tokenizer_2: tokenizers::t5::Tokenizer::open(&folder("tokenizer_2"))?,
            length_2: max_sequence_length,
            clip: Part::open(folder("text_encoder"), config.clone(), TextModel::new, placing)?,
            t5: Part::open(folder("text_encoder_2"), config_2.clone(), T5Encoder::new, placing)?,
            recent: LruCache::new(REMEMBERED),
        })
    }

    /// Whether the states of `prompt` are at hand.
    pub(super) fn knows(&self, prompt: &str) -> bool {
        self.recent.contains(prompt)
    }

    /// The states of `prompt`, cut where it is longer than the encoders read.
    pub(super) fn encode(&mut self, prompt: &str) -> Result<Encoded> {
        let Self { tokenizer, length, clip, tokenizer_2, length_2, t5, recent } = self;
        let encoded = recent.try_get_or_insert(prompt.to_owned(), || {
            let ids = tokenizer.encode_padded(prompt, *length)?;
            let output = clip.get().and_then(|clip| clip.forward(&[ids]));
            clip.leave();
            let pooled = output?.pooled; // [1, width]
            let ids = tokenizer_2.encode_padded(prompt, *length_2)?.ids;
            let states = t5.get().and_then(|t5| t5.forward(&[ids])); // [1, tokens, width]
            t5.leave();
            Ok(Encoded::new(states?, pooled))
        });
        encoded.cloned()
    }
}

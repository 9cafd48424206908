//! Prompts to the states that FLUX's transformer reads: T5's, and CLIP's of the whole prompt.

use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use super::checkpoint::Checkpoint;
use super::offload::{Part, Placing};
use crate::Result;
use crate::generator::encoded::Encoded;
use crate::generator::loading::Loader;
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
    recent: LruCache<String, Rc<Encoded>>,
}

impl TextEncoders {
    /// Those of `checkpoint`. Of a prompt, T5 reads `max_sequence_length` tokens.
    pub(super) fn open(
        checkpoint: &Checkpoint,
        max_sequence_length: usize,
        placing: Placing,
        loader: &Loader,
    ) -> Result<Self> {
        let folder = |name: &str| checkpoint.index.part(name);
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
            clip: loader.part("text_encoder", || {
                Part::open(folder("text_encoder"), config.clone(), TextModel::new, placing)
            })?,
            t5: loader.part("text_encoder_2", || {
                Part::open(folder("text_encoder_2"), config_2.clone(), T5Encoder::new, placing)
            })?,
            recent: LruCache::new(REMEMBERED),
        })
    }

    /// Whether the states of `prompt` are at hand.
    pub(super) fn knows(&self, prompt: &str) -> bool {
        self.recent.contains(prompt)
    }

    /// The states of each of `prompts`, cut where it is longer than the encoders read. Encoders that
    /// are not resident come once for all of them.
    pub(super) fn encode(&mut self, prompts: &[&str]) -> Result<Vec<Rc<Encoded>>> {
        let Self { tokenizer, length, clip, tokenizer_2, length_2, t5, recent } = self;
        let mut make = |prompt: &str| {
            let ids = tokenizer.encode_padded(prompt, *length)?;
            let pooled = clip.get()?.forward(&[ids])?.pooled; // [1, width]
            let ids = tokenizer_2.encode_padded(prompt, *length_2)?.ids;
            let states = t5.get()?.forward(&[ids])?; // [1, tokens, width]
            Ok(Rc::new(Encoded { states, pooled }))
        };
        let encoded = prompts
            .iter()
            .map(|prompt| recent.try_get_or_insert((*prompt).to_owned(), || make(prompt)).cloned())
            .collect();
        clip.leave();
        t5.leave();
        encoded
    }
}

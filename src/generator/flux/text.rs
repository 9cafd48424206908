//! Prompts to the states that FLUX's transformer reads: T5's, and CLIP's of the whole prompt.

use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use lru::LruCache;

use super::checkpoint::Checkpoint;
use super::tokens::Tokenizers;
use crate::Result;
use crate::generator::encoded::Encoded;
use crate::generator::loading::Loader;
use crate::generator::offload::{Part, Placing};
use crate::models::clip::{TextConfig, TextModel};
use crate::models::t5::{T5Config, T5Encoder};

/// Prompts whose states are kept: draft and final image share most of theirs.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Both text encoders of a checkpoint.
#[derive(Debug)]
pub(super) struct TextEncoders {
    tokenizers: Arc<Tokenizers>,
    clip: Part<TextModel, TextConfig>,
    t5: Part<T5Encoder, T5Config>,
    recent: LruCache<String, Rc<Encoded>>,
}

impl TextEncoders {
    /// Those of `checkpoint`, which read what `tokenizers` make of prompts.
    pub(super) fn open(
        checkpoint: &Checkpoint,
        tokenizers: Arc<Tokenizers>,
        placing: Placing,
        loader: &Loader,
    ) -> Result<Self> {
        let weights = |name: &str| checkpoint.index.weights(name);
        let (config, config_2) = (&checkpoint.text_encoder, &checkpoint.text_encoder_2);
        Ok(Self {
            tokenizers,
            clip: loader.part("text_encoder", || {
                Part::open(weights("text_encoder")?, config.clone(), TextModel::new, placing)
            })?,
            t5: loader.part("text_encoder_2", || {
                Part::open(weights("text_encoder_2")?, config_2.clone(), T5Encoder::new, placing)
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
        let Self { tokenizers, clip, t5, recent } = self;
        let mut make = |prompt: &str| {
            let [clip_ids, t5_ids] = tokenizers.encode(prompt)?;
            let pooled = clip.get()?.forward(&[clip_ids])?.pooled; // [1, width]
            let states = t5.get()?.forward(&[t5_ids])?; // [1, tokens, width]
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

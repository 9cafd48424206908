//! Prompts to the states that PixArt-Σ's transformer reads: T5's, of a prompt's own tokens alone.

use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use lru::LruCache;
use tch::Tensor;

use super::checkpoint::Checkpoint;
use super::prompt::PromptReader;
use crate::Result;
use crate::generator::loading::Loader;
use crate::generator::offload::{Part, Placing};
use crate::models::t5::{T5Config, T5Encoder};

/// Prompts whose states are kept: draft and final image share most of theirs.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// The text encoder of a checkpoint.
#[derive(Debug)]
pub(super) struct TextEncoder {
    reader: Arc<PromptReader>,
    t5: Part<T5Encoder, T5Config>,
    recent: LruCache<String, Rc<Tensor>>,
}

impl TextEncoder {
    /// That of `checkpoint`, which reads what `reader` makes of prompts.
    pub(super) fn open(
        checkpoint: &Checkpoint,
        reader: Arc<PromptReader>,
        placing: Placing,
        loader: &Loader,
    ) -> Result<Self> {
        let config = checkpoint.text_encoder.clone();
        let t5 = loader.part("text_encoder", || {
            Part::open(checkpoint.index.weights("text_encoder")?, config, T5Encoder::new, placing)
        })?;
        Ok(Self { reader, t5, recent: LruCache::new(REMEMBERED) })
    }

    /// Whether the states of `prompt` are at hand.
    pub(super) fn knows(&self, prompt: &str) -> bool {
        self.recent.contains(prompt)
    }

    /// The states of each of `prompts`, `[1, tokens, width]`. diffusers pads a prompt, and masks the
    /// padding wherever it could be read, which gives the same. An encoder that is not resident
    /// comes once for all of them.
    pub(super) fn encode(&mut self, prompts: &[&str]) -> Result<Vec<Rc<Tensor>>> {
        let Self { reader, t5, recent } = self;
        let mut make = |prompt: &str| {
            let states = t5.get()?.forward(&[reader.tokens(prompt)?])?; // [1, tokens, width]
            Ok(Rc::new(states))
        };
        let encoded = prompts
            .iter()
            .map(|prompt| recent.try_get_or_insert((*prompt).to_owned(), || make(prompt)).cloned())
            .collect();
        t5.leave();
        encoded
    }
}

//! Prompts to the states that SDXL's UNet reads: two text encoders, side by side.

use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use lru::LruCache;
use tch::Tensor;

use super::checkpoint::Checkpoint;
use super::tokens::Tokenizers;
use crate::generator::encoded::Encoded;
use crate::generator::loading::Loader;
use crate::models::clip::TextModel;
use crate::models::common::weights::Weights;
use crate::{Error, Result};

/// Prompts whose states are kept: draft and final image share most of theirs.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// All text encoders of a checkpoint.
#[derive(Debug)]
pub(super) struct TextEncoders {
    tokenizers: Arc<Tokenizers>,
    /// In the order of `tokenizers`.
    models: Vec<TextModel>,
    /// By prompt and number of chunks.
    recent: LruCache<(String, usize), Rc<Encoded>>,
}

impl TextEncoders {
    /// The text encoders of `checkpoint`.
    pub(super) fn open(checkpoint: &Checkpoint, loader: &Loader) -> Result<Self> {
        let models = checkpoint.text_encoders.iter().map(|(name, config)| {
            loader.part(name, || {
                let weights = checkpoint.index.weights(name)?;
                TextModel::new(&Weights::open(&weights, loader.device, loader.kind)?, config)
            })
        });
        Ok(Self {
            tokenizers: Arc::clone(&checkpoint.tokenizers),
            models: models.collect::<Result<_>>()?,
            recent: LruCache::new(REMEMBERED),
        })
    }

    /// The states of `prompt` in that many `chunks` of tokens, each encoded alone and joined to one
    /// sequence. The pooled vector is that of the last chunk.
    pub(super) fn encode(&mut self, prompt: &str, chunks: usize) -> Result<Rc<Encoded>> {
        let Self { tokenizers, models, recent } = self;
        let encoded = recent.try_get_or_insert((prompt.to_owned(), chunks), || {
            let mut states = Vec::new();
            let mut pooled = None;
            for (model, rows) in models.iter().zip(tokenizers.encode(prompt, chunks)?) {
                let output = model.forward(&rows)?;
                // [1, chunks · tokens, width]
                states.push(output.penultimate.flatten(0, 1).unsqueeze(0));
                pooled = pooled.or(output.projected); // [chunks, projection]
            }
            let pooled = pooled.ok_or(Error::Unavailable {
                what: "pooled prompt".into(),
                reason: "no text encoder has a projection".into(),
            })?;
            Ok(Rc::new(Encoded {
                states: Tensor::cat(&states, -1),
                pooled: pooled.narrow(0, pooled.size()[0] - 1, 1),
            }))
        });
        encoded.cloned()
    }
}

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
    /// By prompt and the tokens of the longest text.
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

    /// The states of `prompt` beside a text of so many `tokens`: where they do not fit one row, those of
    /// several rows, each encoded alone, joined to one sequence that ends where the longest text does,
    /// and the pooled vector of the last row. Thus diffusers' `lpw_stable_diffusion_xl`.
    pub(super) fn encode(&mut self, prompt: &str, tokens: usize) -> Result<Rc<Encoded>> {
        let Self { tokenizers, models, recent } = self;
        let encoded = recent.try_get_or_insert((prompt.to_owned(), tokens), || {
            let mut states = Vec::new();
            let mut pooled = None;
            let (rows, length) = tokenizers.encode(prompt, tokens)?;
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            for (model, rows) in models.iter().zip(rows) {
                let output = model.forward(&rows)?;
                // [1, length, width]
                states.push(output.penultimate.flatten(0, 1).narrow(0, 0, length).unsqueeze(0));
                pooled = pooled.or(output.projected); // [rows, projection]
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

//! Prompts to the states that SDXL's UNet reads: two text encoders, side by side.

use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use tch::Tensor;

use super::checkpoint::Checkpoint;
use crate::generator::encoded::Encoded;
use crate::generator::loading::Loader;
use crate::models::clip::{TextConfig, TextModel};
use crate::models::common::json::require;
use crate::models::common::weights::Weights;
use crate::models::model_index::ModelIndex;
use crate::models::tokenizers::clip::Tokenizer;
use crate::{Error, Result};

/// Prompts whose states are kept: draft and final image share most of theirs.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// All text encoders of a checkpoint.
#[derive(Debug)]
pub(super) struct TextEncoders {
    encoders: Vec<TextEncoder>,
    recent: LruCache<String, Rc<Encoded>>,
}

#[derive(Debug)]
struct TextEncoder {
    tokenizer: Tokenizer,
    model: TextModel,
}

impl TextEncoders {
    /// The text encoders of `checkpoint`.
    pub(super) fn open(checkpoint: &Checkpoint, loader: &Loader) -> Result<Self> {
        let index = &checkpoint.index;
        let open =
            |(end, config): &(&str, TextConfig)| TextEncoder::open(index, end, config, loader);
        let encoders = checkpoint.text_encoders.iter().map(open).collect::<Result<Vec<_>>>()?;
        let lengths: Vec<_> = encoders.iter().map(TextEncoder::length).collect();
        let equal = lengths.windows(2).all(|pair| pair[0] == pair[1]);
        let expected = "the same for all tokenizers";
        require(&index.path(), "model_max_length", equal, expected, format!("{lengths:?}"))?;
        Ok(Self { encoders, recent: LruCache::new(REMEMBERED) })
    }

    /// The states of `prompt`, cut where it is longer than the encoders read.
    pub(super) fn encode(&mut self, prompt: &str) -> Result<Rc<Encoded>> {
        let encoders = &self.encoders;
        let encoded = self.recent.try_get_or_insert(prompt.to_owned(), || {
            let mut states = Vec::new();
            let mut pooled = None;
            for encoder in encoders {
                let ids = encoder.tokenizer.encode_padded(prompt, encoder.length())?;
                let output = encoder.model.forward(&[ids])?;
                states.push(output.penultimate); // [1, tokens, width]
                pooled = pooled.or(output.projected); // [1, projection]
            }
            let pooled = pooled.ok_or(Error::Unavailable {
                what: "pooled prompt".into(),
                reason: "no text encoder has a projection".into(),
            })?;
            Ok(Rc::new(Encoded { states: Tensor::cat(&states, -1), pooled }))
        });
        encoded.cloned()
    }
}

impl TextEncoder {
    /// That in the folders whose names end in `end`.
    fn open(index: &ModelIndex, end: &str, config: &TextConfig, loader: &Loader) -> Result<Self> {
        let tokenizer = Tokenizer::open(&index.part(&format!("tokenizer{end}")))?;
        let name = format!("text_encoder{end}");
        let model = loader.part(&name, || {
            TextModel::new(&Weights::open(&index.part(&name), loader.device, loader.kind)?, config)
        })?;
        Ok(Self { tokenizer, model })
    }

    /// Tokens of every prompt, begin, end and padding included.
    fn length(&self) -> usize {
        let most = usize::try_from(self.model.max_tokens()).unwrap_or(2);
        self.tokenizer.max_length().unwrap_or(most).min(most)
    }
}

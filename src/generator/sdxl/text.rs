//! Prompts to the states that SDXL's UNet reads: two text encoders, side by side.

use std::num::NonZeroUsize;

use lru::LruCache;
use tch::{Kind, Tensor};

use crate::generator::encoded::Encoded;
use crate::models::clip::{TextConfig, TextModel};
use crate::models::common::json::require;
use crate::models::common::weights::Weights;
use crate::models::tokenizers::clip::Tokenizer;
use crate::{Error, Result};

use super::index::{ModelIndex, TextEncoderEntry};

/// Prompts whose states are kept: draft and final image share most of theirs.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// All text encoders of a checkpoint.
#[derive(Debug)]
pub(super) struct TextEncoders {
    encoders: Vec<TextEncoder>,
    recent: LruCache<String, Encoded>,
}

#[derive(Debug)]
struct TextEncoder {
    tokenizer: Tokenizer,
    model: TextModel,
    /// Width of its projection, where it has one.
    projection: Option<i64>,
}

impl TextEncoders {
    /// The text encoders that `index` names.
    pub(super) fn open(index: &ModelIndex, device: tch::Device, kind: Kind) -> Result<Self> {
        let encoders = index
            .text_encoders
            .iter()
            .map(|entry| TextEncoder::open(entry, device, kind))
            .collect::<Result<Vec<_>>>()?;
        let lengths: Vec<_> = encoders.iter().map(TextEncoder::length).collect();
        let equal = lengths.windows(2).all(|pair| pair[0] == pair[1]);
        let expected = "the same for all tokenizers";
        require(&index.path, "model_max_length", equal, expected, format!("{lengths:?}"))?;
        let projects = encoders.iter().any(|encoder| encoder.projection.is_some());
        let expected = "CLIPTextModelWithProjection";
        require(&index.path, "text_encoder_2", projects, expected, "none with a projection")?;
        Ok(Self { encoders, recent: LruCache::new(REMEMBERED) })
    }

    /// Width of the states.
    pub(super) fn width(&self) -> i64 {
        self.encoders.iter().map(|encoder| encoder.model.width()).sum()
    }

    /// Width of the vector that stands for the whole prompt.
    pub(super) fn pooled_width(&self) -> i64 {
        self.encoders.iter().find_map(|encoder| encoder.projection).unwrap_or(0)
    }

    /// The states of `prompt`, cut where it is longer than the encoders read.
    pub(super) fn encode(&mut self, prompt: &str) -> Result<Encoded> {
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
            Ok(Encoded::new(Tensor::cat(&states, -1), pooled))
        });
        encoded.cloned()
    }
}

impl TextEncoder {
    fn open(entry: &TextEncoderEntry, device: tch::Device, kind: Kind) -> Result<Self> {
        let tokenizer = Tokenizer::open(&entry.tokenizer)?;
        let mut config = TextConfig::open(&entry.folder)?;
        if let Some(class) = &entry.class {
            // The pipeline's class counts, whatever class wrote the folder.
            config.architectures = Some(vec![class.clone()]);
        }
        let projection = config.projection();
        let model = TextModel::new(&Weights::open(&entry.folder, device, kind)?, &config)?;
        Ok(Self { tokenizer, model, projection })
    }

    /// Tokens of every prompt, begin, end and padding included.
    fn length(&self) -> usize {
        let most = usize::try_from(self.model.max_tokens()).unwrap_or(2);
        self.tokenizer.max_length().unwrap_or(most).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_unused_for_longest_is_made_anew() {
        let mut recent = LruCache::new(NonZeroUsize::new(2).unwrap());
        let mut made = Vec::new();
        for key in ["a", "b", "a", "c", "a", "b"] {
            let value = recent.try_get_or_insert(key, || {
                made.push(key);
                Ok::<_, ()>(key.to_uppercase())
            });
            assert_eq!(value, Ok(&key.to_uppercase()));
        }
        assert_eq!(made, ["a", "b", "c", "b"]);
        assert!(recent.contains(&"a") && !recent.contains(&"c"));
        assert_eq!(recent.try_get_or_insert("d", || Err(1)), Err(1));
    }
}

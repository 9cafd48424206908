//! Prompts to the token numbers that each of SDXL's text encoders reads, whole or cut.

use crate::Result;
use crate::generator::unread::{Unread, note};
use crate::models::clip::TextConfig;
use crate::models::common::json::require;
use crate::models::model_index::ModelIndex;
use crate::models::tokenizers::clip::Tokenizer;

/// The tokenizers of a checkpoint. Callers check requests with them, and the model's thread reads
/// prompts with them.
#[derive(Debug)]
pub(super) struct Tokenizers {
    /// By the folder of the encoder, such as `text_encoder_2`.
    each: Vec<(&'static str, Tokenizer)>,
    /// Tokens of a row, begin, end and padding included; the same for all encoders.
    length: usize,
    /// Whether prompts are read whole, in as many rows as that takes.
    whole: bool,
}

impl Tokenizers {
    /// The tokenizers beside the encoders of these folders.
    pub(super) fn open(
        index: &ModelIndex,
        encoders: &[(&'static str, TextConfig)],
        whole: bool,
    ) -> Result<Self> {
        let (mut each, mut lengths) = (Vec::new(), Vec::new());
        for (name, config) in encoders {
            let tokenizer =
                Tokenizer::open(&index.part(&name.replace("text_encoder", "tokenizer")))?;
            let most = usize::try_from(config.sizes.max_tokens).unwrap_or(2);
            lengths.push(tokenizer.max_length().unwrap_or(most).min(most));
            each.push((*name, tokenizer));
        }
        let length = lengths.first().copied().unwrap_or(2);
        let equal = lengths.iter().all(|other| *other == length);
        let expected = "the same for all tokenizers";
        require(&index.path(), "model_max_length", equal, expected, format!("{lengths:?}"))?;
        let least = if whole { 3 } else { 2 };
        let expected = format!("at least {least}");
        require(&index.path(), "model_max_length", length >= least, expected, length)?;
        Ok(Self { each, length, whole })
    }

    /// How many rows of tokens `prompt` is read in: one, unless it is read whole.
    pub(super) fn chunks(&self, prompt: &str) -> Result<usize> {
        if !self.whole {
            return Ok(1);
        }
        let rows = |(_, tokenizer): &(_, Tokenizer)| {
            tokenizer.encode_chunks(prompt, self.length).map(|rows| rows.len())
        };
        self.each.iter().map(rows).try_fold(1, |most, rows| Ok(most.max(rows?)))
    }

    /// The token numbers of `prompt` for each encoder: `chunks` rows, of which the last may be of an
    /// empty prompt. Several rows are filled up with the end token, as in diffusers'
    /// `lpw_stable_diffusion_xl`; one row with each tokenizer's own padding, as without long prompts.
    pub(super) fn encode(&self, prompt: &str, chunks: usize) -> Result<Vec<Vec<Vec<i64>>>> {
        let rows = |(_, tokenizer): &(_, Tokenizer)| {
            if chunks == 1 {
                return Ok(vec![tokenizer.encode_padded(prompt, self.length)?]);
            }
            let mut rows = tokenizer.encode_chunks(prompt, self.length)?;
            while rows.len() < chunks {
                rows.extend(tokenizer.encode_chunks("", self.length)?);
            }
            Ok(rows)
        };
        self.each.iter().map(rows).collect()
    }

    /// What of a prompt and a negative prompt the encoders do not read, in words.
    pub(super) fn note(&self, prompt: &str, negative: Option<&str>) -> Result<Option<String>> {
        if self.whole {
            return Ok(None);
        }
        note(prompt, negative, |text, prompt| {
            let mut all = Vec::new();
            for (encoder, tokenizer) in &self.each {
                let words = tokenizer.unread(prompt, self.length)?;
                all.extend(words.map(|words| Unread {
                    text,
                    encoder,
                    tokens: self.length,
                    words: words.to_owned(),
                }));
            }
            Ok(all)
        })
    }
}

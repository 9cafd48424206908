//! A pipeline folder's `model_index.json` to what SDXL's parts are, and whether they are there.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::models::common::json::{read_json, require};
use crate::{Error, Result};

/// What is read of `model_index.json`.
#[derive(Debug)]
pub(super) struct ModelIndex {
    /// The file.
    pub(super) path: PathBuf,
    /// diffusers' class of the scheduler.
    pub(super) scheduler: Option<String>,
    /// Folders of the text encoders with their tokenizers' and their classes, in order.
    pub(super) text_encoders: Vec<TextEncoderEntry>,
    /// Whether a request without a negative prompt is guided away from zeros, and not from "".
    pub(super) force_zeros_for_empty_prompt: bool,
}

/// A text encoder of the pipeline.
#[derive(Debug)]
pub(super) struct TextEncoderEntry {
    pub(super) folder: PathBuf,
    pub(super) tokenizer: PathBuf,
    pub(super) class: Option<String>,
}

/// Library and class of a part; both null where the pipeline has none.
type Part = Option<(Option<String>, Option<String>)>;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "_class_name")]
    class: String,
    scheduler: Part,
    text_encoder: Part,
    text_encoder_2: Part,
    force_zeros_for_empty_prompt: Option<bool>,
}

impl ModelIndex {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such folder");
            return Err(Error::io(folder, source));
        }
        let path = folder.join("model_index.json");
        let file: File = read_json(&path)?;
        let sdxl = file.class.starts_with("StableDiffusionXL");
        require(&path, "_class_name", sdxl, "StableDiffusionXLPipeline", &file.class)?;
        let class = |part: Part| part.and_then(|(_, class)| class);
        let entry = |suffix: &str, class| TextEncoderEntry {
            folder: folder.join(format!("text_encoder{suffix}")),
            tokenizer: folder.join(format!("tokenizer{suffix}")),
            class,
        };
        // As in SDXL's refiner, the first encoder may be absent, and only it.
        let absent = matches!(file.text_encoder, Some((_, None)));
        let first = (!absent).then(|| entry("", class(file.text_encoder)));
        let second = entry("_2", class(file.text_encoder_2));
        Ok(Self {
            path,
            scheduler: class(file.scheduler),
            text_encoders: first.into_iter().chain([second]).collect(),
            force_zeros_for_empty_prompt: file.force_zeros_for_empty_prompt.unwrap_or(true),
        })
    }
}

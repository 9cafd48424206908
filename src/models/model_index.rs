//! A pipeline folder's `model_index.json` to its class, the classes of its parts, and its settings.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::common::json::{read_json, require};
use crate::{Error, Result};

/// A diffusers pipeline in a folder.
#[derive(Clone, Debug)]
pub(crate) struct ModelIndex {
    /// The pipeline's folder, in which each part has one of its own.
    pub(crate) folder: PathBuf,
    file: File,
}

#[derive(Clone, Debug, Deserialize)]
struct File {
    #[serde(rename = "_class_name")]
    class: String,
    /// Parts, as library and class, and settings of the pipeline, by name.
    #[serde(flatten)]
    entries: Map<String, Value>,
}

impl ModelIndex {
    /// The pipeline in `folder`. Its class must be `class`, or begin with what stands before a `*`.
    pub(crate) fn open(folder: &Path, class: &str) -> Result<Self> {
        if !folder.is_dir() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such folder");
            return Err(Error::io(folder, source));
        }
        let path = folder.join("model_index.json");
        let file: File = read_json(&path)?;
        let fits = match class.strip_suffix('*') {
            Some(begin) => file.class.starts_with(begin),
            None => file.class == class,
        };
        require(&path, "_class_name", fits, class, &file.class)?;
        Ok(Self { folder: folder.to_owned(), file })
    }

    /// The file, for errors.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("model_index.json")
    }

    /// The name of the folder, which is the model's.
    pub(crate) fn name(&self) -> String {
        let path = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The folder of a part.
    pub(crate) fn part(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The class of a part; `None` where the pipeline leaves it out or does not name it.
    pub(crate) fn class_of(&self, part: &str) -> Option<&str> {
        self.file.entries.get(part)?.get(1)?.as_str()
    }

    /// Whether the pipeline says that it has no such part: `[null, null]`.
    pub(crate) fn leaves_out(&self, part: &str) -> bool {
        let class = self.file.entries.get(part).and_then(|pair| pair.get(1));
        class.is_some_and(Value::is_null)
    }

    /// Refuses a part of another class. One that is not named has the class that it has everywhere.
    pub(crate) fn require(&self, part: &str, class: &str) -> Result<()> {
        let found =
            if self.leaves_out(part) { "none" } else { self.class_of(part).unwrap_or(class) };
        require(&self.path(), part, found == class, class, found)
    }

    /// A setting that is on or off.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.file.entries.get(name)?.as_bool()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_left_out_or_not_mentioned() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"_class_name": "StableDiffusionXLPipeline", "force_zeros": true,
            "unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": [null, null]}"#;
        std::fs::write(folder.path().join("model_index.json"), text).unwrap();
        let index = ModelIndex::open(folder.path(), "StableDiffusionXL*").unwrap();
        assert_eq!(index.class_of("unet"), Some("UNet2DConditionModel"));
        assert!(index.leaves_out("text_encoder") && !index.leaves_out("vae"));
        assert_eq!((index.class_of("text_encoder"), index.class_of("vae")), (None, None));
        assert_eq!((index.flag("force_zeros"), index.flag("unet")), (Some(true), None));
        assert!(index.require("vae", "AutoencoderKL").is_ok());
        for (part, found) in [("unet", "UNet2DConditionModel"), ("text_encoder", "none")] {
            let error = index.require(part, "Another").unwrap_err().to_string();
            assert!(error.contains(&format!("{part}: expected Another, found {found}")), "{error}");
        }
        let error = ModelIndex::open(folder.path(), "FluxPipeline").unwrap_err().to_string();
        assert!(error.contains("_class_name: expected FluxPipeline"), "{error}");
    }
}

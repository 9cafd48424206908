//! A pipeline folder's `model_index.json` to its class, the classes of its parts, and its settings.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::common::checkpoint::{choose, variant_of};
use super::common::json::{read_json, require};
use crate::{Error, Result, error};

/// A diffusers pipeline in a folder.
#[derive(Clone, Debug)]
pub(crate) struct ModelIndex {
    /// The pipeline's folder, in which each part has one of its own.
    pub(crate) folder: PathBuf,
    /// The variant of the weights that is asked for, such as `fp16`.
    variant: Option<String>,
    file: File,
}

/// Pipelines of the same parts, which one generator draws with.
pub(crate) struct Pipelines {
    /// Their classes; a name that ends in `*` stands for all that begin so.
    pub(crate) classes: &'static [&'static str],
    /// The parts that they may have. Another one would change the image.
    pub(crate) parts: &'static [&'static str],
}

#[derive(Clone, Debug, Deserialize)]
struct File {
    #[serde(rename = "_class_name")]
    class: Option<String>,
    /// Parts, as library and class, and settings of the pipeline, by name.
    #[serde(flatten)]
    entries: Map<String, Value>,
}

impl ModelIndex {
    /// The pipeline in `folder`, which must be one of `pipelines`, with this `variant` of its weights
    /// where parts have it.
    pub(crate) fn open(
        folder: &Path,
        pipelines: &Pipelines,
        variant: Option<&str>,
    ) -> Result<Self> {
        if !folder.is_dir() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such folder");
            return Err(Error::io(folder, source));
        }
        let path = folder.join("model_index.json");
        let file: File = read_json(&path)?;
        let class = file.class.as_deref().unwrap_or("none");
        let fits = pipelines.classes.iter().any(|name| match name.strip_suffix('*') {
            Some(begin) => class.starts_with(begin),
            None => class == *name,
        });
        require(&path, "_class_name", fits, pipelines.classes.join(", "), class)?;
        let index = Self { folder: folder.to_owned(), variant: variant.map(str::to_owned), file };
        for part in index.file.entries.keys() {
            if let Some(class) = index.class_of(part) {
                let expected = format!("none beside {}", pipelines.parts.join(", "));
                let known = pipelines.parts.contains(&part.as_str());
                require(&path, &format!("part {part}"), known, expected, class)?;
            }
        }
        Ok(index)
    }

    /// The file, for errors.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("model_index.json")
    }

    /// The name of the folder, which is the model's.
    pub(crate) fn name(&self) -> String {
        name_of(&self.folder)
    }

    /// The folder of a part.
    pub(crate) fn part(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The weights of a part: of the variant that is asked for, where the part has it.
    pub(crate) fn weights(&self, part: &str) -> Result<PathBuf> {
        choose(&self.part(part), self.variant.as_deref())
    }

    /// Refuses a variant that none of `parts` has.
    pub(crate) fn require_variant(&self, parts: &[&str]) -> Result<()> {
        let Some(variant) = &self.variant else { return Ok(()) };
        let mut found = Vec::new();
        for part in parts {
            let weights = self.weights(part)?;
            found.push(match variant_of(&weights) {
                "" => format!("{part}: none"),
                variant => format!("{part}: {variant:?}"),
            });
        }
        let is_there = found.iter().any(|found| found.ends_with(&format!(": {variant:?}")));
        let expected = format!("one of the weights in {}", self.folder.display());
        let found = format!("{variant:?}, while the parts have {}", found.join(", "));
        error::require(is_there, "variant", expected, found)
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

/// The name of `folder`, wherever one stands.
pub(crate) fn name_of(folder: &Path) -> String {
    let path = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPELINES: Pipelines = Pipelines {
        classes: &["StableDiffusionXL*", "OtherPipeline"],
        parts: &["unet", "text_encoder", "vae"],
    };

    fn open(text: &str) -> Result<ModelIndex> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model_index.json"), text).unwrap();
        ModelIndex::open(folder.path(), &PIPELINES, None)
    }

    #[test]
    fn parts_are_named_left_out_or_not_mentioned() {
        let text = r#"{"_class_name": "StableDiffusionXLPipeline", "force_zeros": true,
            "unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": [null, null]}"#;
        let index = open(text).unwrap();
        assert_eq!(index.class_of("unet"), Some("UNet2DConditionModel"));
        assert!(index.leaves_out("text_encoder") && !index.leaves_out("vae"));
        assert_eq!((index.class_of("text_encoder"), index.class_of("vae")), (None, None));
        assert_eq!((index.flag("force_zeros"), index.flag("unet")), (Some(true), None));
        assert!(index.require("vae", "AutoencoderKL").is_ok());
        for (part, found) in [("unet", "UNet2DConditionModel"), ("text_encoder", "none")] {
            let error = index.require(part, "Another").unwrap_err().to_string();
            assert!(error.contains(&format!("{part}: expected Another, found {found}")), "{error}");
        }
    }

    #[test]
    fn classes_and_parts_of_other_pipelines_are_named() {
        assert!(open("\u{feff}{\"_class_name\": \"OtherPipeline\"}").is_ok());
        let classes = "_class_name: expected StableDiffusionXL*, OtherPipeline, found";
        for (text, words) in [
            (r#"{"_class_name": "OtherPipelines"}"#, format!("{classes} OtherPipelines")),
            ("{}", format!("{classes} none")),
            (
                r#"{"_class_name": "StableDiffusionXLControlNetPipeline",
                    "controlnet": ["diffusers", "ControlNetModel"]}"#,
                "part controlnet: expected none beside unet, text_encoder, vae, \
                 found ControlNetModel"
                    .to_owned(),
            ),
        ] {
            let error = open(text).unwrap_err().to_string();
            assert!(error.contains("model_index.json") && error.contains(&words), "{error}");
        }
        // A part that is left out is none.
        let text = r#"{"_class_name": "OtherPipeline", "safety_checker": [null, null]}"#;
        assert!(open(text).is_ok());
    }
}

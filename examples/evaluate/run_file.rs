//! A run file, TOML or JSON, to what it says.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use imagerag::Price;
use imagerag::evaluation::dataset::{AircraftLevel, DatasetKind, Split};
use imagerag::evaluation::experiment::Budget;
use imagerag::pipeline::RagConfig;
use serde::{Deserialize, Serialize};

#[cfg(feature = "tch")]
use crate::backend::Backend;
use crate::metric_table::MetricTable;

/// Everything that a run is made of. `evaluate init` writes examples, with comments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunFile {
    /// Where relative paths begin: the folder that the file lies in.
    #[serde(skip)]
    pub(crate) home: PathBuf,
    /// Where everything goes.
    folder: PathBuf,
    /// The seeds of each item; [0] by default.
    pub(crate) seeds: Option<Vec<u64>>,
    /// The same as the seeds 0 to `per_class` - 1.
    pub(crate) per_class: Option<u64>,
    /// Pictures that are worked on at a time.
    #[serde(default = "four")]
    pub(crate) concurrency: usize,
    /// Where models compute, and in what.
    #[serde(default = "cpu")]
    pub(crate) device: String,
    #[serde(default = "f32")]
    pub(crate) dtype: String,
    #[serde(default)]
    pub(crate) budget: Budget,
    #[serde(default)]
    pub(crate) prices: BTreeMap<String, Price>,
    pub(crate) datasets: Vec<DatasetTable>,
    #[serde(default)]
    pub(crate) models: BTreeMap<String, Model>,
    #[serde(default)]
    pub(crate) services: BTreeMap<String, Service>,
    #[serde(default)]
    pub(crate) vlms: BTreeMap<String, VlmTable>,
    #[serde(default)]
    pub(crate) embedders: BTreeMap<String, EmbedderTable>,
    #[serde(default)]
    pub(crate) galleries: BTreeMap<String, GalleryTable>,
    #[serde(default)]
    pub(crate) systems: Vec<SystemTable>,
    #[serde(default)]
    pub(crate) metrics: Vec<MetricTable>,
}

/// A generator on this machine.
#[cfg(feature = "tch")]
pub(crate) type Model = Backend;
/// A generator that this program was built without.
#[cfg(not(feature = "tch"))]
pub(crate) type Model = toml::Value;

/// A data set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatasetTable {
    pub(crate) name: String,
    /// Guessed from what is there by default.
    pub(crate) kind: Option<DatasetKind>,
    pub(crate) path: PathBuf,
    /// The part whose real images are compared with.
    pub(crate) split: Option<Split>,
    /// A CSV file of identifiers and names.
    pub(crate) names: Option<PathBuf>,
    #[serde(default)]
    pub(crate) common_names: bool,
    #[serde(default)]
    pub(crate) level: AircraftLevel,
    /// With `{}` for the name of the class.
    pub(crate) prompt: Option<String>,
    /// The first so many classes.
    pub(crate) first: Option<usize>,
    /// So many classes at random.
    pub(crate) sample: Option<usize>,
    #[serde(default)]
    pub(crate) sample_seed: u64,
}

/// A generator behind a service. What is not serialised changes no picture.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) api: Api,
    #[serde(default)]
    pub(crate) model: String,
    pub(crate) url: Option<String>,
    /// The environment variable of its key.
    #[serde(skip_serializing)]
    pub(crate) key: Option<String>,
    /// Seconds that one attempt may take, and how often it is repeated.
    #[serde(skip_serializing)]
    pub(crate) timeout: Option<f64>,
    #[serde(skip_serializing)]
    pub(crate) retries: Option<u32>,
    /// The most references of one picture.
    #[serde(default = "three")]
    pub(crate) capacity: usize,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Api {
    OpenaiImages,
    Gemini,
    SdServer,
}

/// A vision-language model. What is not serialised changes no reply.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VlmTable {
    pub(crate) model: String,
    pub(crate) url: Option<String>,
    /// The environment variable of its key.
    #[serde(skip_serializing)]
    pub(crate) key: Option<String>,
    /// Seconds that one attempt may take, and how often it is repeated.
    #[serde(skip_serializing)]
    pub(crate) timeout: Option<f64>,
    #[serde(skip_serializing)]
    pub(crate) retries: Option<u32>,
    pub(crate) max_tokens: Option<u32>,
}

/// What embeds texts and images.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbedderTable {
    /// A checkpoint of CLIP or SigLIP; with `api` the name of a service's model.
    pub(crate) model: String,
    pub(crate) api: Option<String>,
    pub(crate) url: Option<String>,
}

/// A retrieval set.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GalleryTable {
    pub(crate) folder: PathBuf,
    /// A name of `[embedders]`.
    pub(crate) embedder: String,
    /// A folder of images, or of WebDataset shards, that the gallery takes in first, as far as it lacks them.
    pub(crate) images: Option<PathBuf>,
}

/// A row.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SystemTable {
    pub(crate) name: String,
    /// A name of `[models]` or `[services]`.
    pub(crate) model: String,
    /// The system whose pictures are the drafts.
    pub(crate) base: Option<String>,
    /// A name of `[vlms]`; with one the system is a pipeline, and a generator alone without.
    pub(crate) vlm: Option<String>,
    /// A name of `[galleries]`.
    pub(crate) gallery: Option<String>,
    /// A second name of `[galleries]`: the best three of both are candidates.
    pub(crate) fused_with: Option<String>,
    /// The data sets that it draws; all by default.
    pub(crate) on: Option<Vec<String>>,
    pub(crate) rerank: Option<RerankKind>,
    /// Candidates that are re-ranked.
    #[serde(default = "six")]
    pub(crate) candidates: usize,
    /// Has the vision-language model look at each reference before it is used.
    #[serde(default)]
    pub(crate) verify: bool,
    #[serde(default)]
    pub(crate) config: RagConfig,
    pub(crate) negative_prompt: Option<String>,
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    pub(crate) steps: Option<usize>,
    pub(crate) guidance_scale: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RerankKind {
    /// By the system's vision-language model.
    Vlm,
    /// By BM25 over the captions of the gallery's images.
    Bm25,
}

fn four() -> usize {
    4
}
fn three() -> usize {
    3
}
fn six() -> usize {
    6
}
fn cpu() -> String {
    "cpu".to_owned()
}
fn f32() -> String {
    "f32".to_owned()
}
impl RunFile {
    /// Reads the file at `path`: JSON where its ending is `json`, else TOML.
    ///
    /// # Errors
    /// The file, where it can be found the line, and what is wrong.
    pub(crate) fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
        let text = decoded(&bytes).map_err(|error| format!("{shown}: {error}"))?;
        let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let mut file: Self = match is_json {
            true => serde_json::from_str(&text).map_err(|error| format!("{shown}: {error}"))?,
            false => toml::from_str(&text).map_err(|error| format!("{shown}: {error}"))?,
        };
        file.check().map_err(|fault| {
            let line = (!is_json).then(|| fault.line(&text)).flatten();
            let line = line.map_or_else(String::new, |line| format!(", line {line}"));
            format!("{shown}{line}: {fault}")
        })?;
        let home = std::path::absolute(path)?;
        file.home = home.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(file)
    }

    /// Where everything goes.
    pub(crate) fn folder(&self) -> PathBuf {
        self.home.join(&self.folder)
    }

    /// A path that the file names.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.home.join(path)
    }

    /// A file or folder relative to the run file where it is there; else as it is, such as the name of a
    /// repository.
    pub(crate) fn place(&self, name: &str) -> String {
        let path = self.home.join(name);
        if path.exists() { path.display().to_string() } else { name.to_owned() }
    }

    pub(crate) fn seeds(&self) -> Vec<u64> {
        match (&self.seeds, self.per_class) {
            (Some(seeds), _) => seeds.clone(),
            (None, count) => (0..count.unwrap_or(1)).collect(),
        }
    }
}

/// The text in the bytes of a run file: UTF-8, or UTF-16 with its mark, as some editors write it.
fn decoded(bytes: &[u8]) -> Result<String, String> {
    let utf_16 = |unit: fn([u8; 2]) -> u16| {
        let (units, _) = bytes[2..].as_chunks();
        let units: Vec<u16> = units.iter().copied().map(unit).collect();
        String::from_utf16(&units).map_err(|error| error.to_string())
    };
    match bytes {
        [0xff, 0xfe, ..] => utf_16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf_16(u16::from_be_bytes),
        bytes => {
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let text = std::str::from_utf8(text);
            Ok(text.map_err(|error| format!("expected UTF-8, found {error}"))?.to_owned())
        }
    }
}

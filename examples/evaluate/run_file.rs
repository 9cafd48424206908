//! A run file, TOML or JSON, to what it says.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use imagerag::Price;
use imagerag::evaluation::dataset::{AircraftLevel, DatasetKind, Split};
use imagerag::evaluation::experiment::Budget;
use imagerag::evaluation::metric::{ComparedText, Reduction, TextFormula};
use imagerag::pipeline::RagConfig;
use serde::{Deserialize, Serialize};

#[cfg(feature = "tch")]
use crate::backend::Backend;

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
    seeds: Option<Vec<u64>>,
    /// The same as the seeds 0 to `per_class` - 1.
    per_class: Option<u64>,
    /// Pictures that are worked on at a time.
    #[serde(default = "four")]
    pub(crate) concurrency: usize,
    /// Where models compute, and in what.
    #[cfg_attr(not(feature = "tch"), expect(dead_code, reason = "nothing computes here"))]
    #[serde(default = "cpu")]
    pub(crate) device: String,
    #[cfg_attr(not(feature = "tch"), expect(dead_code, reason = "nothing computes here"))]
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

/// A generator behind a service.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) api: Api,
    #[serde(default)]
    pub(crate) model: String,
    pub(crate) url: Option<String>,
    /// The environment variable of its key.
    pub(crate) key: Option<String>,
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

/// A vision-language model.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VlmTable {
    pub(crate) model: String,
    pub(crate) url: Option<String>,
    /// The environment variable of its key.
    pub(crate) key: Option<String>,
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

/// A column.
#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum MetricTable {
    /// Cosine of picture and text.
    TextSimilarity {
        name: String,
        /// A checkpoint of CLIP or SigLIP.
        model: String,
        #[serde(default)]
        formula: TextFormula,
        #[serde(default)]
        text: ComparedText,
        #[serde(default)]
        prefix: String,
        decimals: Option<usize>,
    },
    /// Cosine of picture and real images.
    ImageSimilarity {
        name: String,
        /// A checkpoint of CLIP, SigLIP, DINO or DINOv2.
        model: String,
        /// `file` or `official`.
        #[serde(default = "file")]
        preprocessing: String,
        #[serde(default)]
        reduction: Reduction,
        /// At most so many real images of a class, chosen by `seed`.
        at_most: Option<usize>,
        #[serde(default)]
        seed: u64,
        /// The cosine from which a real image counts as a copy of a reference; `false` keeps all that have
        /// other pixels.
        #[serde(default)]
        near_duplicates: NearDuplicates,
        decimals: Option<usize>,
    },
    /// A vision-language model that gives marks: DreamBench++'s prompt following by default.
    Judge {
        /// A name of `[vlms]`.
        vlm: String,
        #[serde(default)]
        rubric: RubricName,
        /// A TOML or JSON file of criteria of one's own, in place of `rubric`.
        criteria: Option<PathBuf>,
        /// How often it judges each picture.
        runs: Option<usize>,
    },
    /// The probability of "Yes" to whether the picture shows the text.
    VqaScore {
        /// A name of `[vlms]`. Its service must tell log-probabilities, or `replies` be given.
        vlm: String,
        /// The share of "yes" among so many replies, which is another number.
        replies: Option<usize>,
    },
}

/// Which real images are left out of a comparison as copies of references.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum NearDuplicates {
    /// Those with a cosine of at least this.
    From(f64),
    /// As usual, or none.
    LeftOut(bool),
}

impl Default for NearDuplicates {
    fn default() -> Self {
        Self::LeftOut(true)
    }
}

/// Rubrics that are ready made.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RubricName {
    #[default]
    GptScore,
    Preservation,
    KScore,
    FactIp,
    VieScore,
    Wise,
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
fn file() -> String {
    "file".to_owned()
}

impl RunFile {
    /// Reads the file at `path`: JSON where its ending is `json`, else TOML.
    pub(crate) fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let mut file = Self::parse(&text, is_json).map_err(|error| format!("{shown}: {error}"))?;
        let home = std::path::absolute(path)?;
        file.home = home.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(file)
    }

    pub(crate) fn parse(text: &str, is_json: bool) -> Result<Self, Box<dyn Error>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file: Self = match is_json {
            true => serde_json::from_str(text)?,
            false => toml::from_str(text)?,
        };
        file.check()?;
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

    /// That every name that is used is there.
    fn check(&self) -> Result<(), String> {
        if self.seeds.is_some() && self.per_class.is_some() {
            return Err("per_class: expected it or seeds, found both".to_owned());
        }
        let generators: Vec<&String> = self.models.keys().chain(self.services.keys()).collect();
        if let Some(name) = self.services.keys().find(|name| self.models.contains_key(*name)) {
            return Err(format!("services.{name}: expected another name than a model's"));
        }
        #[cfg(feature = "tch")]
        for (name, model) in &self.models {
            model.check(false).map_err(|error| format!("models.{name}: {error}"))?;
        }
        for (name, gallery) in &self.galleries {
            let what = format!("embedder of galleries.{name}");
            known(&what, &gallery.embedder, self.embedders.keys().collect())?;
        }
        let sets: Vec<&String> = self.datasets.iter().map(|dataset| &dataset.name).collect();
        let systems: Vec<&String> = self.systems.iter().map(|system| &system.name).collect();
        for metric in &self.metrics {
            if let MetricTable::Judge { vlm, .. } | MetricTable::VqaScore { vlm, .. } = metric {
                known("vlm of a metric", vlm, self.vlms.keys().collect())?;
            }
        }
        for system in &self.systems {
            let of = |what: &str| format!("{what} of system {}", system.name);
            known(&of("model"), &system.model, generators.clone())?;
            let one_of = |what: &str, name: &Option<String>, all: Vec<&String>| {
                name.as_ref().map_or(Ok(()), |name| known(&of(what), name, all))
            };
            one_of("vlm", &system.vlm, self.vlms.keys().collect())?;
            one_of("gallery", &system.gallery, self.galleries.keys().collect())?;
            one_of("fused_with", &system.fused_with, self.galleries.keys().collect())?;
            one_of("base", &system.base, systems.clone())?;
            for set in system.on.iter().flatten() {
                known(&of("data sets"), set, sets.clone())?;
            }
            if system.vlm.is_none() && system.config.query != imagerag::critic::Query::Prompt {
                let needs = [system.gallery.is_some(), system.rerank.is_some(), system.verify];
                if needs.contains(&true) {
                    return Err(format!(
                        "system {}: a pipeline needs a vlm, found none",
                        system.name
                    ));
                }
            }
        }
        Ok(())
    }
}

fn known(what: &str, name: &String, all: Vec<&String>) -> Result<(), String> {
    if all.contains(&name) {
        return Ok(());
    }
    let all: Vec<_> = all.into_iter().map(String::as_str).collect();
    let all = if all.is_empty() { "a name (there is none)".to_owned() } else { all.join(", ") };
    Err(format!("{what}: expected one of {all}, found {name}"))
}

//! A folder of diffusers' or of OmniGen's authors to the settings of OmniGen's parts, compared with
//! each other before any weights are read.

use std::path::{Path, PathBuf};

use tch::{Device, Kind};

use crate::Result;
use crate::models::common::checkpoint::choose;
use crate::models::common::fields::Fields;
use crate::models::common::json::require;
use crate::models::common::weights::Weights;
use crate::models::model_index::{ModelIndex, Pipelines, name_of};
use crate::models::omnigen::config::OmniGenConfig;
use crate::models::omnigen::picture::MULTIPLE;
use crate::models::schedule::FlowMatchConfig;
use crate::models::vae::VaeConfig;

const PIPELINES: Pipelines = Pipelines {
    classes: &["OmniGenPipeline"],
    parts: &["transformer", "vae", "tokenizer", "scheduler"],
};

/// The classes of tokenizers that are read; the second is the first's name in transformers 5.
const TOKENIZERS: [&str; 4] =
    ["PreTrainedTokenizerFast", "TokenizersBackend", "LlamaTokenizer", "LlamaTokenizerFast"];

/// The small files of a checkpoint, and where its large ones are.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// The folder's name, which is the model's.
    pub(super) name: String,
    pub(super) scheduler: FlowMatchConfig,
    pub(super) transformer: OmniGenConfig,
    pub(super) transformer_weights: PathBuf,
    pub(super) vae: VaeConfig,
    pub(super) vae_weights: PathBuf,
    /// The folder of the tokenizer's files.
    pub(super) tokenizer: PathBuf,
    /// What the pipeline calls the tokenizer.
    pub(super) tokenizer_class: Option<String>,
}

impl Checkpoint {
    /// The checkpoint in `folder`, with this `variant` of its weights where it has it. A folder with a
    /// `config.json` that no part of a pipeline has is one as `Shitao/OmniGen-v1` is laid out.
    pub(super) fn open(folder: &Path, variant: Option<&str>) -> Result<Self> {
        let config = folder.join("config.json");
        let is_authors = !folder.join("model_index.json").exists()
            && config.exists()
            && !Fields::open(&config)?.is_written("_class_name");
        let (config, checkpoint) = match is_authors {
            true => Self::open_authors(folder, variant)?,
            false => Self::open_pipeline(folder, variant)?,
        };
        checkpoint.compare(&config)?;
        Ok(checkpoint)
    }

    fn open_pipeline(folder: &Path, variant: Option<&str>) -> Result<(PathBuf, Self)> {
        let index = ModelIndex::open(folder, &PIPELINES, variant)?;
        index.require("transformer", "OmniGenTransformer2DModel")?;
        index.require("vae", "AutoencoderKL")?;
        // transformers builds others of other rules.
        let class = index.class_of("tokenizer").unwrap_or(TOKENIZERS[0]);
        let expected = TOKENIZERS.join(", ");
        require(&index.path(), "tokenizer", TOKENIZERS.contains(&class), expected, class)?;
        index.require_variant(&["transformer", "vae"])?;
        let scheduler = index.part("scheduler").join("scheduler_config.json");
        let config = index.part("transformer").join("config.json");
        let checkpoint = Self {
            name: index.name(),
            scheduler: FlowMatchConfig::open(&scheduler, index.class_of("scheduler"))?,
            transformer: OmniGenConfig::read(&config)?,
            transformer_weights: index.weights("transformer")?,
            vae: VaeConfig::open(&index.part("vae").join("config.json"))?,
            vae_weights: index.weights("vae")?,
            tokenizer: index.part("tokenizer"),
            tokenizer_class: index.class_of("tokenizer").map(str::to_owned),
        };
        Ok((config, checkpoint))
    }

    /// Tokenizer and network lie in the folder itself, and the VAE below; the schedule is part of the
    /// authors' program (`OmniGen/scheduler.py`).
    fn open_authors(folder: &Path, variant: Option<&str>) -> Result<(PathBuf, Self)> {
        let config = folder.join("config.json");
        let transformer_weights = choose(folder, variant)?;
        let shapes = Weights::open(&transformer_weights, Device::Cpu, Kind::Float)?;
        let vae = folder.join("vae");
        let checkpoint = Self {
            name: name_of(folder),
            scheduler: FlowMatchConfig::omnigen(),
            transformer: OmniGenConfig::read_authors(&config, &shapes)?,
            transformer_weights,
            vae: VaeConfig::open(&vae.join("config.json"))?,
            vae_weights: choose(&vae, variant)?,
            tokenizer: folder.to_owned(),
            tokenizer_class: None,
        };
        Ok((config, checkpoint))
    }

    /// Refuses a network, of the config at `path`, that its neighbors do not fit.
    fn compare(&self, path: &Path) -> Result<()> {
        let (found, expected) = (self.transformer.in_channels, self.vae.latent_channels);
        let words = format!("{expected}, the VAE's latent_channels");
        require(path, "in_channels", found == expected, words, found)?;
        let found = i64::from(self.vae.scale_factor()) * self.transformer.patch_size;
        let words = format!("{MULTIPLE} pixels a token, with those of the VAE a latent");
        let found_words = format!("{found} pixels a token");
        require(path, "patch_size", found == i64::from(MULTIPLE), words, found_words)
    }
}

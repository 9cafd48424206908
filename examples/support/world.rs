//! The tiny world's files to the parts of a pipeline.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use imagerag::conditioner::{IpAdapter, PromptTemplate};
use imagerag::critic::ZeroShotCritic;
use imagerag::embedder::ClipEmbedder;
use imagerag::generator::Sdxl;
use imagerag::models::{DType, Device};
use imagerag::pipeline::RagPipelineBuilder;
use imagerag::retriever::{Catalog, EmbeddingRetriever};
use imagerag::{Error, RagPipeline, RagRequest, Result};
use serde::Deserialize;

/// What `world.json` says.
#[derive(Deserialize)]
#[allow(dead_code)] // Each example reads what it needs.
pub(crate) struct World {
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    pub(crate) common: Vec<String>,
    pub(crate) rare: Vec<String>,
    pub(crate) backgrounds: Vec<String>,
    pub(crate) prompts: Vec<String>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) steps: usize,
    pub(crate) guidance_scale: f64,
    pub(crate) ip_adapter_scale: f64,
    /// `{prompt}` where the references speak for themselves.
    pub(crate) prompt_with_reference: String,
    critic: CriticSettings,
}

#[derive(Deserialize)]
struct CriticSettings {
    /// The least similarity of a species that an image shows.
    threshold: f32,
}

/// The parts, each loaded once. Clones share the models.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) generator: Arc<Sdxl>,
    pub(crate) critic: ZeroShotCritic<Arc<ClipEmbedder>>,
    pub(crate) retriever: EmbeddingRetriever<Arc<ClipEmbedder>>,
    pub(crate) conditioner: Arc<IpAdapter>,
    #[allow(dead_code, reason = "only the server lends it to others")]
    pub(crate) embedder: Arc<ClipEmbedder>,
}

impl World {
    /// The world that the repository carries.
    pub(crate) fn open() -> Result<Self> {
        // The examples are a package one folder below the one that tests and benches belong to.
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let own = package.join("tinyworld");
        Self::open_at(&if own.exists() { own } else { package.join("examples/tinyworld") })
    }

    fn open_at(folder: &Path) -> Result<Self> {
        let path = folder.join("world.json");
        let text = std::fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
        let mut world: Self = serde_json::from_str(&text)
            .map_err(|error| Error::invalid_file(&path, "world", "its settings", error))?;
        world.folder = folder.to_owned();
        Ok(world)
    }

    /// Loads every model and embeds the gallery.
    pub(crate) fn load(&self, device: Device, dtype: DType) -> Result<Parts> {
        let models = self.folder.join("models");
        let adapter = models.join("ip-adapter-plus_tinyworld.safetensors");
        let generator = Sdxl::builder(models.join("sdxl"))
            .device(device)
            .dtype(dtype)
            .ip_adapter(&adapter)
            .load()?;
        let template = match self.prompt_with_reference.as_str() {
            "{prompt}" => PromptTemplate::Plain,
            _ => PromptTemplate::Examples,
        };
        let conditioner = IpAdapter::load(&adapter, models.join("image_encoder"), device, dtype)?
            .with_scale(self.ip_adapter_scale)
            .with_template(template)?;
        let embedder = Arc::new(ClipEmbedder::load(models.join("clip"), device, dtype)?);
        let names: Vec<&String> = self.common.iter().chain(&self.rare).collect();
        let critic = block_on(ZeroShotCritic::new(Arc::clone(&embedder), &names))?
            .with_threshold(self.critic.threshold);
        let catalog = Catalog::from_folder(self.folder.join("gallery"))?;
        let (retriever, skipped) =
            block_on(EmbeddingRetriever::build(Arc::clone(&embedder), catalog, |_, _| {}))?;
        if let Some(skipped) = skipped.into_iter().next() {
            return Err(skipped.reason);
        }
        Ok(Parts {
            generator: Arc::new(generator),
            critic,
            retriever,
            conditioner: Arc::new(conditioner),
            embedder,
        })
    }

    /// A request with the world's own settings.
    pub(crate) fn request(&self, prompt: &str, seed: u64) -> RagRequest {
        RagRequest::new(prompt)
            .with_seed(seed)
            .with_steps(self.steps)
            .with_guidance_scale(self.guidance_scale)
    }
}

impl Parts {
    /// The paper's pipeline over these parts.
    pub(crate) fn pipeline(&self) -> RagPipelineBuilder {
        RagPipeline::builder()
            .generator(Arc::clone(&self.generator))
            .critic(self.critic.clone())
            .retriever(self.retriever.clone())
            .conditioner(Arc::clone(&self.conditioner))
    }
}

//! Options of the command line to parts behind services: what draws, what judges, what embeds, and the
//! gallery of one's own pictures.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures::executor::block_on;
use imagerag::RagPipeline;
use imagerag::critic::ZeroShotCritic;
use imagerag::embedder::{EmbeddingApi, RemoteEmbedder};
use imagerag::gallery::ingest::{Folder, Ingest};
use imagerag::gallery::{Gallery, GalleryRetriever};
use imagerag::generator::OpenAiImages;
use imagerag::pipeline::RagPipelineBuilder;
use imagerag::vlm::OpenAiVlm;

use crate::command::tell;

/// Keys are read from the environment: OPENAI_API_KEY for what draws and what judges, and for embeddings
/// the variable of their service, such as JINA_API_KEY.
#[derive(Args)]
pub(crate) struct Services {
    /// Address of what draws, with OpenAI's images interface; OpenAI itself by default.
    #[arg(long, value_name = "URL")]
    images_url: Option<String>,
    /// The model that draws.
    #[arg(long, value_name = "MODEL", default_value = "gpt-image-2")]
    images_model: String,
    /// Address of a vision-language model with OpenAI's chat completions; OpenAI itself by default.
    #[arg(long, value_name = "URL")]
    vlm_url: Option<String>,
    /// The vision-language model that judges.
    #[arg(long, value_name = "MODEL", default_value = "gpt-4o-2024-08-06")]
    vlm_model: String,
    /// Judges by embeddings among these concepts, all that there are, in place of a vision-language model:
    /// `--concepts "a quetzal,a toucan,a parrot"`.
    #[arg(long, value_name = "CONCEPT", value_delimiter = ',')]
    pub(crate) concepts: Vec<String>,
    /// The least similarity of a concept that an image shows, in [-1, 1]; with --concepts.
    #[arg(long, value_name = "SIMILARITY", requires = "concepts")]
    pub(crate) concept_threshold: Option<f32>,
    /// Address of what embeds texts and images; that of the service by default.
    #[arg(long, value_name = "URL")]
    embeddings_url: Option<String>,
    /// The model that embeds.
    #[arg(long, value_name = "MODEL", default_value = "jina-clip-v2")]
    embeddings_model: String,
    /// How its service wants its inputs: vllm, jina, infinity, openai, cohere, voyage or gemini.
    #[arg(long, value_name = "API", default_value = "jina")]
    embeddings_api: EmbeddingApi,
    /// A folder of your own pictures, which are embedded once: a second run embeds only those that are new.
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,
    /// Where their embeddings are kept; DIR.gallery by default.
    #[arg(long, value_name = "GALLERY")]
    pub(crate) gallery: Option<PathBuf>,
}

type Parts = (OpenAiImages, RemoteEmbedder, RagPipelineBuilder);

impl Services {
    /// Services at `url`, all of which the example `serve` is.
    #[allow(dead_code, reason = "not every example is a client of that one")]
    pub(crate) fn at(&mut self, url: &str) {
        for address in [&mut self.images_url, &mut self.vlm_url, &mut self.embeddings_url] {
            address.get_or_insert_with(|| url.to_owned());
        }
        self.images_model = "imagerag-draft".into();
        self.embeddings_model = "imagerag-embed".into();
    }

    /// A pipeline of everything but a conditioner.
    #[allow(dead_code, reason = "some examples want the parts too")]
    pub(crate) fn pipeline(&self) -> Result<RagPipelineBuilder, Box<dyn Error>> {
        self.parts().map(|(_, _, pipeline)| pipeline)
    }

    /// What draws, what embeds, and a pipeline of everything but a conditioner. Pictures that the gallery
    /// lacks are embedded first.
    pub(crate) fn parts(&self) -> Result<Parts, Box<dyn Error>> {
        let mut generator = OpenAiImages::builder(&self.images_model);
        if let Some(url) = &self.images_url {
            generator = generator.base_url(url);
        }
        let mut embedder = RemoteEmbedder::builder(&self.embeddings_model).api(self.embeddings_api);
        if let Some(url) = &self.embeddings_url {
            embedder = embedder.base_url(url);
        }
        let (generator, embedder) = (generator.build()?, block_on(embedder.connect())?);
        let retriever = GalleryRetriever::new(embedder.clone(), self.gallery(&embedder)?);
        let pipeline =
            RagPipeline::builder().generator(generator.clone()).retriever(block_on(retriever)?);
        if self.concepts.is_empty() {
            let mut vlm = OpenAiVlm::builder(&self.vlm_model);
            if let Some(url) = &self.vlm_url {
                vlm = vlm.base_url(url);
            }
            return Ok((generator, embedder, pipeline.vlm(vlm.build()?)));
        }
        let critic = ZeroShotCritic::new(embedder.clone(), &self.concepts);
        let mut critic = block_on(critic)?;
        if let Some(threshold) = self.concept_threshold {
            critic = critic.with_threshold(threshold);
        }
        Ok((generator, embedder, pipeline.critic(critic)))
    }

    /// The gallery, with all pictures of the folder.
    fn gallery(&self, embedder: &RemoteEmbedder) -> Result<Gallery, Box<dyn Error>> {
        let Some(pictures) = &self.pictures else {
            let folder = self.gallery.as_ref().ok_or("--pictures: a folder of your pictures")?;
            return Ok(Gallery::open(folder)?);
        };
        let images = Folder::open(pictures)?;
        let beside = || pictures.with_extension("gallery");
        let folder = self.gallery.clone().unwrap_or_else(beside);
        let gallery = block_on(Gallery::open_or_create(&folder, embedder))?;
        let ingest = Ingest::into(&gallery).with_embedder(Arc::new(embedder.clone()));
        let bar = indicatif::ProgressBar::no_length().with_message("images");
        let done = block_on(ingest.run(images, |progress| bar.set_position(progress.seen())))?;
        bar.finish_and_clear();
        tell!("gallery    {} images in {} ({done})", gallery.count()?, folder.display());
        for rejected in gallery.rejected()? {
            eprintln!("left out   {}: {}", rejected.source, rejected.reason);
        }
        Ok(gallery)
    }
}

//! Options of the command line to parts behind services: what draws, what judges, what embeds, and the
//! gallery of one's own pictures.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Command};
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

/// What `--help` ends with.
pub(crate) const KEYS: &str = "\
Keys of services are read from the environment:
  what draws, what judges   OPENAI_API_KEY
  what embeds               by --embeddings-api: JINA_API_KEY, OPENAI_API_KEY, VLLM_API_KEY,
                            INFINITY_API_KEY, CO_API_KEY (cohere), VOYAGE_API_KEY, GEMINI_API_KEY";

/// What draws, what judges, what embeds, and pictures.
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
    #[arg(long, value_name = "SIMILARITY", requires = "concepts", value_parser = similarity, allow_negative_numbers = true)]
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

/// `command`, which refuses every option of [`Services`] but `except` beside each of `others`.
pub(crate) fn refused_beside(command: Command, others: &[&'static str], except: &str) -> Command {
    let services = Services::augment_args(Command::new(""));
    let ids = services.get_arguments().map(|option| option.get_id().clone());
    ids.filter(|id| id.as_str() != except).fold(command, |command, id| {
        command.mut_arg(id, |option| option.conflicts_with_all(others))
    })
}

type Parts = (OpenAiImages, RemoteEmbedder, RagPipelineBuilder);

impl Services {
    /// Services at `url`, all of which the example `serve` is.
    #[allow(dead_code, reason = "not every example is a client of that one")]
    pub(crate) fn at(&mut self, url: &str) {
        for address in [&mut self.images_url, &mut self.vlm_url, &mut self.embeddings_url] {
            *address = Some(url.to_owned());
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
    /// lacks are embedded first. Whatever can be known to be wrong is, before any service is asked.
    pub(crate) fn parts(&self) -> Result<Parts, Box<dyn Error>> {
        self.check()?;
        let mut generator = OpenAiImages::builder(&self.images_model);
        if let Some(url) = &self.images_url {
            generator = generator.base_url(url);
        }
        let mut embedder = RemoteEmbedder::builder(&self.embeddings_model).api(self.embeddings_api);
        if let Some(url) = &self.embeddings_url {
            embedder = embedder.base_url(url);
        }
        let generator = generator.build()?;
        let embedder = block_on(embedder.connect());
        let embedder = embedder.map_err(|error| self.with_key(Part::Embeds, error.into()))?;
        let gallery = self.gallery(&embedder);
        let gallery = gallery.map_err(|error| self.with_key(Part::Embeds, error))?;
        let retriever = GalleryRetriever::new(embedder.clone(), gallery);
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

    /// Where references come from.
    #[allow(dead_code, reason = "only the server tells of it")]
    pub(crate) fn references(&self) -> String {
        let folder = self.pictures.as_ref().or(self.gallery.as_ref());
        folder.map(|folder| folder.display().to_string()).unwrap_or_default()
    }

    /// Something that may be drawn.
    #[allow(dead_code, reason = "only the server tells how to try it")]
    pub(crate) fn example(&self) -> &str {
        self.concepts.first().map_or("a quetzal on a branch", |concept| concept.trim())
    }

    /// Refuses what cannot work, before anything is paid for.
    fn check(&self) -> Result<(), Box<dyn Error>> {
        let words = |name: &str| -> Vec<String> {
            let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.map(str::to_lowercase).collect()
        };
        let concepts: Vec<_> = self.concepts.iter().map(|name| words(name)).collect();
        if concepts.len() == 1 {
            return Err("--concepts: expected at least 2, all that there are, found 1".into());
        }
        for (n, (name, concept)) in self.concepts.iter().zip(&concepts).enumerate() {
            if concept.is_empty() {
                return Err(format!("--concepts: expected names, found `{name}`").into());
            }
            if concepts[..n].contains(concept) {
                return Err(format!("--concepts: expected each once, found `{name}` again").into());
            }
        }
        match (&self.pictures, &self.gallery) {
            (None, None) => Err("--pictures: expected a folder of your pictures, found neither \
                                 --pictures nor --gallery"
                .into()),
            (None, Some(gallery)) => {
                let found = |error: imagerag::Error| {
                    format!("--gallery {}: {}", gallery.display(), imagerag::Chain::new(&error))
                };
                Gallery::open(gallery).map(|_| ()).map_err(|error| found(error).into())
            }
            (Some(pictures), _) => {
                let shown = pictures.display();
                let mut files = Folder::open(pictures).map_err(|error| {
                    format!("--pictures {shown}: {}", imagerag::Chain::new(&error))
                })?;
                match files.any(|file| file.is_ok()) {
                    true => Ok(()),
                    false => Err(format!(
                        "--pictures {shown}: expected pictures, such as .jpg or .png files, found none"
                    )
                    .into()),
                }
            }
        }
    }

    /// The error, and where the key is read from if that is what a service refused.
    pub(crate) fn with_key(&self, part: Part, error: Box<dyn Error>) -> Box<dyn Error> {
        let refuses = |error: &imagerag::Error| {
            matches!(error, imagerag::Error::Service { status: 401 | 403, .. })
        };
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
        while let Some(one) = cause {
            // An error of the loop shares its cause.
            let shared = one.downcast_ref::<Arc<imagerag::Error>>().map(|error| &**error);
            if shared.or_else(|| one.downcast_ref()).is_some_and(refuses) {
                let variable = match part {
                    Part::Draws | Part::Judges => "OPENAI_API_KEY",
                    Part::Embeds => embeddings_key(self.embeddings_api),
                };
                let state = match std::env::var(variable) {
                    Ok(key) if !key.trim().is_empty() => "which is set: is it this service's?",
                    _ => "which is not set",
                };
                let what = part.name();
                let chain = imagerag::Chain::new(&*error);
                return format!("{chain}\n{what} takes its key from {variable}, {state}").into();
            }
            cause = one.source();
        }
        error
    }

    /// The gallery, with all pictures of the folder.
    fn gallery(&self, embedder: &RemoteEmbedder) -> Result<Gallery, Box<dyn Error>> {
        let Some(pictures) = &self.pictures else {
            let folder = self.gallery.as_ref().ok_or("--pictures: a folder of your pictures")?;
            return Ok(Gallery::open(folder)?);
        };
        let images = Folder::open(pictures)?;
        let folder = self.gallery.clone().map_or_else(|| beside(pictures), Ok)?;
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

/// What a service is asked for.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "not every example asks them all itself")]
pub(crate) enum Part {
    Draws,
    Judges,
    Embeds,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Draws => "what draws (--images-url)",
            Self::Judges => "what judges (--vlm-url)",
            Self::Embeds => "what embeds (--embeddings-url)",
        }
    }
}

/// The environment variable of the key, as `RemoteEmbedder` reads it.
const fn embeddings_key(api: EmbeddingApi) -> &'static str {
    match api {
        EmbeddingApi::Vllm => "VLLM_API_KEY",
        EmbeddingApi::Jina => "JINA_API_KEY",
        EmbeddingApi::Infinity => "INFINITY_API_KEY",
        EmbeddingApi::Cohere => "CO_API_KEY",
        EmbeddingApi::Voyage => "VOYAGE_API_KEY",
        EmbeddingApi::Gemini => "GEMINI_API_KEY",
        _ => "OPENAI_API_KEY",
    }
}

/// `NAME.gallery` beside the folder `NAME`.
fn beside(pictures: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let folder = std::path::absolute(pictures)?;
    let shown = pictures.display();
    let name = folder.file_name().ok_or_else(|| {
        format!("--pictures {shown}: the folder has no name to put `.gallery` after: say --gallery")
    })?;
    let mut name = name.to_owned();
    name.push(".gallery");
    Ok(folder.with_file_name(name))
}

/// A cosine similarity.
fn similarity(text: &str) -> Result<f32, String> {
    let similarity = text.trim().parse().ok().filter(|one| (-1.0..=1.0).contains(one));
    similarity.ok_or_else(|| "expected a number in [-1, 1]".to_owned())
}

//! Tables of a run file to the parts that they name: generators, vision-language models, embedders,
//! galleries.

use std::error::Error;
use std::sync::Arc;

use futures::executor::block_on;
use imagerag::conditioner::InPrompt;
use imagerag::embedder::RemoteEmbedder;
use imagerag::gallery::Gallery;
use imagerag::gallery::ingest::{Folder, Ingest};
use imagerag::generator::{GeminiImages, OpenAiImages, SdServer};
use imagerag::vlm::OpenAiVlm;
use imagerag::{Conditioner, Embedder, Generator};

use crate::command::tell;
use crate::local;
use crate::run_file::{Api, EmbedderTable, GalleryTable, RunFile, Service, VlmTable};

/// What draws, and what prepares references for it.
pub(crate) type Drawing = (Arc<dyn Generator>, Option<Arc<dyn Conditioner>>);

/// The key in the environment variable that a table names.
fn key(variable: &str) -> Result<String, String> {
    std::env::var(variable)
        .map_err(|_| format!("{variable}: expected a key, found no such variable"))
}

impl Service {
    pub(crate) fn build(&self) -> Result<Drawing, Box<dyn Error>> {
        let key = self.key.as_deref().map(key).transpose()?;
        let generator: Arc<dyn Generator> = match self.api {
            Api::OpenaiImages => {
                let mut builder = OpenAiImages::builder(&self.model);
                builder = self.url.iter().fold(builder, |builder, url| builder.base_url(url));
                Arc::new(key.iter().fold(builder, |builder, key| builder.api_key(key)).build()?)
            }
            Api::Gemini => {
                let mut builder = GeminiImages::builder(&self.model);
                builder = self.url.iter().fold(builder, |builder, url| builder.base_url(url));
                Arc::new(key.iter().fold(builder, |builder, key| builder.api_key(key)).build()?)
            }
            Api::SdServer => {
                let builder = SdServer::builder();
                let builder = self.url.iter().fold(builder, |builder, url| builder.base_url(url));
                Arc::new(key.iter().fold(builder, |builder, key| builder.api_key(key)).build()?)
            }
        };
        Ok((generator, Some(Arc::new(InPrompt::new(self.capacity)?))))
    }
}

impl VlmTable {
    pub(crate) fn build(&self) -> Result<OpenAiVlm, Box<dyn Error>> {
        let key = self.key.as_deref().map(key).transpose()?;
        let builder = OpenAiVlm::builder(&self.model);
        let builder = self.url.iter().fold(builder, |builder, url| builder.base_url(url));
        let builder = key.iter().fold(builder, |builder, key| builder.api_key(key));
        Ok(self
            .max_tokens
            .into_iter()
            .fold(builder, |builder, most| builder.max_tokens(most))
            .build()?)
    }
}

impl EmbedderTable {
    pub(crate) fn load(&self, file: &RunFile) -> Result<Arc<dyn Embedder>, Box<dyn Error>> {
        let Some(api) = &self.api else { return local::embedder(&file.place(&self.model), file) };
        let builder = RemoteEmbedder::builder(&self.model).api(api.parse()?);
        let builder = self.url.iter().fold(builder, |builder, url| builder.base_url(url));
        Ok(Arc::new(block_on(builder.connect())?))
    }
}

impl GalleryTable {
    /// Takes in the images that it is to hold.
    pub(crate) fn fill(&self, file: &RunFile) -> Result<(), Box<dyn Error>> {
        let Some(images) = &self.images else { return Ok(()) };
        let embedder = file.embedders[&self.embedder].load(file)?;
        let images = Folder::open(file.path(images))?.with_shards();
        let folder = file.path(&self.folder);
        let gallery = block_on(Gallery::open_or_create(&folder, &embedder))?;
        let bar = indicatif::ProgressBar::no_length().with_message("images");
        let ingest = Ingest::into(&gallery).with_embedder(embedder);
        let done = block_on(ingest.run(images, |progress| bar.set_position(progress.seen())))?;
        bar.finish_and_clear();
        tell!("gallery    {} images in {} ({done})", gallery.count()?, folder.display());
        for rejected in gallery.rejected()? {
            eprintln!("left out   {}: {}", rejected.source, rejected.reason);
        }
        Ok(())
    }

    /// How it is told from others in the settings of a system: what it holds, and not where it is.
    pub(crate) fn words(&self, name: &str, file: &RunFile) -> String {
        let count = Gallery::open(file.path(&self.folder)).and_then(|gallery| gallery.count());
        let count =
            count.map_or_else(|_| "not made yet".to_owned(), |count| format!("{count} images"));
        let embedder = &file.embedders[&self.embedder].model;
        format!("gallery: {name}, {count}, embedded by {embedder}")
    }
}

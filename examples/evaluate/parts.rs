//! Tables of a run file to the parts that they name: generators, vision-language models, embedders,
//! galleries.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use imagerag::conditioner::InPrompt;
use imagerag::embedder::RemoteEmbedder;
use imagerag::gallery::ingest::{Folder, Ingest};
use imagerag::gallery::{ContentHash, Gallery};
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
        let timeout = self.timeout.map(Duration::from_secs_f64);
        let generator: Arc<dyn Generator> = match self.api {
            Api::OpenaiImages => {
                let mut builder = OpenAiImages::builder(&self.model);
                builder = self.url.iter().fold(builder, |builder, url| builder.base_url(url));
                let builder = timeout.iter().fold(builder, |builder, most| builder.timeout(*most));
                let retries = self.retries.iter();
                let builder = retries.fold(builder, |builder, most| builder.max_retries(*most));
                Arc::new(key.iter().fold(builder, |builder, key| builder.api_key(key)).build()?)
            }
            Api::Gemini => {
                let mut builder = GeminiImages::builder(&self.model);
                builder = self.url.iter().fold(builder, |builder, url| builder.base_url(url));
                let builder = timeout.iter().fold(builder, |builder, most| builder.timeout(*most));
                let retries = self.retries.iter();
                let builder = retries.fold(builder, |builder, most| builder.max_retries(*most));
                Arc::new(key.iter().fold(builder, |builder, key| builder.api_key(key)).build()?)
            }
            Api::SdServer => {
                let builder = SdServer::builder();
                let builder = self.url.iter().fold(builder, |builder, url| builder.base_url(url));
                let builder = timeout.iter().fold(builder, |builder, most| builder.timeout(*most));
                let retries = self.retries.iter();
                let builder = retries.fold(builder, |builder, most| builder.max_retries(*most));
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
        let timeout = self.timeout.map(Duration::from_secs_f64);
        let builder = timeout.into_iter().fold(builder, |builder, most| builder.timeout(most));
        let retries = self.retries.into_iter();
        let builder = retries.fold(builder, |builder, most| builder.max_retries(most));
        let most = self.max_tokens.into_iter();
        Ok(most.fold(builder, |builder, most| builder.max_tokens(most)).build()?)
    }
}

impl EmbedderTable {
    /// The same with the path as it is meant.
    fn meant(&self) -> Self {
        match self.api {
            Some(_) => self.clone(),
            None => Self { model: local::lexically(&self.model), ..self.clone() },
        }
    }

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

    /// How it is told from others in the settings of a system: what it holds, and not where it is or what it
    /// is called.
    pub(crate) fn words(&self, file: &RunFile) -> Result<String, Box<dyn Error>> {
        let folder = file.path(&self.folder);
        let content = match folder.exists() {
            true => content(&Gallery::open(folder)?)?,
            false => "not made yet".to_owned(),
        };
        let embedder = &file.embedders[&self.embedder];
        let computed = match embedder.api {
            Some(_) => String::new(),
            None => format!(", {}", local::arithmetic(file)),
        };
        let embedder = serde_json::to_string(&embedder.meant())?;
        Ok(format!("gallery: {content}, embedded by {embedder}{computed}"))
    }
}

/// The number of images, and the hash of the hashes of their contents in any order.
fn content(gallery: &Gallery) -> Result<String, Box<dyn Error>> {
    let mut hashes = Vec::new();
    for image in gallery.iter()? {
        hashes.push(*image?.0.record.hash.as_bytes());
    }
    hashes.sort_unstable();
    Ok(format!("{} images, {}", hashes.len(), ContentHash::of(hashes.as_flattened())))
}

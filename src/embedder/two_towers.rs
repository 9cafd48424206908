//! Texts and images, batch by batch, through a model on a thread of its own, to embeddings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tch::Tensor;

use super::Embedding;
use crate::models::Device;
use crate::models::common::passive_wait::PassiveWait;
use crate::models::common::preprocess::Preprocessor;
use crate::models::common::worker::{Cancel, Worker};
use crate::{Error, Image, Result};

/// The most texts or images that go through the network at once: memory stays bounded, however many
/// are asked for.
pub(crate) const BATCH: usize = 32;

/// Images at once from which on they are taken for some of many, whose next ones are decoded meanwhile.
pub(crate) const MANY: usize = 4;

/// A model with a tower for texts and one for images.
pub(crate) trait Towers: 'static {
    /// Vectors of texts: `[b, dim]`, of any length.
    fn texts(&self, texts: &[String]) -> Result<Tensor>;

    /// Vectors of `[b, 3, side, side]` pixels: `[b, dim]`, of any length.
    fn images(&self, pixels: &Tensor) -> Result<Tensor>;
}

/// Both towers of a checkpoint, on their thread.
#[derive(Debug)]
pub(crate) struct TwoTowers {
    worker: Worker<Box<dyn Towers>>,
    preprocessor: Arc<Preprocessor>,
    device: Device,
    pub(crate) name: String,
    /// The folder of the checkpoint.
    pub(crate) checkpoint: PathBuf,
    pub(crate) dim: usize,
}

impl TwoTowers {
    /// Starts the thread and lets it `load` the towers of `checkpoint` on `device`.
    pub(crate) fn start<T: Towers>(
        name: String,
        checkpoint: &Path,
        dim: i64,
        preprocessor: Preprocessor,
        device: Device,
        load: impl FnOnce(tch::Device) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let load = |device| Ok(Box::new(load(device)?) as Box<dyn Towers>);
        let worker = Worker::spawn(name.clone(), device, load)?;
        let (preprocessor, checkpoint) = (Arc::new(preprocessor), checkpoint.to_owned());
        let dim = usize::try_from(dim).unwrap_or(0);
        Ok(Self { worker, preprocessor, device, name, checkpoint, dim })
    }

    pub(crate) async fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        self.embed(texts, |towers, batch| towers.texts(batch)).await
    }

    pub(crate) async fn embed_images(&self, images: &[Image]) -> Result<Vec<Embedding>> {
        let preprocessor = Arc::clone(&self.preprocessor);
        let many = self.device == Device::Cpu && images.len() >= MANY;
        let embed = move |towers: &dyn Towers, batch: &[Image]| {
            let _wait = many.then(PassiveWait::begin);
            towers.images(&preprocessor.forward(batch))
        };
        self.embed(images.to_vec(), embed).await
    }

    pub(crate) fn preprocess(&self, image: &Image) -> Image {
        self.preprocessor.preprocess(image)
    }

    async fn embed<I: Send + 'static>(
        &self,
        inputs: Vec<I>,
        tower: impl Fn(&dyn Towers, &[I]) -> Result<Tensor> + Send + 'static,
    ) -> Result<Vec<Embedding>> {
        let values = in_batches(&self.worker, &self.name, inputs, BATCH, move |towers, batch| {
            tower(&**towers, batch)
        })
        .await?;
        values.into_iter().map(|values| embedding(&self.name, values)).collect()
    }
}

/// What `forward` makes of the inputs on the worker's thread, at most `most` at a time: a row for each.
/// Dropping the future stops it after the current batch.
pub(crate) async fn in_batches<M: 'static, I: Send + 'static>(
    worker: &Worker<M>,
    name: &str,
    inputs: Vec<I>,
    most: usize,
    forward: impl Fn(&M, &[I]) -> Result<Tensor> + Send + 'static,
) -> Result<Vec<Vec<f32>>> {
    let name = name.to_owned();
    let work = move |model: &mut M, cancel: &Cancel| {
        let mut values = Vec::with_capacity(inputs.len());
        for batch in inputs.chunks(most) {
            cancel.check()?;
            values.extend(rows(&name, &forward(model, batch)?)?);
        }
        Ok(values)
    };
    worker.run(work).await
}

/// Makes `$Embedder`, whose field `towers` is a [`TwoTowers`], an [`Embedder`](super::Embedder).
macro_rules! embedder_of_towers {
    ($Embedder:ident) => {
        #[::async_trait::async_trait]
        impl $crate::embedder::Embedder for $Embedder {
            fn dim(&self) -> usize {
                self.towers.dim
            }
            async fn embed_texts(
                &self,
                texts: &[&str],
            ) -> $crate::Result<$crate::embedder::Embedded> {
                Ok(self.towers.embed_texts(texts).await?.into())
            }
            async fn embed_images(
                &self,
                images: &[$crate::Image],
            ) -> $crate::Result<$crate::embedder::Embedded> {
                Ok(self.towers.embed_images(images).await?.into())
            }
            fn preprocess(&self, image: &$crate::Image) -> $crate::Image {
                self.towers.preprocess(image)
            }
        }

        impl ::std::fmt::Display for $Embedder {
            /// The architecture; in the form `{:#}` with the folder of the checkpoint.
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.towers.name)?;
                if f.alternate() {
                    write!(f, " of {}", self.towers.checkpoint.display())?;
                }
                Ok(())
            }
        }
    };
}

pub(crate) use embedder_of_towers;

/// The rows of `[b, dim]` features.
fn rows(name: &str, features: &Tensor) -> Result<Vec<Vec<f32>>> {
    let failed = |error: tch::TchError| Error::backend(name, error);
    let features = features.to_device(tch::Device::Cpu).to_kind(tch::Kind::Float);
    Vec::<Vec<f32>>::try_from(features).map_err(failed)
}

/// A row of features of the model `name`, scaled to length 1.
pub(crate) fn embedding(name: &str, row: Vec<f32>) -> Result<Embedding> {
    // Broken weights or too narrow a format, not the caller's texts and images.
    Embedding::new(row).map_err(|error| Error::backend(name, error))
}

//! [`ImageFeatures`]: images to the features of a CLIP, SigLIP, DINO or DINOv2 checkpoint, as they are.

mod architecture;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::two_towers::{BATCH, MANY, embedding, in_batches};
use super::{Embedding, ImageEmbedder};
use crate::models::common::passive_wait::PassiveWait;
use crate::models::common::preprocess::Preprocessor;
use crate::models::common::weights::Weights;
use crate::models::common::worker::Worker;
use crate::models::{DType, Device, Preprocessing};
use crate::{Error, Image, Result};
use architecture::{Architecture, Tower};

/// Turns images into the pooled features that transformers gives for a checkpoint, not scaled to any
/// length. As an [`ImageEmbedder`] it scales them to length 1.
///
/// | `model_type` | features | values |
/// |---|---|---|
/// | `clip` | `CLIPModel.get_image_features` | `projection_dim` |
/// | `clip_vision_model` | `image_embeds`; `pooler_output` of a checkpoint without projection | `projection_dim`; `hidden_size` |
/// | `siglip`, `siglip_vision_model` | `pooler_output` of the image tower | `hidden_size` |
/// | `vit` (DINO), `dinov2`, `dinov2_with_registers` | `last_hidden_state[:, 0]`: the class token after the last norm | `hidden_size` |
///
/// A checkpoint's image tower alone is loaded. The model has a thread of its own, which serves calls in
/// their order. Dropping the future of a call stops it after the current batch of 32.
///
/// ```no_run
/// # async fn compare() -> imagerag::Result<()> {
/// use imagerag::Image;
/// use imagerag::embedder::ImageFeatures;
/// use imagerag::models::{DType, Device, Preprocessing};
///
/// let dino = ImageFeatures::open("dinov2-base", Device::Cpu, DType::F32, Preprocessing::Official)?;
/// let images = [Image::open("quetzal.jpg")?, Image::open("trogon.jpg")?];
/// let features = dino.features(&images).await?;
/// println!("{dino}, {}: {:?}", dino.preprocessing(), features[0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ImageFeatures {
    worker: Worker<Tower>,
    preprocessor: Arc<Preprocessor>,
    preprocessing: Preprocessing,
    device: Device,
    name: String,
    checkpoint: PathBuf,
}

impl ImageFeatures {
    /// Loads the checkpoint in `folder`, as transformers' `save_pretrained` and the released repositories
    /// lay it out: `config.json`, `model.safetensors` (sharded or not) and, for [`Preprocessing::File`],
    /// `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device is not there; [`Error::Io`] and [`Error::InvalidFile`] when
    /// a file is missing, or holds another family of models or anything else than it should.
    pub fn open(
        folder: impl AsRef<Path>,
        device: Device,
        dtype: DType,
        preprocessing: Preprocessing,
    ) -> Result<Self> {
        let folder = folder.as_ref().to_owned();
        let Architecture { name, family, input, load } = Architecture::read(&folder)?;
        let preprocessor = Arc::new(Preprocessor::new(&folder, input, family, preprocessing)?);
        let checkpoint = folder.clone();
        let load = move |device| load(&Weights::open(&folder, device, dtype.kind())?);
        let worker = Worker::spawn(name.clone(), device, load)?;
        Ok(Self { worker, preprocessor, preprocessing, device, name, checkpoint })
    }

    /// The features of each of `images`, in their order: as many values as the table above says, finite
    /// and of any length.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an image that the preprocessing makes larger than 8,192 pixels a side or
    /// smaller than a patch, where it does not end in one size; [`Error::Backend`] when the model gives
    /// values that are not finite.
    pub async fn features(&self, images: &[Image]) -> Result<Vec<Vec<f32>>> {
        images.iter().try_for_each(|image| self.preprocessor.check(image))?;
        let preprocessor = Arc::clone(&self.preprocessor);
        // Pictures of unlike sizes are no batch.
        let most = if preprocessor.is_uniform() { BATCH } else { 1 };
        let many = self.device == Device::Cpu && images.len() >= MANY;
        let forward = move |tower: &Tower, batch: &[Image]| {
            let _wait = many.then(PassiveWait::begin);
            tower(&preprocessor.forward(batch))
        };
        let rows = in_batches(&self.worker, &self.name, images.to_vec(), most, forward).await?;
        match rows.iter().flatten().find(|value| !value.is_finite()) {
            None => Ok(rows),
            Some(found) => {
                let error = Error::invalid_input("features", "finite values", found);
                Err(Error::backend(&self.name, error))
            }
        }
    }

    /// What is done to an image before it enters the network, in one line for people and for the
    /// fingerprint of a number, such as `official: shorter side 256, Bicubic; middle 224x224, …`.
    pub fn preprocessing(&self) -> String {
        format!("{}: {}", self.preprocessing, self.preprocessor)
    }

    /// The folder of the checkpoint.
    pub fn checkpoint(&self) -> &Path {
        &self.checkpoint
    }
}

#[async_trait]
impl ImageEmbedder for ImageFeatures {
    async fn image_embeddings(&self, images: &[Image]) -> Result<Vec<Embedding>> {
        let features = self.features(images).await?;
        features.into_iter().map(|row| embedding(&self.name, row)).collect()
    }

    fn preprocessing(&self) -> Option<String> {
        Some(Self::preprocessing(self))
    }
}

impl fmt::Display for ImageFeatures {
    /// The architecture; in the form `{:#}` with the folder of the checkpoint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if f.alternate() {
            write!(f, " of {}", self.checkpoint.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! [`DinoEmbedder`]: embeds images with a DINO or DINOv2 checkpoint.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;

use super::{Embedding, ImageEmbedder, ImageFeatures};
use crate::Result;
use crate::image::Image;
use crate::models::dino::DinoConfig;
use crate::models::{DType, Device, Preprocessing};

/// Embeds images with a DINO or DINOv2 checkpoint on libtorch, such as `facebook/dino-vits16`,
/// `facebook/dinov2-base` or `facebook/dinov2-with-registers-large`: the normalised class token after the
/// last layer, which is what DreamBooth's metric DINO compares. It knows no texts.
///
/// A folder whose `model_type` is `vit` is taken for DINO's, since nothing in it says how it was trained.
/// The model has a thread of its own, which serves calls in their order. Dropping the future of a call
/// stops it after the current batch of 32.
///
/// ```no_run
/// # async fn compare() -> imagerag::Result<()> {
/// use imagerag::Image;
/// use imagerag::embedder::{DinoEmbedder, ImageEmbedder};
/// use imagerag::models::{DType, Device, Preprocessing};
///
/// let (device, dtype) = (Device::Cpu, DType::F32);
/// let dino = DinoEmbedder::load("dino-vits16", device, dtype, Preprocessing::Official)?;
/// let images = [Image::open("drawn.png")?, Image::open("real.jpg")?];
/// let embeddings = dino.image_embeddings(&images).await?;
/// println!("{:.3}", embeddings[0].similarity(&embeddings[1]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DinoEmbedder {
    features: ImageFeatures,
}

impl DinoEmbedder {
    /// Loads the checkpoint in `folder`, as `save_pretrained` of transformers' `ViTModel`, `Dinov2Model`,
    /// `Dinov2WithRegistersModel` or their classifiers, and the released repositories lay it out:
    /// `config.json`, `model.safetensors` (sharded or not) and, for [`Preprocessing::File`],
    /// `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the device is not there;
    /// [`Error::Io`](crate::Error::Io) and [`Error::InvalidFile`](crate::Error::InvalidFile) when a
    /// file is missing or does not hold what it should, or when the preprocessing does not end in the
    /// pictures that a `ViTModel` takes. DINOv2 takes pictures of any size.
    pub fn load(
        folder: impl AsRef<Path>,
        device: Device,
        dtype: DType,
        preprocessing: Preprocessing,
    ) -> Result<Self> {
        DinoConfig::read(&folder.as_ref().join("config.json"))?;
        Ok(Self { features: ImageFeatures::open(folder, device, dtype, preprocessing)? })
    }

    /// The class tokens as they are, not scaled to length 1.
    pub fn features(&self) -> &ImageFeatures {
        &self.features
    }
}

#[async_trait]
impl ImageEmbedder for DinoEmbedder {
    async fn image_embeddings(&self, images: &[Image]) -> Result<Vec<Embedding>> {
        self.features.image_embeddings(images).await
    }

    fn preprocessing(&self) -> Option<String> {
        Some(self.features.preprocessing())
    }
}

impl fmt::Display for DinoEmbedder {
    /// The architecture, such as `DINO ViT-S/16` or `DINOv2 ViT-B/14 with registers`; in the form `{:#}`
    /// with the folder of the checkpoint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.features, f)
    }
}

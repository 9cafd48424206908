//! [`open_embedder`] and [`open_image_embedder`]: the embedder of a checkpoint, by its `config.json`.

use std::path::Path;

use super::{ClipEmbedder, Embedder, ImageEmbedder, ImageFeatures, SiglipEmbedder};
use crate::Result;
use crate::models::common::fields::Fields;
use crate::models::{DType, Device, Preprocessing};

/// The embedder of the checkpoint in `folder`: a [`ClipEmbedder`] or a [`SiglipEmbedder`], by the
/// `model_type` in its `config.json`.
///
/// ```no_run
/// use imagerag::embedder::{Embedder, open_embedder};
/// use imagerag::models::{DType, Device};
///
/// let folder = "siglip-so400m-patch14-384"; // Or that of a CLIP.
/// let embedder = open_embedder(folder, Device::Cuda(0), DType::F16)?;
/// println!("{embedder}: {} values", embedder.dim());
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidFile`](crate::Error::InvalidFile) when the checkpoint is neither; those of [`ClipEmbedder::load`] and
/// [`SiglipEmbedder::load`].
pub fn open_embedder(
    folder: impl AsRef<Path>,
    device: Device,
    dtype: DType,
) -> Result<Box<dyn Embedder>> {
    let folder = folder.as_ref();
    let fields = Fields::open(&folder.join("config.json"))?;
    match fields.value("model_type").as_str() {
        Some("clip") => Ok(Box::new(ClipEmbedder::load(folder, device, dtype)?)),
        Some("siglip") => Ok(Box::new(SiglipEmbedder::load(folder, device, dtype)?)),
        _ => Err(fields.invalid("model_type", "clip or siglip", fields.found("model_type"))),
    }
}

/// The embedder of images of the checkpoint in `folder`: CLIP, SigLIP, DINO or DINOv2, whole or the
/// image tower alone, by the `model_type` in its `config.json`. Of CLIP and SigLIP the text tower is not
/// loaded.
///
/// ```no_run
/// use imagerag::embedder::open_image_embedder;
/// use imagerag::models::{DType, Device, Preprocessing};
///
/// let (device, dtype) = (Device::Cuda(0), DType::F32);
/// let dino = open_image_embedder("dino-vits16", device, dtype, Preprocessing::Official)?;
/// println!("{dino}"); // DINO ViT-S/16
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Errors
/// Those of [`ImageFeatures::open`].
pub fn open_image_embedder(
    folder: impl AsRef<Path>,
    device: Device,
    dtype: DType,
    preprocessing: Preprocessing,
) -> Result<Box<dyn ImageEmbedder>> {
    Ok(Box::new(ImageFeatures::open(folder, device, dtype, preprocessing)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::models::common::golden::fixture;

    #[test]
    fn the_model_type_chooses() {
        for (folder, expected) in
            [("clip/model", "CLIP ViT-32x2/8@32"), ("siglip/model", "SigLIP 32x2/7@24")]
        {
            let embedder = open_embedder(fixture(folder), Device::Cpu, DType::F32).unwrap();
            assert_eq!(embedder.to_string(), expected);
        }
        let open = |folder: &str| open_embedder(fixture(folder), Device::Cpu, DType::F32);
        let error = open("t5/encoder").unwrap_err().to_string();
        assert!(error.contains("model_type: expected clip or siglip, found t5"), "{error}");
        assert!(matches!(open("no/such/folder"), Err(Error::Io { .. })));
    }
}

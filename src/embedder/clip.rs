//! [`ClipEmbedder`]: embeds texts and images with a CLIP checkpoint.

use std::path::Path;

use tch::Tensor;

use super::two_towers::{Towers, TwoTowers, embedder_of_towers};
use crate::Result;
use crate::models::clip::{ClipConfig, ClipModel};
use crate::models::common::preprocess::{Family, Preprocessor};
use crate::models::common::weights::Weights;
use crate::models::tokenizers::clip::Tokenizer;
use crate::models::{DType, Device};

/// Embeds with a CLIP checkpoint on libtorch, such as `openai/clip-vit-base-patch32`.
///
/// The model has a thread of its own, which serves calls in their order. Dropping the future of a
/// call stops it after the current batch of 32.
///
/// ```no_run
/// # async fn compare() -> imagerag::Result<()> {
/// use imagerag::Image;
/// use imagerag::embedder::{ClipEmbedder, EmbedderExt};
/// use imagerag::models::{DType, Device};
///
/// let clip = ClipEmbedder::load("clip-vit-base-patch32", Device::Cpu, DType::F32)?;
/// let image = clip.embed_image(&Image::open("quetzal.jpg")?).await?;
/// let text = clip.embed_text("a photo of a quetzal").await?;
/// println!("{:.3}", text.similarity(&image)); // About 0.3 where the two match.
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ClipEmbedder {
    towers: TwoTowers,
}

#[derive(Debug)]
struct Clip {
    model: ClipModel,
    tokenizer: Tokenizer,
    /// Tokens a text may have.
    max_tokens: usize,
}

impl ClipEmbedder {
    /// Loads the checkpoint in `folder`, as transformers' `CLIPModel.save_pretrained` and the
    /// released repositories lay it out: `config.json`, `model.safetensors` (sharded or not),
    /// `tokenizer.json` or `vocab.json` with `merges.txt`, and `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the device is not there;
    /// [`Error::Io`](crate::Error::Io) and [`Error::InvalidFile`](crate::Error::InvalidFile) when a
    /// file is missing or does not hold what it should.
    pub fn load(folder: impl AsRef<Path>, device: Device, dtype: DType) -> Result<Self> {
        let folder = folder.as_ref().to_owned();
        let config = ClipConfig::read(&folder.join("config.json"))?;
        let (text, vision) = (config.text.sizes, config.vision.sizes);
        let preprocessor = Preprocessor::open(&folder, vision.image_size, Family::Clip)?;
        let (name, dim) = (config.vision.name(), config.projection_dim);
        let checkpoint = folder.clone();
        let load = move |device| {
            let tokenizer = Tokenizer::open(&folder)?;
            let weights = Weights::open(&folder, device, dtype.kind())?;
            let model = ClipModel::new(&weights, &config)?;
            let most = usize::try_from(text.max_tokens).unwrap_or(0);
            let max_tokens = tokenizer.max_length().unwrap_or(most).min(most);
            Ok(Clip { model, tokenizer, max_tokens })
        };
        Ok(Self { towers: TwoTowers::start(name, &checkpoint, dim, preprocessor, device, load)? })
    }
}

embedder_of_towers!(ClipEmbedder);

impl Towers for Clip {
    fn texts(&self, texts: &[String]) -> Result<Tensor> {
        let encode = |text: &String| self.tokenizer.encode(text, self.max_tokens);
        let mut ids: Vec<Vec<i64>> = texts.iter().map(encode).collect::<Result<_>>()?;
        // What follows the end token does not reach it, so padding leaves embeddings as they are.
        let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
        ids.iter_mut().for_each(|ids| self.tokenizer.pad(ids, longest));
        self.model.text_features(&ids)
    }

    fn images(&self, pixels: &Tensor) -> Result<Tensor> {
        self.model.image_features(pixels)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::Error;
    use crate::embedder::Embedder;
    use crate::embedder::checks::{assert_near, assert_recorded, assert_same, expected};
    use crate::models::common::golden::{copy, dtype, fixture, pictures, place};

    fn load(folder: &str) -> Result<ClipEmbedder> {
        ClipEmbedder::load(fixture(folder), place(), dtype())
    }

    #[test]
    fn texts_and_images_have_transformers_features() {
        let clip = load("clip/model").unwrap();
        assert_eq!((clip.dim(), clip.to_string().as_str()), (16, "CLIP ViT-32x2/8@32"));
        let folder = fixture("clip/model");
        assert_eq!(format!("{clip:#}"), format!("{clip} of {}", folder.display()));
        assert_recorded(&clip, "clip/model");
        let prepared = pictures(&fixture("clip/model")).map(|image| clip.preprocess(&image));
        assert!(prepared.iter().all(|image| (image.width(), image.height()) == (32, 32)));
    }

    #[cfg(feature = "testing")]
    #[test]
    fn keeps_the_contract() {
        block_on(crate::testing::conformance::embedder(&load("clip/model").unwrap()));
    }

    #[test]
    fn half_precision_stays_near() {
        for dtype in [DType::F16, DType::Bf16] {
            let clip = ClipEmbedder::load(fixture("clip/model"), place(), dtype).unwrap();
            assert_near(&clip, "clip/model");
        }
    }

    #[test]
    fn only_a_text_beyond_the_vocabulary_is_refused() {
        let folder = copy(&fixture("clip/model"));
        // A token that the text tower was not trained with.
        std::fs::write(folder.path().join("added_tokens.json"), r#"{"<sks>": 664}"#).unwrap();
        let clip = ClipEmbedder::load(folder.path(), Device::Cpu, DType::F32).unwrap();
        let found = block_on(clip.embed_texts(&["a photo of a bird"])).unwrap();
        assert_same(&found, &expected("clip/model", "text_features")[..1]);
        let error = block_on(clip.embed_texts(&["a <sks> bird"])).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
        assert!(error.to_string().contains("the text encoder's vocabulary"), "{error}");
    }

    #[test]
    fn what_cannot_be_loaded_is_named() {
        assert!(matches!(load("no/such/folder"), Err(Error::Io { .. })));
        let error = load("clip/text_encoder").unwrap_err().to_string();
        assert!(error.contains("text_config"), "{error}");
        let gpu = ClipEmbedder::load(fixture("clip/model"), Device::Cuda(999), DType::F32);
        assert!(matches!(gpu, Err(Error::Unavailable { .. })));
    }
}

//! [`ClipEmbedder`]: texts and images to the space of a CLIP checkpoint.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use tch::Tensor;

use super::two_towers::{Towers, TwoTowers};
use super::{Embedder, Embedding};
use crate::models::clip::{ClipConfig, ClipModel};
use crate::models::common::preprocess::{Family, Preprocessor};
use crate::models::tokenizers::clip::Tokenizer;
use crate::models::{DType, Device};
use crate::{Image, Result};

/// Embeds with a CLIP checkpoint on libtorch, such as `openai/clip-vit-base-patch32`.
///
/// The model lives on a thread of its own. Calls queue up there, first come, first served; dropping
/// a call's future stops it at the next batch of 32.
#[derive(Debug)]
pub struct ClipEmbedder {
    towers: TwoTowers<Clip>,
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
        let config = ClipConfig::open(&folder)?;
        let preprocessor = Preprocessor::open(&folder, config.vision.image_size, Family::CLIP)?;
        let (name, dim) = (name_of(&config), config.projection_dim);
        let load = move |device| {
            let tokenizer = Tokenizer::open(&folder)?;
            let model = ClipModel::open(&folder, device, dtype.kind())?;
            let positions = usize::try_from(config.text.max_position_embeddings).unwrap_or(0);
            let max_tokens = tokenizer.max_length().unwrap_or(positions).min(positions);
            Ok(Clip { model, tokenizer, max_tokens })
        };
        Ok(Self { towers: TwoTowers::start(name, dim, preprocessor, device, load)? })
    }
}

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

#[async_trait]
impl Embedder for ClipEmbedder {
    fn dim(&self) -> usize {
        self.towers.dim
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>> {
        self.towers.embed_texts(texts).await
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Vec<Embedding>> {
        self.towers.embed_images(images).await
    }

    fn preprocess(&self, image: &Image) -> Image {
        self.towers.preprocess(image)
    }
}

/// `CLIP ViT-B/32` by the sizes of OpenAI's and OpenCLIP's image towers.
fn name_of(config: &ClipConfig) -> String {
    let vision = &config.vision;
    let size = match (vision.hidden_size, vision.num_hidden_layers) {
        (768, 12) => "B".to_owned(),
        (1024, 24) => "L".to_owned(),
        (1280, 32) => "H".to_owned(),
        (1408, 40) => "g".to_owned(),
        (1664, 48) => "bigG".to_owned(),
        (width, layers) => format!("{width}x{layers}"),
    };
    let side = match vision.image_size {
        224 => String::new(),
        side => format!("@{side}"),
    };
    format!("CLIP ViT-{size}/{}{side}", vision.patch_size)
}

impl fmt::Display for ClipEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.towers.name)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::Error;
    use crate::embedder::two_towers::{BATCH, rows};
    use crate::models::common::golden::{dtype, fixture, place, recorded, tolerance};
    use crate::models::common::json::read_json;

    fn load(folder: &str) -> Result<ClipEmbedder> {
        ClipEmbedder::load(fixture(folder), place(), dtype())
    }

    fn expected(name: &str) -> Vec<Embedding> {
        rows("expected", &recorded(&fixture("clip/model/io.safetensors"), name)).unwrap()
    }

    fn assert_same(found: &[Embedding], expected: &[Embedding]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            for (a, b) in found.values().iter().zip(expected.values()) {
                assert!(f64::from((a - b).abs()) < tolerance(1e-5), "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn texts_have_transformers_features() {
        #[derive(serde::Deserialize)]
        struct Io {
            texts: Vec<String>,
        }
        let Io { texts } = read_json(&fixture("clip/model/io.json")).unwrap();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let clip = load("clip/model").unwrap();
        assert_eq!((clip.dim(), clip.to_string().as_str()), (16, "CLIP ViT-32x2/8@32"));
        let found = block_on(clip.embed_texts(&texts)).unwrap();
        assert_same(&found, &expected("text_features"));
        // More than a batch, and one by one: the same.
        let many: Vec<&str> = texts.iter().copied().cycle().take(BATCH * 2 + 1).collect();
        let found = block_on(clip.embed_texts(&many)).unwrap();
        let cycled: Vec<Embedding> =
            expected("text_features").into_iter().cycle().take(many.len()).collect();
        assert_same(&found, &cycled);
    }

    #[test]
    fn images_have_transformers_features() {
        let io = fixture("clip/model/io.safetensors");
        let images: Vec<Image> = (0..3)
            .map(|i| {
                let bytes = recorded(&io, &format!("image.{i}")).to_kind(tch::Kind::Uint8);
                let size = bytes.size();
                let pixels = Vec::<u8>::try_from(bytes.flatten(0, -1)).unwrap();
                Image::new(size[1] as u32, size[0] as u32, pixels).unwrap()
            })
            .collect();
        let clip = load("clip/model").unwrap();
        assert_same(&block_on(clip.embed_images(&images)).unwrap(), &expected("image_features"));
        let prepared: Vec<Image> = images.iter().map(|image| clip.preprocess(image)).collect();
        assert!(prepared.iter().all(|image| (image.width(), image.height()) == (32, 32)));
        assert_same(&block_on(clip.embed_images(&prepared)).unwrap(), &expected("image_features"));
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
            let found = block_on(clip.embed_texts(&["a photo of a bird"])).unwrap();
            assert!(found[0].similarity(&expected("text_features")[0]) > 0.995, "{dtype}");
        }
    }

    #[test]
    fn only_a_text_beyond_the_vocabulary_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(fixture("clip/model")).unwrap() {
            let from = entry.unwrap().path();
            std::fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
        }
        // A token that the text tower was not trained with.
        std::fs::write(folder.path().join("added_tokens.json"), r#"{"<sks>": 664}"#).unwrap();
        let clip = ClipEmbedder::load(folder.path(), Device::Cpu, DType::F32).unwrap();
        let found = block_on(clip.embed_texts(&["a photo of a bird"])).unwrap();
        assert_same(&found, &expected("text_features")[..1]);
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

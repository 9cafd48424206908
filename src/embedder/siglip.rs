//! [`SiglipEmbedder`]: texts and images to the space of a SigLIP checkpoint.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use tch::Tensor;

use super::two_towers::{Towers, TwoTowers};
use super::{Embedder, Embedding};
use crate::models::common::preprocess::{Family, Preprocessor};
use crate::models::siglip::{Logits, SiglipConfig, SiglipModel};
use crate::models::tokenizers::siglip::Tokenizer;
use crate::models::{DType, Device};
use crate::{Image, Result};

/// Embeds with a SigLIP checkpoint on libtorch, such as `google/siglip-so400m-patch14-384`, or with
/// a SigLIP 2 of one resolution, such as `google/siglip2-base-patch16-224`.
///
/// Texts are lower-cased, their punctuation is dropped, and what goes beyond 64 tokens is cut: so
/// the checkpoints were trained. The model lives on a thread of its own. Calls queue up there,
/// first come, first served; dropping a call's future stops it at the next batch of 32.
#[derive(Debug)]
pub struct SiglipEmbedder {
    towers: TwoTowers<Siglip>,
    logits: Logits,
}

#[derive(Debug)]
struct Siglip {
    model: SiglipModel,
    tokenizer: Tokenizer,
}

impl SiglipEmbedder {
    /// Loads the checkpoint in `folder`, as transformers' `SiglipModel.save_pretrained` and the
    /// released repositories lay it out: `config.json`, `model.safetensors` (sharded or not),
    /// `spiece.model` or `tokenizer.json`, and `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the device is not there;
    /// [`Error::Io`](crate::Error::Io) and [`Error::InvalidFile`](crate::Error::InvalidFile) when a
    /// file is missing or does not hold what it should.
    pub fn load(folder: impl AsRef<Path>, device: Device, dtype: DType) -> Result<Self> {
        let folder = folder.as_ref().to_owned();
        let config = SiglipConfig::open(&folder)?;
        let preprocessor = Preprocessor::open(&folder, config.vision.image_size, Family::SIGLIP)?;
        let logits = Logits::open(&folder)?;
        let positions = usize::try_from(config.text.max_position_embeddings).unwrap_or(0);
        let load = move |device| {
            let tokenizer = Tokenizer::open(&folder, positions)?;
            let model = SiglipModel::open(&folder, device, dtype.kind())?;
            Ok(Siglip { model, tokenizer })
        };
        let name = name_of(&config);
        let towers = TwoTowers::start(name, config.dim, preprocessor, device, load)?;
        Ok(Self { towers, logits })
    }

    /// The probability that a text and an image belong together, in [0, 1], by their embeddings:
    /// SigLIP is trained to tell for each pair alone, whatever else there is to choose from.
    pub fn probability(&self, text: &Embedding, image: &Embedding) -> f32 {
        self.logits.probability(text.similarity(image))
    }
}

impl Towers for Siglip {
    fn texts(&self, texts: &[String]) -> Result<Tensor> {
        let ids = texts.iter().map(|text| self.tokenizer.encode(text)).collect::<Result<Vec<_>>>();
        self.model.text.forward(&ids?)
    }

    fn images(&self, pixels: &Tensor) -> Result<Tensor> {
        self.model.vision.forward(pixels)
    }
}

#[async_trait]
impl Embedder for SiglipEmbedder {
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

/// `SigLIP SO400M/14@384` by the sizes of Google's image towers.
fn name_of(config: &SiglipConfig) -> String {
    let vision = &config.vision;
    let size = match (vision.sizes.hidden_size, vision.sizes.num_hidden_layers) {
        (768, 12) => "B".to_owned(),
        (1024, 24) => "L".to_owned(),
        (1152, 27) => "SO400M".to_owned(),
        (1536, 40) => "g-opt".to_owned(),
        (width, layers) => format!("{width}x{layers}"),
    };
    let side = match vision.image_size {
        224 => String::new(),
        side => format!("@{side}"),
    };
    format!("SigLIP {size}/{}{side}", vision.patch_size)
}

impl fmt::Display for SiglipEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.towers.name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use futures::executor::block_on;

    use super::*;
    use crate::Error;
    use crate::embedder::two_towers::{BATCH, rows};
    use crate::models::common::golden::{dtype, fixture, place, recorded, tolerance};
    use crate::models::common::json::read_json;

    fn load(folder: &str) -> Result<SiglipEmbedder> {
        SiglipEmbedder::load(fixture(folder), place(), dtype())
    }

    fn io(folder: &str) -> PathBuf {
        fixture(folder).join("io.safetensors")
    }

    fn expected(folder: &str, name: &str) -> Vec<Embedding> {
        rows("expected", &recorded(&io(folder), name)).unwrap()
    }

    fn texts(folder: &str) -> Vec<String> {
        #[derive(serde::Deserialize)]
        struct Io {
            texts: Vec<String>,
        }
        let Io { texts } = read_json(&fixture(folder).join("io.json")).unwrap();
        texts
    }

    fn images(folder: &str) -> Vec<Image> {
        let image = |i| {
            let bytes = recorded(&io(folder), &format!("image.{i}")).to_kind(tch::Kind::Uint8);
            let size = bytes.size();
            let pixels = Vec::<u8>::try_from(bytes.flatten(0, -1)).unwrap();
            Image::new(size[1] as u32, size[0] as u32, pixels).unwrap()
        };
        (0..3).map(image).collect()
    }

    #[track_caller]
    fn assert_same(found: &[Embedding], expected: &[Embedding]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            for (a, b) in found.values().iter().zip(expected.values()) {
                assert!(f64::from((a - b).abs()) < tolerance(1e-5), "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn texts_and_images_have_transformers_features_and_probabilities() {
        for (folder, dim, name) in
            [("siglip/model", 32, "SigLIP 32x2/7@24"), ("siglip/model_2", 16, "SigLIP 16x1/4@16")]
        {
            let siglip = load(folder).unwrap();
            assert_eq!((siglip.dim(), siglip.to_string().as_str()), (dim, name));
            let texts = texts(folder);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let texts = block_on(siglip.embed_texts(&texts)).unwrap();
            assert_same(&texts, &expected(folder, "text_features"));
            let images = images(folder);
            let prepared: Vec<Image> =
                images.iter().map(|image| siglip.preprocess(image)).collect();
            let images = block_on(siglip.embed_images(&images)).unwrap();
            assert_same(&images, &expected(folder, "image_features"));
            assert_same(&block_on(siglip.embed_images(&prepared)).unwrap(), &images);
            let probabilities = recorded(&io(folder), "probabilities"); // [texts, images]
            for (row, text) in texts.iter().enumerate() {
                for (column, image) in images.iter().enumerate() {
                    let expected = probabilities.double_value(&[row as i64, column as i64]);
                    let found = siglip.probability(text, image);
                    assert!(
                        (f64::from(found) - expected).abs() < tolerance(1e-5),
                        "{found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn more_than_a_batch_is_embedded_in_order() {
        let siglip = load("siglip/model").unwrap();
        let texts = texts("siglip/model");
        let many: Vec<&str> =
            texts.iter().map(String::as_str).cycle().take(BATCH * 2 + 1).collect();
        let found = block_on(siglip.embed_texts(&many)).unwrap();
        let expected = expected("siglip/model", "text_features");
        let cycled: Vec<Embedding> = expected.into_iter().cycle().take(many.len()).collect();
        assert_same(&found, &cycled);
    }

    #[cfg(feature = "testing")]
    #[test]
    fn keeps_the_contract() {
        for folder in ["siglip/model", "siglip/model_2"] {
            block_on(crate::testing::conformance::embedder(&load(folder).unwrap()));
        }
    }

    #[test]
    fn half_precision_stays_near() {
        let folder = "siglip/model";
        for dtype in [DType::F16, DType::Bf16] {
            let siglip = SiglipEmbedder::load(fixture(folder), place(), dtype).unwrap();
            let texts = block_on(siglip.embed_texts(&["a photo of a bird"])).unwrap();
            assert!(texts[0].similarity(&expected(folder, "text_features")[0]) > 0.995, "{dtype}");
            let images = block_on(siglip.embed_images(&images(folder))).unwrap();
            for (found, expected) in images.iter().zip(expected(folder, "image_features")) {
                assert!(found.similarity(&expected) > 0.995, "{dtype}");
            }
        }
    }

    #[test]
    fn what_cannot_be_loaded_is_named() {
        assert!(matches!(load("no/such/folder"), Err(Error::Io { .. })));
        let error = load("clip/model").unwrap_err().to_string();
        assert!(error.contains("model_type: expected siglip, found clip"), "{error}");
        let gpu = SiglipEmbedder::load(fixture("siglip/model"), Device::Cuda(999), DType::F32);
        assert!(matches!(gpu, Err(Error::Unavailable { .. })));
        // One file after the other is gone or holds something else.
        for (file, content, expected) in [
            ("spiece.model", Some("no model"), "a SentencePiece model"),
            ("spiece.model", None, "tokenizer.json"),
            ("tokenizer_config.json", Some("{"), "JSON"),
            ("model.safetensors", None, "weights"),
            ("model.safetensors", Some("{}"), "a whole safetensors file"),
            ("preprocessor_config.json", Some(r#"{"size": {"height": 9, "width": 24}}"#), "24x24"),
            ("config.json", Some(r#"{"model_type": "siglip"}"#), "text_config"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for entry in fs::read_dir(fixture("siglip/model")).unwrap() {
                let from = entry.unwrap().path();
                fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
            }
            let path = folder.path().join(file);
            match content {
                Some(content) => fs::write(path, content).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
            let found = SiglipEmbedder::load(folder.path(), Device::Cpu, DType::F32).unwrap_err();
            assert!(found.to_string().contains(expected), "{file}: {found}");
        }
    }
}

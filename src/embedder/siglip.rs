//! [`SiglipEmbedder`]: embeds texts and images with a SigLIP checkpoint.

use std::path::Path;

use tch::Tensor;

use super::Embedding;
use super::two_towers::{Towers, TwoTowers, embedder_of_towers};
use crate::Result;
use crate::models::common::preprocess::{Family, Preprocessor};
use crate::models::common::weights::Weights;
use crate::models::siglip::{self, Logits, SiglipConfig, SiglipModel};
use crate::models::tokenizers::siglip::Tokenizer;
use crate::models::{DType, Device};

/// Embeds with a SigLIP checkpoint on libtorch, such as `google/siglip-so400m-patch14-384`, or a
/// SigLIP 2 checkpoint of fixed resolution, such as `google/siglip2-base-patch16-224`.
///
/// As in the training of these checkpoints, texts are lower-cased, punctuation is dropped, and
/// texts are cut to 64 tokens. The model has a thread of its own, which serves calls in their
/// order. Dropping the future of a call stops it after the current batch of 32.
///
/// ```no_run
/// # async fn compare() -> imagerag::Result<()> {
/// use imagerag::Image;
/// use imagerag::embedder::{EmbedderExt, SiglipEmbedder};
/// use imagerag::models::{DType, Device};
///
/// let folder = "siglip-so400m-patch14-384";
/// let siglip = SiglipEmbedder::load(folder, Device::Cuda(0), DType::F16)?;
/// let image = siglip.embed_image(&Image::open("quetzal.jpg")?).await?;
/// let text = siglip.embed_text("a photo of a quetzal").await?;
/// println!("{:.0} %", 100.0 * siglip.probability(&text, &image));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SiglipEmbedder {
    towers: TwoTowers,
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
        let config = SiglipConfig::read(&folder.join("config.json"))?;
        let (text, vision) = (config.text, config.vision);
        let preprocessor = Preprocessor::open(&folder, vision.image_size, Family::Siglip)?;
        let name = siglip::name(&vision);
        let logits = Logits::open(&folder)?;
        let checkpoint = folder.clone();
        let load = move |device| {
            let most = usize::try_from(text.max_tokens).unwrap_or(0);
            let tokenizer = Tokenizer::open(&folder, most)?;
            let weights = Weights::open(&folder, device, dtype.kind())?;
            Ok(Siglip { model: SiglipModel::new(&weights, &config)?, tokenizer })
        };
        let towers = TwoTowers::start(name, &checkpoint, config.dim(), preprocessor, device, load)?;
        Ok(Self { towers, logits })
    }

    /// The probability that a text and an image match, in [0, 1], from their embeddings. It depends
    /// on this pair only: SigLIP is trained with a sigmoid loss, not with a softmax over a batch.
    pub fn probability(&self, text: &Embedding, image: &Embedding) -> f32 {
        self.logits.probability(text.similarity(image))
    }
}

embedder_of_towers!(SiglipEmbedder);

impl Towers for Siglip {
    fn texts(&self, texts: &[String]) -> Result<Tensor> {
        let ids = texts.iter().map(|text| self.tokenizer.encode(text)).collect::<Result<Vec<_>>>();
        self.model.text.forward(&ids?)
    }

    fn images(&self, pixels: &Tensor) -> Result<Tensor> {
        self.model.vision.forward(pixels)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures::executor::block_on;

    use super::*;
    use crate::Error;
    use crate::embedder::Embedder;
    use crate::embedder::checks::{assert_near, assert_recorded};
    use crate::models::common::golden::{
        copy, dtype, fixture, pictures, place, recorded, texts, tolerance,
    };

    fn load(folder: &str) -> Result<SiglipEmbedder> {
        SiglipEmbedder::load(fixture(folder), place(), dtype())
    }

    #[test]
    fn texts_and_images_have_transformers_features_and_probabilities() {
        for (folder, dim, name) in
            [("siglip/model", 32, "SigLIP 32x2/7@24"), ("siglip/model_2", 16, "SigLIP 16x1/4@16")]
        {
            let siglip = load(folder).unwrap();
            assert_eq!((siglip.dim(), siglip.to_string().as_str()), (dim, name));
            assert_recorded(&siglip, folder);
            let folder = fixture(folder);
            let probabilities = recorded(&folder.join("io.safetensors"), "probabilities"); // [texts, images]
            let images = block_on(siglip.embed_images(&pictures(&folder))).unwrap();
            for (row, text) in texts(&folder).iter().enumerate() {
                let text = &block_on(siglip.embed_texts(&[text])).unwrap()[0];
                for (column, image) in images.iter().enumerate() {
                    let expected = probabilities.double_value(&[row as i64, column as i64]);
                    let found = f64::from(siglip.probability(text, image));
                    assert!((found - expected).abs() < tolerance(1e-5), "{found} {expected}");
                }
            }
        }
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
            assert_near(&SiglipEmbedder::load(fixture(folder), place(), dtype).unwrap(), folder);
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
            let folder = copy(&fixture("siglip/model"));
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

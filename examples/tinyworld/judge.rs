//! Images to the species and the background that they show: a small classifier that was trained
//! apart and takes no part in the loop.

use std::path::Path;

use imagerag::{Error, Image, Result};
use serde::Deserialize;
use tch::{Kind, Tensor};

/// The judge's names; the last label rejects.
#[derive(Deserialize)]
struct Config {
    image_size: i64,
    labels: Vec<String>,
    backgrounds: Vec<String>,
}

pub(crate) struct Judge {
    config: Config,
    weights: Vec<(String, Tensor)>,
}

/// What the judge sees.
pub(crate) struct Sight {
    /// The species it looks most like.
    pub(crate) forced: String,
    /// The same, or `reject` where it is none of them.
    pub(crate) strict: String,
    pub(crate) background: String,
}

impl Judge {
    /// Reads `config.json` and `model.safetensors`.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
        let config = serde_json::from_str(&text)
            .map_err(|error| Error::invalid_file(&path, "judge", "its settings", error))?;
        let path = folder.join("model.safetensors");
        let weights = Tensor::read_safetensors(&path)
            .map_err(|error| Error::invalid_file(&path, "judge", "its weights", error))?
            .into_iter()
            .map(|(name, tensor)| (name, tensor.to_kind(Kind::Float)))
            .collect();
        Ok(Self { config, weights })
    }

    /// What one image shows.
    pub(crate) fn look(&self, image: &Image) -> Sight {
        let side = self.config.image_size;
        assert_eq!((image.width() as i64, image.height() as i64), (side, side), "the judge's size");
        let pixels = Tensor::from_slice(image.pixels()).view([1, side, side, 3]);
        let x = pixels.permute([0, 3, 1, 2]).to_kind(Kind::Float) / 127.5 - 1.0;
        let x = pool(&self.conv(&x, "conv1"));
        let x = pool(&self.conv(&x, "conv2"));
        let x = self.conv(&x, "conv3");
        let x = pool(&self.conv(&x, "conv4"));
        let x = self.linear(&x.flatten(1, -1), "fc1").relu();
        let (species, background) = (self.linear(&x, "species"), self.linear(&x, "background"));
        let labels = &self.config.labels;
        let named = species.narrow(1, 0, labels.len() as i64 - 1);
        Sight {
            forced: labels[best(&named)].clone(),
            strict: labels[best(&species)].clone(),
            background: self.config.backgrounds[best(&background)].clone(),
        }
    }

    fn weight(&self, name: &str) -> &Tensor {
        let found = self.weights.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("the judge has no {name}")).1
    }

    fn conv(&self, x: &Tensor, name: &str) -> Tensor {
        let (w, b) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        x.conv2d(w, Some(b), [1, 1], [1, 1], [1, 1], 1).relu()
    }

    fn linear(&self, x: &Tensor, name: &str) -> Tensor {
        x.linear(self.weight(&format!("{name}.weight")), Some(self.weight(&format!("{name}.bias"))))
    }
}

fn pool(x: &Tensor) -> Tensor {
    x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
}

fn best(logits: &Tensor) -> usize {
    logits.argmax(1, false).int64_value(&[0]) as usize
}

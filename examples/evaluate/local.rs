//! Checkpoints on this machine to generators and embedders, where the program was built with libtorch.

use std::error::Error;
use std::sync::Arc;

use imagerag::Embedder;
use imagerag::embedder::ImageEmbedder;

use crate::parts::Drawing;
use crate::run_file::{Model, RunFile};

#[cfg(feature = "tch")]
mod with_libtorch {
    use imagerag::embedder::{open_embedder, open_image_embedder};
    use imagerag::evaluation::metric::weights_hash;
    use imagerag::models::{DType, Device, Preprocessing};

    use super::{Arc, Drawing, Embedder, Error, ImageEmbedder, Model, RunFile};
    use crate::place::place;

    fn device(file: &RunFile) -> Result<(Device, DType), Box<dyn Error>> {
        Ok((file.device.parse()?, file.dtype.parse()?))
    }

    pub(crate) fn generator(model: &Model, file: &RunFile) -> Result<Drawing, Box<dyn Error>> {
        let (device, dtype) = device(file)?;
        model.clone().with_places(|name| file.place(name)).load(device, dtype)
    }

    pub(crate) fn embedder(
        model: &str,
        file: &RunFile,
    ) -> Result<Arc<dyn Embedder>, Box<dyn Error>> {
        let (device, dtype) = device(file)?;
        Ok(Arc::from(open_embedder(place(model)?, device, dtype)?))
    }

    pub(crate) fn image_embedder(
        model: &str,
        preprocessing: &str,
        file: &RunFile,
    ) -> Result<Arc<dyn ImageEmbedder>, Box<dyn Error>> {
        let (device, dtype) = device(file)?;
        let preprocessing = match preprocessing {
            "file" => Preprocessing::File,
            "official" => Preprocessing::Official,
            other => {
                return Err(
                    format!("preprocessing: expected file or official, found {other}").into()
                );
            }
        };
        Ok(Arc::from(open_image_embedder(place(model)?, device, dtype, preprocessing)?))
    }

    /// The hash of a checkpoint's weights.
    pub(crate) fn weights(model: &str) -> Result<String, Box<dyn Error>> {
        Ok(weights_hash(place(model)?)?)
    }
}

#[cfg(not(feature = "tch"))]
mod with_libtorch {
    use super::{Arc, Drawing, Embedder, Error, ImageEmbedder, Model, RunFile};

    fn missing<T>(what: &str) -> Result<T, Box<dyn Error>> {
        let how = "build it with `cargo xtask cargo -- build --features evaluation,tch --example evaluate`";
        Err(format!("{what}: this program was built without libtorch; {how}").into())
    }

    pub(crate) fn generator(_: &Model, _: &RunFile) -> Result<Drawing, Box<dyn Error>> {
        missing("a model on this machine")
    }

    pub(crate) fn embedder(model: &str, _: &RunFile) -> Result<Arc<dyn Embedder>, Box<dyn Error>> {
        missing(model)
    }

    pub(crate) fn image_embedder(
        model: &str,
        _: &str,
        _: &RunFile,
    ) -> Result<Arc<dyn ImageEmbedder>, Box<dyn Error>> {
        missing(model)
    }

    pub(crate) fn weights(model: &str) -> Result<String, Box<dyn Error>> {
        missing(model)
    }
}

pub(crate) use with_libtorch::*;

//! Checkpoints on this machine to generators and embedders, where the program was built with libtorch.

use std::error::Error;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use imagerag::Embedder;
use imagerag::embedder::ImageEmbedder;

use crate::parts::Drawing;
use crate::run_file::{Model, RunFile};

/// In what the models on this machine compute, and on which kind of device: both change results a little, and
/// which of several equal devices does not.
pub(crate) fn arithmetic(file: &RunFile) -> String {
    let kind = file.device.split(':').next().unwrap_or_default();
    format!("{} on {kind}", file.dtype)
}

/// A path as it is meant, however it is written: without `.`, and without `..` behind a folder.
pub(crate) fn lexically(path: &str) -> String {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(clean.components().next_back(), Some(Component::Normal(_))) =>
            {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean.to_string_lossy().replace('\\', "/")
}

#[cfg(feature = "tch")]
mod with_libtorch {
    use imagerag::embedder::{open_embedder, open_image_embedder};
    use imagerag::evaluation::metric::weights_hash;
    use imagerag::models::{DType, Device, Preprocessing};

    use super::{Arc, Drawing, Embedder, Error, ImageEmbedder, Model, RunFile};
    use crate::metric_table;
    use crate::place::place;

    /// Whether the fields `device` and `dtype` can be read.
    pub(crate) fn check(device: &str, dtype: &str) -> [(&'static str, Result<(), String>); 2] {
        let device = device.parse::<Device>().map(drop).map_err(|error| error.to_string());
        let dtype = dtype.parse::<DType>().map(drop).map_err(|error| error.to_string());
        [("device", device), ("dtype", dtype)]
    }

    /// An error about an option of the command line, `--ip-adapter: …`, as one about the field `ip_adapter`.
    pub(crate) fn field(error: &str) -> (String, String) {
        let (option, why) = error.split_once(": ").unwrap_or(("", error));
        (option.trim_start_matches('-').replace('-', "_"), why.to_owned())
    }

    /// A model with its paths as they are meant: `./a/../b` is `b`.
    pub(crate) fn meant(model: &Model) -> Model {
        model.clone().with_places(super::lexically)
    }

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
        preprocessing: metric_table::Preprocessing,
        file: &RunFile,
    ) -> Result<Arc<dyn ImageEmbedder>, Box<dyn Error>> {
        let (device, dtype) = device(file)?;
        let preprocessing = match preprocessing {
            metric_table::Preprocessing::File => Preprocessing::File,
            metric_table::Preprocessing::Official => Preprocessing::Official,
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

    use crate::metric_table::Preprocessing;

    /// Nothing computes here.
    pub(crate) fn check(_: &str, _: &str) -> [(&'static str, Result<(), String>); 2] {
        [("device", Ok(())), ("dtype", Ok(()))]
    }

    pub(crate) fn meant(model: &Model) -> Model {
        model.clone()
    }

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
        _: Preprocessing,
        _: &RunFile,
    ) -> Result<Arc<dyn ImageEmbedder>, Box<dyn Error>> {
        missing(model)
    }

    pub(crate) fn weights(model: &str) -> Result<String, Box<dyn Error>> {
        missing(model)
    }
}

pub(crate) use with_libtorch::*;

//! `--tinyworld`: the models and the gallery that the repository carries.

use std::sync::Arc;

use imagerag::Result;
use imagerag::models::{DType, Device};

use super::served::Served;
use super::tinyworld::World;

pub(crate) fn open(device: Device, dtype: DType) -> Result<Served> {
    let world = World::open()?;
    let parts = world.load(device, dtype)?;
    let usual = world.request("", 0);
    Ok(Served {
        name: format!("the tiny world, on {device}"),
        // That of the README.
        example: "a photo of a zorbit on a mint background".to_owned(),
        pipeline: parts.pipeline().build()?,
        generator: parts.generator,
        conditioner: Some(parts.conditioner),
        embedder: Some(parts.embedder as Arc<_>),
        steps: usual.steps,
        guidance_scale: usual.guidance_scale,
    })
}

//! The tiny world's generator as the parts use it: small weights, any size of image.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use imagerag::generator::{GenerateRequest, Sdxl};
use imagerag::models::{DType, Device, VaeTiling};
use imagerag::{GeneratorExt, Image};

use crate::Result;

/// The world's folder of models.
pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tinyworld/models")
}

/// The world's SDXL. It decodes whole images, whatever memory that takes.
pub(crate) fn load(device: Device, dtype: DType) -> Result<Sdxl> {
    let sdxl = Sdxl::builder(models().join("sdxl")).device(device).dtype(dtype);
    Ok(sdxl.vae_tiling(VaeTiling::Never).load()?)
}

/// A square image of `steps` steps.
pub(crate) fn request(size: u32, steps: usize, seed: u64) -> GenerateRequest {
    let mut request = GenerateRequest::new("a zorbit on a sky background");
    (request.width, request.height) = (Some(size), Some(size));
    (request.steps, request.seed) = (Some(steps), seed);
    request
}

/// The image, and how long the call took.
pub(crate) fn draw(sdxl: &Sdxl, request: GenerateRequest) -> Result<(Image, Duration)> {
    let start = Instant::now();
    let image = block_on(sdxl.generate_one(&request))?.image;
    Ok((image, start.elapsed()))
}

/// Waits until `device` has done all that was asked of it.
pub(crate) fn synchronize(device: Device) {
    if let Device::Cuda(number) = device {
        tch::Cuda::synchronize(number as i64);
    }
}

/// `device` in libtorch, once a model of ours has found it there.
pub(crate) fn in_libtorch(device: Device) -> tch::Device {
    match device {
        Device::Cpu => tch::Device::Cpu,
        Device::Cuda(number) => tch::Device::Cuda(number),
    }
}

//! Recorded tensors of the reference implementations, and what is found, to a verdict.

use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use super::weights::Weights;

/// The file or folder `name` of `tests/fixtures/`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Where goldens are computed: the CPU, or what `IMAGERAG_TEST_DEVICE` says, such as `cuda:0`. There
/// `NVIDIA_TF32_OVERRIDE=0` belongs with it, for cuDNN multiplies in 10 bits by default.
pub(crate) fn device() -> Device {
    let named = std::env::var("IMAGERAG_TEST_DEVICE");
    named.map_or(Device::Cpu, |name| name.parse::<super::Device>().unwrap().open().unwrap())
}

/// The tensor `name` of the safetensors file at `path`; numbers as `f32`, whole numbers as `i64`.
pub(crate) fn recorded(path: &Path, name: &str) -> Tensor {
    let weights = Weights::open(path, Device::Cpu, Kind::Float).unwrap();
    weights.get(name, &weights.shape(name).unwrap()).unwrap()
}

/// The largest difference in proportion to the largest expected value.
pub(crate) fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let [found, expected] =
        [found, expected].map(|x| x.to_device(Device::Cpu).to_kind(Kind::Double));
    let difference = (found - &expected).abs().max().double_value(&[]);
    difference / expected.abs().max().double_value(&[])
}

/// Asserts that [`relative_error`] is at most `tolerance`.
#[track_caller]
pub(crate) fn assert_close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    let error = relative_error(found, expected);
    assert!(error <= tolerance, "{what}: relative error {error:.2e}, allowed {tolerance:.0e}");
}

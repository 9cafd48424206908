//! Recorded tensors of the reference implementations, and what is found, to a verdict.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use tch::{Kind, Tensor};

use super::json::read_json;
use super::weights::Weights;
use crate::models::{DType, Device};
use crate::{Error, Image, Result};

/// The file or folder `name` of `tests/fixtures/`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Where goldens are computed: the CPU, or what `IMAGERAG_TEST_DEVICE` says, such as `cuda:0`. There
/// `NVIDIA_TF32_OVERRIDE=0` belongs with it, for cuDNN multiplies in 10 bits by default.
pub(crate) fn place() -> Device {
    named("IMAGERAG_TEST_DEVICE")
}

/// The format in which they are computed: `f32`, or what `IMAGERAG_TEST_DTYPE` says.
pub(crate) fn dtype() -> DType {
    named("IMAGERAG_TEST_DTYPE")
}

fn named<T: Default + FromStr<Err = Error>>(variable: &str) -> T {
    std::env::var(variable).map_or_else(|_| T::default(), |name| name.parse().unwrap())
}

/// [`place`] in libtorch.
pub(crate) fn device() -> tch::Device {
    place().open().unwrap()
}

/// [`dtype`] in libtorch.
pub(crate) fn kind() -> Kind {
    dtype().kind()
}

/// What an error that is `allowed` in f32 on the CPU may be in [`dtype`] on [`place`]: a GPU adds up in
/// another order, and 16 bits hold 10 or 7 of the 23 bits of precision.
pub(crate) fn tolerance(allowed: f64) -> f64 {
    allowed.max(match (dtype(), place()) {
        (DType::F32, Device::Cpu) => 0.0,
        (DType::F32, Device::Cuda(_)) => 1e-4,
        (DType::F16, _) => 3e-2,
        (DType::Bf16, _) => 2e-1,
    })
}

/// The tensor `name` of the safetensors file at `path`; numbers as `f32`, whole numbers as `i64`.
pub(crate) fn recorded(path: &Path, name: &str) -> Tensor {
    let weights = Weights::open(path, tch::Device::Cpu, Kind::Float).unwrap();
    weights.get(name, &weights.shape(name).unwrap()).unwrap()
}

/// What one pass of a network was recorded to do.
pub(crate) struct Pass {
    /// The name of the recorded pass.
    pub(crate) case: &'static str,
    path: PathBuf,
    /// How far sums in another order may be apart.
    allowed: f64,
}

impl Pass {
    /// The pass `case` that is recorded in `folder` of the fixtures.
    pub(crate) fn open(folder: &str, case: &'static str, allowed: f64) -> Self {
        Self { case, path: fixture(folder).join(format!("{case}.safetensors")), allowed }
    }

    /// A recorded tensor, on the device of the tests.
    pub(crate) fn get(&self, name: &str) -> Tensor {
        recorded(&self.path, name).to_device(device())
    }

    /// What a layer takes, in its type.
    pub(crate) fn input(&self, name: &str) -> Tensor {
        self.get(name).to_kind(kind())
    }

    /// Asserts that `found` is what was recorded as `name`.
    #[track_caller]
    pub(crate) fn check(&self, name: &str, found: &Tensor) {
        let what = format!("{} {name}", self.case);
        assert_close(&what, found, &self.get(name), self.allowed);
    }
}

/// Rows of token numbers.
pub(crate) fn rows(ids: &Tensor) -> Vec<Vec<i64>> {
    Vec::<Vec<i64>>::try_from(ids.to_kind(Kind::Int64)).unwrap()
}

/// The texts that `io.json` in `folder` says something was recorded of.
pub(crate) fn texts(folder: &Path) -> Vec<String> {
    let io: serde_json::Value = read_json(&folder.join("io.json")).unwrap();
    serde_json::from_value(io["texts"].clone()).unwrap()
}

/// The three pictures that `io.safetensors` in `folder` says something was recorded of.
pub(crate) fn pictures(folder: &Path) -> [Image; 3] {
    [0, 1, 2].map(|i| picture(&folder.join("io.safetensors"), &format!("image.{i}")))
}

/// The picture `name` of the safetensors file at `path`.
pub(crate) fn picture(path: &Path, name: &str) -> Image {
    let bytes = recorded(path, name).to_kind(Kind::Uint8);
    let size = bytes.size();
    let pixels = Vec::<u8>::try_from(bytes.flatten(0, -1)).unwrap();
    Image::new(size[1] as u32, size[0] as u32, pixels).unwrap()
}

/// A folder with the files of `folder`, to change.
pub(crate) fn copy(folder: &Path) -> tempfile::TempDir {
    fn fill(to: &Path, from: &Path) {
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                std::fs::create_dir(&to).unwrap();
                fill(&to, &entry.path());
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let copy = tempfile::tempdir().unwrap();
    fill(copy.path(), folder);
    copy
}

/// The largest difference in proportion to the largest expected value.
pub(crate) fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    relative(found, expected, |x| x.abs().max())
}

/// The difference in proportion to what is expected, both as `size` tells it.
fn relative(found: &Tensor, expected: &Tensor, size: impl Fn(&Tensor) -> Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let [found, expected] =
        [found, expected].map(|x| x.to_device(tch::Device::Cpu).to_kind(Kind::Double));
    size(&(found - &expected)).double_value(&[]) / size(&expected).double_value(&[])
}

/// Asserts that reading a file failed for what is in it, in these `words`.
#[track_caller]
pub(crate) fn assert_invalid_file<T>(read: Result<T>, words: &str) {
    let error = read.err().unwrap();
    assert!(matches!(error, Error::InvalidFile { .. }), "{words}: {error}");
    assert!(error.to_string().contains(words), "{words}: {error}");
}

/// Asserts that an input was refused, in these `words`.
#[track_caller]
pub(crate) fn assert_invalid_input<T>(found: Result<T>, words: &str) {
    let error = found.err().unwrap();
    assert!(matches!(error, Error::InvalidInput { .. }), "{words}: {error}");
    assert!(error.to_string().contains(words), "{words}: {error}");
}

/// Asserts that the error is at most [`tolerance`] of what is `allowed` in f32 on the CPU: the largest
/// in f32; the length of all in 16 bits, where single values may be rounded far.
#[track_caller]
pub(crate) fn assert_close(what: &str, found: &Tensor, expected: &Tensor, allowed: f64) {
    let error = match dtype() {
        DType::F32 => relative_error(found, expected),
        DType::F16 | DType::Bf16 => relative(found, expected, Tensor::norm),
    };
    let allowed = tolerance(allowed);
    println!("{what}: relative error {error:.1e}");
    assert!(error <= allowed, "{what}: relative error {error:.2e}, allowed {allowed:.0e}");
}

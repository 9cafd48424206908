//! Names of devices and number formats to those of libtorch.

use std::fmt;
use std::str::FromStr;

use super::cuda;
use crate::named::named;
use crate::{Error, Result};

/// Where a model computes. Written `cpu`, `cuda` (the first GPU) or `cuda:1`.
///
/// libtorch's CUDA half is loaded when the first model is put on a GPU. A program that calls
/// `tch::Cuda` itself must do so after that: libtorch keeps its first answer, and would find no GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The CUDA GPU of this number, counted from 0.
    Cuda(usize),
}

/// The format a model computes in. Written `f32`, `f16` or `bf16`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit floats: on the CPU equal to the reference implementations to rounding. On CUDA, cuDNN's
    /// convolutions multiply with 10 bits of precision (TF32), as they do in PyTorch by default;
    /// `NVIDIA_TF32_OVERRIDE=0` in the environment makes them exact, and slower.
    #[default]
    F32,
    /// 16-bit IEEE floats: half the memory; made for GPUs.
    F16,
    /// 16-bit brain floats: the range of `f32`, 8 bits of precision.
    Bf16,
}

impl Device {
    /// The device in libtorch, after making sure that it is there.
    pub(crate) fn open(self) -> Result<tch::Device> {
        let Self::Cuda(number) = self else { return Ok(tch::Device::Cpu) };
        let unavailable = |reason| Error::Unavailable { what: self.to_string(), reason };
        let cuda = cuda::load().map_err(|error| unavailable(error.to_string()))?;
        let reason = match cuda.count() {
            Ok(count) if number < count => return Ok(tch::Device::Cuda(number)),
            Ok(0) => "CUDA's driver finds no GPU".to_owned(),
            Ok(1) => "there is 1 GPU, cuda:0".to_owned(),
            Ok(count) => format!("there are {count} GPUs, cuda:0 to cuda:{}", count - 1),
            Err(reason) => reason,
        };
        Err(unavailable(reason))
    }
}

impl DType {
    /// The format in libtorch.
    pub(crate) const fn kind(self) -> tch::Kind {
        match self {
            Self::F32 => tch::Kind::Float,
            Self::F16 => tch::Kind::Half,
            Self::Bf16 => tch::Kind::BFloat16,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = |text: &str| -> Option<usize> {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
        };
        match text.split_once(':') {
            None if text == "cpu" => Some(Self::Cpu),
            None if text == "cuda" => Some(Self::Cuda(0)),
            Some(("cuda", number)) => digits(number).map(Self::Cuda),
            _ => None,
        }
        .ok_or_else(|| Error::invalid_input("device", "cpu, cuda or cuda:N", text))
    }
}

named!(DType, "dtype", { F32: "f32", F16: "f16", Bf16: "bf16" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(7)] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for dtype in [DType::F32, DType::F16, DType::Bf16] {
            assert_eq!(dtype.to_string().parse::<DType>().unwrap(), dtype);
        }
    }

    #[test]
    fn unknown_names_are_errors() {
        for name in ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "cpu:0"] {
            assert!(name.parse::<Device>().is_err(), "{name}");
        }
        let error = "fp16".parse::<DType>().unwrap_err();
        assert_eq!(error.to_string(), "dtype: expected f32, f16 or bf16, found fp16");
    }

    #[test]
    fn a_gpu_that_is_not_there_is_unavailable() {
        assert_eq!(Device::Cpu.open().unwrap(), tch::Device::Cpu);
        let Err(Error::Unavailable { what, reason }) = Device::Cuda(999).open() else {
            panic!("a thousandth GPU")
        };
        assert_eq!(what, "cuda:999");
        let words = ["GPU", "driver", "CPU alone"];
        assert!(words.iter().any(|word| reason.contains(word)), "{reason}");
    }
}

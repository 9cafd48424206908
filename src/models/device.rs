//! Names of devices and number formats to those of libtorch; the CUDA half is loaded when asked for.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::{Error, Result};

/// Where a model computes. Written `cpu`, `cuda` (the first GPU) or `cuda:1`.
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
    /// 32-bit floats: equal to the reference implementations to rounding.
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
        let loaded = load_cuda();
        let count = tch::Cuda::device_count();
        if i64::try_from(number).is_ok_and(|number| number < count) {
            return Ok(tch::Device::Cuda(number));
        }
        let reason = match (count, loaded) {
            (0, Err(reason)) => format!("this libtorch has no CUDA half: {reason}"),
            (0, Ok(())) => "there is no CUDA GPU, or its driver does not answer".to_owned(),
            (1, _) => "there is 1 CUDA GPU, cuda:0".to_owned(),
            (count, _) => format!("there are {count} CUDA GPUs, cuda:0 to cuda:{}", count - 1),
        };
        Err(Error::Unavailable { what: self.to_string(), reason })
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

/// Loads `libtorch_cuda` once. Nothing of ours names a symbol of it, so the linker leaves it out,
/// and libtorch finds no GPU until it is there.
fn load_cuda() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED
        .get_or_init(|| {
            if tch::Cuda::is_available() {
                return Ok(());
            }
            let name = libloading::library_filename("torch_cuda");
            let beside = libtorch_folder().map(|folder| folder.join(&name));
            let path = beside.filter(|path| path.exists()).unwrap_or_else(|| name.into());
            // SAFETY: libtorch_cuda belongs to the libtorch that is linked; its initialisers only
            // register its kernels there. It is never unloaded.
            match unsafe { libloading::Library::new(path) } {
                Ok(library) => {
                    std::mem::forget(library);
                    Ok(())
                }
                Err(error) => Err(error.to_string()),
            }
        })
        .clone()
}

/// The folder of the libtorch that this process runs on, where the system tells.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find(|line| line.ends_with("libtorch_cpu.so"))?;
    Some(PathBuf::from(&path[path.find('/')?..]).parent()?.to_owned())
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

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for DType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::invalid_input("dtype", "f32, f16 or bf16", text)),
        }
    }
}

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
        assert!(reason.contains("CUDA"), "{reason}");
    }
}

//! A device to how images of features lie in its memory.

use tch::{Device, Tensor};

use crate::{Error, Result};

/// Overrules the format for measuring: `contiguous` or `channels_last`.
const VARIABLE: &str = "IMAGERAG_MEMORY_FORMAT";

/// How the values of `[b, channels, h, w]` lie in memory: PyTorch's `memory_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryFormat {
    /// One channel after the other (NCHW).
    Contiguous,
    /// The channels of a pixel side by side (NHWC).
    ChannelsLast,
}

impl MemoryFormat {
    /// What convolutions on `device` are made for. On CUDA tensor cores read channels side by side,
    /// and cuDNN copies whatever lies otherwise, before and after every convolution; against that
    /// stands a copy a `GroupNorm`, for which libtorch 2.11 has no such kernel. On the CPU
    /// convolutions take the same time, and `GroupNorm` a multiple.
    pub(crate) fn of(device: Device) -> Result<Self> {
        match std::env::var(VARIABLE).as_deref() {
            Err(_) if device.is_cuda() => Ok(Self::ChannelsLast),
            Err(_) | Ok("contiguous") => Ok(Self::Contiguous),
            Ok("channels_last") => Ok(Self::ChannelsLast),
            Ok(other) => Err(Error::invalid_input(VARIABLE, "contiguous or channels_last", other)),
        }
    }

    /// The same values in this format; `x` itself where they lie so, or where any will do.
    pub(crate) fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Contiguous => x.shallow_clone(),
            Self::ChannelsLast => x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        }
    }
}

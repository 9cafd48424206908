//! What a thread has given a device to do, to when it is done.

use tch::Device;

use super::cuda::{self, Event};
use super::failure::failure;
use crate::{Error, Result};

/// A place in the work of a device. A GPU is given work far faster than it does it; the CPU has done
/// what was called by the time the call returns.
pub(crate) enum Mark {
    Passed,
    Ahead(Event<'static>),
}

impl Mark {
    /// The end of what this thread has given to `device` so far.
    pub(crate) fn set(device: Device) -> Result<Self> {
        let Device::Cuda(number) = device else { return Ok(Self::Passed) };
        let cuda = cuda::load().map_err(|error| Error::backend("CUDA", error))?;
        let event = || {
            // An event belongs to the device that is current when it is made.
            cuda.set_device(number)?;
            let event = cuda.event()?;
            event.record(&cuda.stream(number)?)?;
            Ok(event)
        };
        let failed = |text: String| failure("marking a place in the GPU's work", text);
        event().map(Self::Ahead).map_err(failed)
    }

    /// Whether it needs no waiting for.
    pub(crate) const fn has_passed(&self) -> bool {
        matches!(self, Self::Passed)
    }

    /// Waits until the device has come past. What failed there meanwhile is told here.
    pub(crate) fn wait(&self) -> Result<()> {
        match self {
            Self::Passed => Ok(()),
            Self::Ahead(event) => event.wait().map_err(|text| failure("waiting for the GPU", text)),
        }
    }
}

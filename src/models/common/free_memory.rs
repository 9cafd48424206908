//! A device to the bytes that tensors may still take there.

use tch::{Device, Kind, Tensor};

use super::cuda;
use super::failure::failure;
use crate::Result;

/// Bytes that are free on `device`; none where the system does not say. On a GPU more may be free than
/// that where as much as is `wanted` is.
///
/// libtorch keeps memory that its tensors have left, and says how much through no interface in C. But
/// it gives all of that back before it refuses a tensor; so where too little seems free, it is asked
/// for a tensor of what is wanted.
pub(crate) fn free_memory(device: Device, wanted: u64) -> Result<Option<u64>> {
    let Device::Cuda(number) = device else { return Ok(host_memory()) };
    let failed = |text: String| failure("asking for the memory of the GPU", text);
    let cuda = cuda::load().map_err(|error| failed(error.to_string()))?;
    let free = || cuda.set_device(number).and_then(|()| cuda.free_memory()).map_err(failed);
    let first = free()?;
    if first >= wanted {
        return Ok(Some(first));
    }
    let bytes = i64::try_from(wanted).unwrap_or(i64::MAX);
    match Tensor::f_empty([bytes], (Kind::Uint8, device)) {
        Ok(_) => Ok(Some(wanted)),
        Err(_) => free().map(Some),
    }
}

/// Bytes of host memory that programs may take without anything being swapped out; none where the
/// system does not say, as outside of Linux.
pub(crate) fn host_memory() -> Option<u64> {
    available(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// Gives host memory that tensors have left back to the system, where they are computed there. glibc
/// keeps what was freed in pieces, and takes more for tensors that do not fit these.
pub(crate) fn trim_heap(device: Device) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if device == Device::Cpu {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: takes a number, and locks the allocator for itself.
        unsafe { malloc_trim(0) };
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = device;
}

/// The field `MemAvailable` of Linux's `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::common::golden::device;

    #[test]
    fn what_linux_says_is_read() {
        let text = "MemTotal:       24689148 kB\nMemAvailable:   22539264 kB\nBuffers: 1 kB\n";
        assert_eq!(available(text), Some(22_539_264 * 1024));
        for text in ["", "MemTotal: 5 kB", "MemAvailable: many kB", "MemAvailable: 7"] {
            assert_eq!(available(text), None, "{text}");
        }
    }

    #[test]
    fn a_device_has_less_than_an_exabyte() {
        let free = [1 << 60, 1].map(|wanted| free_memory(device(), wanted).unwrap());
        assert_eq!(free[0].is_some(), cfg!(target_os = "linux") || device().is_cuda());
        for free in free.into_iter().flatten() {
            assert!((1 << 20..1 << 60).contains(&free), "{free}");
        }
    }
}

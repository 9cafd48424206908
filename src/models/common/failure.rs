//! What libtorch and CUDA say when they fail, to errors by what the caller can do about them.

use crate::Error;

/// How a lack of memory is told: by the allocators of both devices, CUDA itself, cuBLAS and cuDNN.
const OUT_OF_MEMORY: [&str; 3] = ["out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED"];

/// CUDA's errors after which every call of the process fails, as `cudaGetErrorString` words them.
const STICKY: [&str; 15] = [
    "an illegal memory access was encountered",
    "an illegal instruction was encountered",
    "device-side assert triggered",
    "hardware stack error",
    "invalid access of peer GPU memory over nvlink or a hardware error",
    "invalid program counter",
    "misaligned address",
    "operation not supported on global/shared address space",
    "tensor memory not completely freed",
    "the launch timed out and was terminated",
    "uncorrectable ECC error encountered",
    "uncorrectable NVLink error detected during the execution",
    "unknown error",
    "unspecified launch failure",
    "driver shutting down",
];

/// The failure of `what` that a backend tells in `text`.
pub(crate) fn failure(what: impl Into<String>, text: impl Into<String>) -> Error {
    let text = text.into();
    if !OUT_OF_MEMORY.iter().any(|words| text.contains(words)) {
        return Error::backend(what, text);
    }
    Error::OutOfMemory { what: what.into(), requested: requested(&text), source: text.into() }
}

/// The same error, a lack of memory as one.
pub(crate) fn recognised(error: Error) -> Error {
    match error {
        Error::Backend { what, source } => match failure(what, source.to_string()) {
            Error::Backend { what, .. } => Error::Backend { what, source },
            lack => lack,
        },
        other => other,
    }
}

/// Whether CUDA does nothing more in this process after an error of this `text`.
pub(crate) fn is_sticky(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("cuda error") && STICKY.iter().any(|words| text.contains(&words.to_lowercase()))
}

/// The bytes that an allocator tried to allocate, where it says so: `20.00 GiB`, `64 bytes`.
fn requested(text: &str) -> Option<u64> {
    let text = text.to_lowercase();
    let mut words = text.split_once("tried to allocate ")?.1.split_whitespace();
    let number: f64 = words.next()?.parse().ok()?;
    let unit = words.next()?.trim_end_matches(['.', ',']);
    let power = ["bytes", "kib", "mib", "gib", "tib"].iter().position(|name| *name == unit)?;
    Some((number * 1024_f64.powi(i32::try_from(power).ok()?)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_says_what_was_asked_for() {
        // libtorch 2.11: CUDACachingAllocator.cpp, alloc_cpu.cpp; CUDA's own; cuBLAS; cuDNN.
        for (text, bytes) in [
            (
                "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of \
                 79.11 GiB of which 4.25 GiB is free.",
                Some(20 << 30),
            ),
            ("CUDA out of memory. Tried to allocate 1.50 MiB. GPU 1 has", Some(3 << 19)),
            (
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate \
                 memory: you tried to allocate 4503599627370496 bytes. Error code 12",
                Some(1 << 52),
            ),
            ("CUDA out of memory. Tried to allocate more than 1EB memory.", None),
            ("CUDA error: out of memory", None),
            ("CUDA error 2: out of memory", None),
            ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", None),
            ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", None),
        ] {
            let Error::OutOfMemory { what, requested, source } = failure("SDXL", text) else {
                panic!("{text}")
            };
            let found = (what.as_str(), requested, source.to_string());
            assert_eq!(found, ("SDXL", bytes, text.to_owned()));
            let backend = Error::backend("reading a tensor", text);
            assert!(matches!(recognised(backend), Error::OutOfMemory { .. }), "{text}");
            assert!(!is_sticky(text), "{text}");
        }
    }

    #[test]
    fn errors_that_end_cuda_are_told_from_those_that_pass() {
        for text in [
            "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress'",
            "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously",
            "CUDA error: unspecified launch failure",
            "CUDA error: uncorrectable ECC error encountered",
            "CUDA error 716: misaligned address",
            "CUDA error 226: Invalid access of peer GPU memory over nvlink or a hardware error",
        ] {
            assert!(is_sticky(text), "{text}");
            assert!(matches!(failure("SDXL", text), Error::Backend { .. }), "{text}");
        }
        for text in [
            "CUDA error: invalid argument",
            "CUDA error: no kernel image is available for execution on the device",
            "The size of tensor a (2) must match the size of tensor b (3)",
            "misaligned address of a record",
        ] {
            assert!(!is_sticky(text), "{text}");
            assert!(matches!(failure("SDXL", text), Error::Backend { .. }), "{text}");
        }
        let other = Error::invalid_input("steps", "at least 1", "CUDA out of memory");
        assert!(matches!(recognised(other), Error::InvalidInput { .. }));
    }
}

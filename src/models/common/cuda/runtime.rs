//! CUDA's runtime behind plain calls: what libtorch's own interface leaves out.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

use libloading::Library;

use super::pinned::{Pinned, Registered};
use super::stream::{Event, OwnStream, Stream};

/// A `cudaStream_t` or `cudaEvent_t`.
pub(super) type Raw = *mut c_void;

/// `cudaSuccess`.
const SUCCESS: c_int = 0;
/// `cudaErrorInsufficientDriver`: older than this runtime wants, or not there.
const INSUFFICIENT_DRIVER: c_int = 35;
/// `cudaErrorNoDevice`.
const NO_DEVICE: c_int = 100;
/// `cudaEventDisableTiming`: such an event is cheaper.
const DISABLE_TIMING: c_uint = 2;
/// `cudaStreamNonBlocking`: such a stream does not wait for the default stream, which is libtorch's.
const NON_BLOCKING: c_uint = 1;

/// Declares functions of CUDA's runtime and libtorch's C interface, all found by name at once.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*);)*) => {
        #[allow(non_snake_case, reason = "CUDA's own names")]
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> c_int,)*
        }

        impl Functions {
            fn find(library: &Library) -> Result<Self, String> {
                Ok(Self { $($name: {
                    // SAFETY: the types are those of the headers of CUDA 12 and 13 and libtorch 2.11.0.
                    let found = unsafe { library.get(stringify!($name)) };
                    *found.map_err(|_| concat!("it lacks ", stringify!($name)).to_owned())?
                },)* })
            }
        }
    };
}

functions! {
    cudaEventCreateWithFlags: fn(*mut Raw, c_uint);
    cudaEventDestroy: fn(Raw);
    cudaEventRecord: fn(Raw, Raw);
    cudaEventSynchronize: fn(Raw);
    cudaFreeHost: fn(*mut c_void);
    cudaGetDeviceCount: fn(*mut c_int);
    cudaHostAlloc: fn(*mut *mut c_void, usize, c_uint);
    cudaHostRegister: fn(*mut c_void, usize, c_uint);
    cudaHostUnregister: fn(*mut c_void);
    cudaMemGetInfo: fn(*mut usize, *mut usize);
    cudaMemcpyAsync: fn(*mut c_void, *const c_void, usize, c_int, Raw);
    cudaSetDevice: fn(c_int);
    cudaStreamCreateWithPriority: fn(*mut Raw, c_uint, c_int);
    cudaStreamDestroy: fn(Raw);
    cudaStreamSynchronize: fn(Raw);
    cudaStreamWaitEvent: fn(Raw, Raw, c_uint);
    aoti_torch_get_current_cuda_stream: fn(i32, *mut Raw);
}

/// CUDA's runtime in this process, with libtorch's CUDA half. Errors are CUDA's own words.
pub(crate) struct Cuda {
    pub(super) library: Library,
    pub(super) functions: Functions,
    pub(super) error_string: unsafe extern "C" fn(c_int) -> *const c_char,
}

impl Cuda {
    /// `library`: libtorch's CUDA half, through which that of CUDA's runtime is found as well.
    pub(crate) fn new(library: Library) -> Result<Self, String> {
        let functions = Functions::find(&library)?;
        // SAFETY: as in `Functions::find`.
        let error_string = unsafe { library.get("cudaGetErrorString") };
        let error_string = *error_string.map_err(|_| "it lacks cudaGetErrorString".to_owned())?;
        Ok(Self { library, functions, error_string })
    }

    /// libtorch's CUDA half, to look up more functions of its C interface.
    pub(crate) const fn library(&self) -> &Library {
        &self.library
    }

    /// How many GPUs there are; why CUDA sees none.
    pub(crate) fn count(&self) -> Result<usize, String> {
        let mut count = 0;
        // SAFETY: writes a number.
        match unsafe { (self.functions.cudaGetDeviceCount)(&raw mut count) } {
            SUCCESS | NO_DEVICE => Ok(usize::try_from(count).unwrap_or(0)),
            INSUFFICIENT_DRIVER if !super::has_driver() => {
                Err(super::LoadError::NoDriver.to_string())
            }
            code => Err(self.text(code)),
        }
    }

    /// Makes `device` the one that this thread's calls mean.
    pub(crate) fn set_device(&self, device: usize) -> Result<(), String> {
        let device = c_int::try_from(device).unwrap_or(c_int::MAX);
        // SAFETY: takes a number, and says where it is none of a device.
        self.check(unsafe { (self.functions.cudaSetDevice)(device) })
    }

    /// The stream on which libtorch works for this thread on `device`.
    pub(crate) fn stream(&self, device: usize) -> Result<Stream<'_>, String> {
        let device = i32::try_from(device).unwrap_or(i32::MAX);
        let mut raw = ptr::null_mut();
        // SAFETY: writes a pointer, which may be null: the default stream's.
        match unsafe { (self.functions.aoti_torch_get_current_cuda_stream)(device, &raw mut raw) } {
            SUCCESS => Ok(Stream { cuda: self, raw }),
            _ => Err(format!("libtorch has no stream on cuda:{device}")),
        }
    }

    /// A new stream of this thread's device.
    pub(crate) fn own_stream(&self) -> Result<OwnStream<'_>, String> {
        let mut raw = ptr::null_mut();
        let create = self.functions.cudaStreamCreateWithPriority;
        // SAFETY: writes a pointer that `OwnStream` frees. Every device knows the priority 0.
        self.check(unsafe { create(&raw mut raw, NON_BLOCKING, 0) })?;
        Ok(OwnStream(Stream { cuda: self, raw }))
    }

    /// Bytes of the memory of this thread's device that nobody has taken; what libtorch keeps for its
    /// next tensors is not among them.
    pub(crate) fn free_memory(&self) -> Result<u64, String> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two numbers.
        self.check(unsafe { (self.functions.cudaMemGetInfo)(&raw mut free, &raw mut total) })?;
        Ok(free as u64)
    }

    /// A new event of this thread's device.
    pub(crate) fn event(&self) -> Result<Event<'_>, String> {
        let mut raw = ptr::null_mut();
        // SAFETY: writes a pointer that `Event` frees.
        let code =
            unsafe { (self.functions.cudaEventCreateWithFlags)(&raw mut raw, DISABLE_TIMING) };
        self.check(code)?;
        Ok(Event { cuda: self, raw })
    }

    /// `bytes` of host memory that stays where it is, from which a GPU reads at full speed.
    pub(crate) fn pinned(&self, bytes: usize) -> Result<Pinned<'_>, String> {
        let mut start = ptr::null_mut();
        // SAFETY: writes a pointer that `Pinned` frees.
        self.check(unsafe { (self.functions.cudaHostAlloc)(&raw mut start, bytes, 0) })?;
        Pinned::new(self, start, bytes)
    }

    /// Pins memory that is there already, until the returned value is dropped.
    ///
    /// # Safety
    /// The memory must outlive what is returned.
    pub(crate) unsafe fn register(&self, memory: &mut [u8]) -> Result<Registered<'_>, String> {
        let start = memory.as_mut_ptr().cast();
        // SAFETY: the memory is there, and the caller keeps it.
        self.check(unsafe { (self.functions.cudaHostRegister)(start, memory.len(), 0) })?;
        Ok(Registered { cuda: self, start })
    }

    pub(super) fn check(&self, code: c_int) -> Result<(), String> {
        if code == SUCCESS { Ok(()) } else { Err(self.text(code)) }
    }

    /// What CUDA says of one of its codes.
    fn text(&self, code: c_int) -> String {
        // SAFETY: gives a text that stays, for every number.
        let text = unsafe { CStr::from_ptr((self.error_string)(code)) };
        format!("CUDA error {code}: {}", text.to_string_lossy())
    }
}

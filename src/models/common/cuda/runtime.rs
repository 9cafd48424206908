//! CUDA's runtime behind plain calls: what libtorch's own interface leaves out.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};

use libloading::Library;

/// A `cudaStream_t` or `cudaEvent_t`.
type Raw = *mut c_void;

/// `cudaSuccess`.
const SUCCESS: c_int = 0;
/// `cudaErrorInsufficientDriver`: older than this runtime wants, or not there.
const INSUFFICIENT_DRIVER: c_int = 35;
/// `cudaErrorNoDevice`.
const NO_DEVICE: c_int = 100;
/// `cudaEventDisableTiming`: such an event is cheaper.
const DISABLE_TIMING: c_uint = 2;
/// `cudaMemcpyHostToDevice`.
const HOST_TO_DEVICE: c_int = 1;

/// Declares functions of CUDA's runtime and libtorch's C interface, all found by name at once.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*);)*) => {
        #[allow(non_snake_case, reason = "CUDA's own names")]
        struct Functions { $($name: unsafe extern "C" fn($($argument),*) -> c_int,)* }

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
    cudaMemcpyAsync: fn(*mut c_void, *const c_void, usize, c_int, Raw);
    cudaSetDevice: fn(c_int);
    cudaStreamSynchronize: fn(Raw);
    aoti_torch_get_current_cuda_stream: fn(i32, *mut Raw);
}

/// CUDA's runtime in this process, with libtorch's CUDA half. Errors are CUDA's own words.
pub(crate) struct Cuda {
    library: Library,
    functions: Functions,
    error_string: unsafe extern "C" fn(c_int) -> *const c_char,
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
        let start = NonNull::new(start.cast()).ok_or("CUDA gave no memory")?;
        Ok(Pinned { cuda: self, start, bytes })
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

    fn check(&self, code: c_int) -> Result<(), String> {
        if code == SUCCESS { Ok(()) } else { Err(self.text(code)) }
    }

    /// What CUDA says of one of its codes.
    fn text(&self, code: c_int) -> String {
        // SAFETY: gives a text that stays, for every number.
        let text = unsafe { CStr::from_ptr((self.error_string)(code)) };
        format!("CUDA error {code}: {}", text.to_string_lossy())
    }
}

/// A queue of work on a GPU, as long as the thread that asked for it works on it.
#[derive(Clone, Copy)]
pub(crate) struct Stream<'a> {
    cuda: &'a Cuda,
    raw: Raw,
}

impl Stream<'_> {
    /// Queues a copy of `source` to the memory of the device at `target`.
    ///
    /// # Safety
    /// `target` must have room for it; both must stay until the copy is done, which [`Event`] or
    /// [`wait`](Self::wait) tells.
    pub(crate) unsafe fn upload(&self, source: &[u8], target: *mut c_void) -> Result<(), String> {
        let (from, bytes) = (source.as_ptr().cast(), source.len());
        // SAFETY: the caller's.
        self.cuda.check(unsafe {
            (self.cuda.functions.cudaMemcpyAsync)(target, from, bytes, HOST_TO_DEVICE, self.raw)
        })
    }

    /// Waits until all that was queued is done.
    pub(crate) fn wait(&self) -> Result<(), String> {
        // SAFETY: the stream is libtorch's, which never ends one.
        self.cuda.check(unsafe { (self.cuda.functions.cudaStreamSynchronize)(self.raw) })
    }
}

/// A place in a stream that one can wait for.
pub(crate) struct Event<'a> {
    cuda: &'a Cuda,
    raw: Raw,
}

// SAFETY: CUDA's handles are bound to no thread.
unsafe impl Send for Event<'_> {}
// SAFETY: as above.
unsafe impl Send for Stream<'_> {}

impl Event<'_> {
    /// The event is what was queued on `stream` so far.
    pub(crate) fn record(&self, stream: &Stream<'_>) -> Result<(), String> {
        // SAFETY: both are there.
        self.cuda.check(unsafe { (self.cuda.functions.cudaEventRecord)(self.raw, stream.raw) })
    }

    /// Waits until the device has done it; at once where nothing was recorded.
    pub(crate) fn wait(&self) -> Result<(), String> {
        // SAFETY: the event is there.
        self.cuda.check(unsafe { (self.cuda.functions.cudaEventSynchronize)(self.raw) })
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // SAFETY: ours alone. CUDA frees it once the device has come past.
        unsafe { (self.cuda.functions.cudaEventDestroy)(self.raw) };
    }
}

/// Pinned host memory.
pub(crate) struct Pinned<'a> {
    cuda: &'a Cuda,
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory is ours alone and bound to no thread.
unsafe impl Send for Pinned<'_> {}

impl std::ops::Deref for Pinned<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `cudaHostAlloc` gave as many bytes, of whatever values.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl std::ops::DerefMut for Pinned<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else has the pointer.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        // SAFETY: ours alone.
        unsafe { (self.cuda.functions.cudaFreeHost)(self.start.as_ptr().cast()) };
    }
}

/// Memory of somebody else's, pinned until this is dropped.
pub(crate) struct Registered<'a> {
    cuda: &'a Cuda,
    start: *mut c_void,
}

// SAFETY: CUDA allows any thread to unpin.
unsafe impl Send for Registered<'_> {}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        // SAFETY: `register` pinned it, once.
        unsafe { (self.cuda.functions.cudaHostUnregister)(self.start) };
    }
}

//! Work for a GPU to queues in which it waits its turn, and to the places in them.

use std::ffi::{c_int, c_void};

use super::runtime::{Cuda, Raw};

/// `cudaMemcpyHostToDevice`.
const HOST_TO_DEVICE: c_int = 1;

/// A queue of work on a GPU, as long as the thread that asked for it works on it.
#[derive(Clone, Copy)]
pub(crate) struct Stream<'a> {
    pub(super) cuda: &'a Cuda,
    pub(super) raw: Raw,
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

    /// Lets what is queued from now on begin when the device has come past `event`. The host does not
    /// wait, and the event may be recorded again or dropped at once.
    pub(crate) fn wait_for(&self, event: &Event<'_>) -> Result<(), String> {
        // SAFETY: both are there.
        self.cuda
            .check(unsafe { (self.cuda.functions.cudaStreamWaitEvent)(self.raw, event.raw, 0) })
    }

    /// Waits until all that was queued is done.
    pub(crate) fn wait(&self) -> Result<(), String> {
        // SAFETY: libtorch never ends one of its streams, and `OwnStream` keeps its own.
        self.cuda.check(unsafe { (self.cuda.functions.cudaStreamSynchronize)(self.raw) })
    }
}

/// A stream beside libtorch's. Neither waits for the other but where [`Stream::wait_for`] says so.
pub(crate) struct OwnStream<'a>(pub(super) Stream<'a>);

impl<'a> std::ops::Deref for OwnStream<'a> {
    type Target = Stream<'a>;

    fn deref(&self) -> &Stream<'a> {
        &self.0
    }
}

impl Drop for OwnStream<'_> {
    fn drop(&mut self) {
        // SAFETY: ours alone. CUDA frees it once its work is done.
        unsafe { (self.cuda.functions.cudaStreamDestroy)(self.raw) };
    }
}

/// A place in a stream that one can wait for.
pub(crate) struct Event<'a> {
    pub(super) cuda: &'a Cuda,
    pub(super) raw: Raw,
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

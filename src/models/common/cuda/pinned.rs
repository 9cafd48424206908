//! Host memory to memory that a GPU copies from and to at the full speed of its bus.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::runtime::Cuda;

/// Pinned host memory.
pub(crate) struct Pinned<'a> {
    cuda: &'a Cuda,
    start: NonNull<u8>,
    bytes: usize,
}

impl<'a> Pinned<'a> {
    /// What `cudaHostAlloc` gave.
    pub(super) fn new(cuda: &'a Cuda, start: *mut c_void, bytes: usize) -> Result<Self, String> {
        let start = NonNull::new(start.cast()).ok_or("CUDA gave no memory")?;
        Ok(Self { cuda, start, bytes })
    }
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
    pub(super) cuda: &'a Cuda,
    pub(super) start: *mut c_void,
}

// SAFETY: CUDA allows any thread to unpin.
unsafe impl Send for Registered<'_> {}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        // SAFETY: `register` pinned it, once.
        unsafe { (self.cuda.functions.cudaHostUnregister)(self.start) };
    }
}

//! A CUDA runtime for tests on the CPU: it notes every call, and leaves copies for as late as they may
//! be done.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::{c_char, c_int, c_uint, c_void};

use libloading::os::unix::Library;

use super::runtime::{Cuda, Functions, Raw};

/// What this thread's fake has done, and what it has still to do.
#[derive(Default)]
struct State {
    calls: Vec<String>,
    /// Given to its own streams, in order. There is one such stream at a time.
    queue: VecDeque<Work>,
    /// Handles of streams and events so far; libtorch's stream is 0.
    handles: usize,
    pinned: HashMap<usize, usize>,
}

enum Work {
    Copy { from: usize, to: usize, bytes: usize },
    Record(usize),
}

impl Work {
    fn do_it(self) {
        if let Self::Copy { from, to, bytes } = self {
            // SAFETY: memory of the test's, which waits for its copies before it frees it.
            unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
        }
    }
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn with<T>(change: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(change)
}

fn note(call: String) -> c_int {
    with(|state| state.calls.push(call));
    0
}

/// Calls since the last time that this was asked, such as `record 3 in 0`.
pub(crate) fn calls() -> Vec<String> {
    with(|state| std::mem::take(&mut state.calls))
}

/// Bytes of each pinned memory that was not freed.
pub(crate) fn pinned() -> Vec<usize> {
    with(|state| state.pinned.values().copied().collect())
}

fn number(raw: Raw) -> usize {
    raw as usize
}

fn new_handle(raw: *mut Raw, what: &str) -> c_int {
    let handle = with(|state| {
        state.handles += 1;
        state.handles
    });
    // SAFETY: the caller gives room for a handle.
    unsafe { *raw = handle as Raw };
    note(format!("{what} {handle}"))
}

unsafe extern "C" fn event_create(raw: *mut Raw, _: c_uint) -> c_int {
    new_handle(raw, "event")
}

unsafe extern "C" fn stream_create(raw: *mut Raw, flags: c_uint, _: c_int) -> c_int {
    assert_eq!(flags, 1, "it would wait for libtorch's");
    new_handle(raw, "stream")
}

unsafe extern "C" fn event_destroy(event: Raw) -> c_int {
    note(format!("destroy event {}", number(event)))
}

unsafe extern "C" fn stream_destroy(stream: Raw) -> c_int {
    note(format!("destroy stream {}", number(stream)))
}

unsafe extern "C" fn event_record(event: Raw, stream: Raw) -> c_int {
    if number(stream) != 0 {
        with(|state| state.queue.push_back(Work::Record(number(event))));
    }
    note(format!("record {} in {}", number(event), number(stream)))
}

unsafe extern "C" fn stream_wait_event(stream: Raw, event: Raw, _: c_uint) -> c_int {
    if number(stream) == 0 {
        // The CPU computes at once, so what it waits for must be done now: up to the last record.
        with(|state| {
            let is_it =
                |work: &Work| matches!(work, Work::Record(other) if *other == number(event));
            if let Some(last) = state.queue.iter().rposition(is_it) {
                state.queue.drain(..=last).for_each(Work::do_it);
            }
        });
    }
    note(format!("{} waits for {}", number(stream), number(event)))
}

unsafe extern "C" fn memcpy_async(
    to: *mut c_void,
    from: *const c_void,
    bytes: usize,
    _: c_int,
    stream: Raw,
) -> c_int {
    let copy = Work::Copy { from: from as usize, to: to as usize, bytes };
    with(|state| state.queue.push_back(copy));
    note(format!("copy {bytes} in {}", number(stream)))
}

unsafe extern "C" fn stream_synchronize(stream: Raw) -> c_int {
    with(|state| state.queue.drain(..).for_each(Work::do_it));
    note(format!("wait for {}", number(stream)))
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 4096).unwrap()
}

unsafe extern "C" fn host_alloc(start: *mut *mut c_void, bytes: usize, _: c_uint) -> c_int {
    assert!(bytes > 0);
    // SAFETY: the layout is not empty, and the caller gives room for a pointer.
    let found = unsafe {
        *start = alloc_zeroed(layout(bytes)).cast();
        *start
    };
    with(|state| state.pinned.insert(found as usize, bytes));
    note(format!("pin {bytes}"))
}

unsafe extern "C" fn free_host(start: *mut c_void) -> c_int {
    let bytes = with(|state| state.pinned.remove(&(start as usize))).unwrap();
    // SAFETY: `host_alloc` gave it with this layout.
    unsafe { dealloc(start.cast(), layout(bytes)) };
    note(format!("unpin {bytes}"))
}

unsafe extern "C" fn current_stream(_: i32, raw: *mut Raw) -> c_int {
    // SAFETY: the caller gives room for a handle.
    unsafe { *raw = std::ptr::null_mut() };
    0
}

unsafe extern "C" fn set_device(_: c_int) -> c_int {
    0
}

unsafe extern "C" fn device_count(_: *mut c_int) -> c_int {
    1
}

unsafe extern "C" fn event_synchronize(_: Raw) -> c_int {
    1
}

unsafe extern "C" fn host_register(_: *mut c_void, _: usize, _: c_uint) -> c_int {
    1
}

unsafe extern "C" fn host_unregister(_: *mut c_void) -> c_int {
    1
}

unsafe extern "C" fn mem_get_info(_: *mut usize, _: *mut usize) -> c_int {
    1
}

unsafe extern "C" fn error_string(_: c_int) -> *const c_char {
    c"not in the fake".as_ptr()
}

/// A new fake, for the thread that calls it. What is "on the device" lies in the CPU's memory.
pub(crate) fn cuda() -> &'static Cuda {
    Box::leak(Box::new(Cuda {
        library: Library::this().into(),
        functions: Functions {
            cudaEventCreateWithFlags: event_create,
            cudaEventDestroy: event_destroy,
            cudaEventRecord: event_record,
            cudaEventSynchronize: event_synchronize,
            cudaFreeHost: free_host,
            cudaGetDeviceCount: device_count,
            cudaHostAlloc: host_alloc,
            cudaHostRegister: host_register,
            cudaHostUnregister: host_unregister,
            cudaMemGetInfo: mem_get_info,
            cudaMemcpyAsync: memcpy_async,
            cudaSetDevice: set_device,
            cudaStreamCreateWithPriority: stream_create,
            cudaStreamDestroy: stream_destroy,
            cudaStreamSynchronize: stream_synchronize,
            cudaStreamWaitEvent: stream_wait_event,
            aoti_torch_get_current_cuda_stream: current_stream,
        },
        error_string,
    }))
}

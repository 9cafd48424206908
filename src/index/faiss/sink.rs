//! The bytes that FAISS writes to a file of ours, counted and digested on their way.

use std::cell::RefCell;
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::slice;

thread_local! {
    /// Where this thread's [`write`] goes: FAISS' C interface hands it no object.
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

struct Sink {
    file: BufWriter<File>,
    digest: blake3::Hasher,
    /// The first error; nothing is written after it.
    error: Option<io::Error>,
}

/// Writes to `file` what `call` hands to [`write`]. Returns what `call` returns, the file, and the
/// digest and number of the bytes.
pub(crate) fn collect<T>(
    file: File,
    call: impl FnOnce() -> T,
) -> io::Result<(T, File, blake3::Hasher)> {
    SINK.set(Some(Sink { file: BufWriter::new(file), digest: blake3::Hasher::new(), error: None }));
    let result = call();
    let sink = SINK.take().ok_or_else(|| io::Error::other("no file to write to"))?;
    match sink.error {
        Some(error) => Err(error),
        None => Ok((result, sink.file.into_inner()?, sink.digest)),
    }
}

/// FAISS' form of `fwrite`: `count` items of `size` bytes; returns how many were written.
pub(crate) unsafe extern "C" fn write(items: *const c_void, size: usize, count: usize) -> usize {
    let length = size.saturating_mul(count);
    if items.is_null() || length == 0 {
        return if length == 0 { count } else { 0 };
    }
    // SAFETY: FAISS hands over that many bytes.
    let bytes = unsafe { slice::from_raw_parts(items.cast::<u8>(), length) };
    SINK.with_borrow_mut(|sink| {
        let Some(sink) = sink.as_mut().filter(|sink| sink.error.is_none()) else { return 0 };
        sink.digest.update(bytes);
        match sink.file.write_all(bytes) {
            Ok(()) => count,
            Err(error) => {
                sink.error = Some(error);
                0
            }
        }
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::embedder::Embedding;
    use crate::index::FaissIndex;

    #[test]
    fn a_disk_that_is_full_is_an_error() {
        let vectors = [Embedding::new([0.6, 0.8]).unwrap()];
        let index = FaissIndex::builder(2, "Flat").train(&vectors).unwrap();
        let full = collect(File::create("/dev/full").unwrap(), || index.handle.write());
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}

//! The bytes of a file that FAISS reads, into large pages where they fill some.
//!
//! A search in a graph jumps between the vectors. In pages of 4 KB, finding each one's page takes as
//! long as a part of its comparison: HNSW over 700 MB takes a seventh less time in pages of 2 MB.

use std::cell::RefCell;
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::{ptr, slice};

/// Blocks below this, which is two large pages, are left as they are.
const LARGE: usize = 4 << 20;

thread_local! {
    /// What this thread's [`read`] reads: FAISS' C interface hands it no object.
    static SOURCE: RefCell<Option<Source>> = const { RefCell::new(None) };
}

struct Source {
    file: BufReader<File>,
    /// The first error; nothing is read after it.
    error: Option<io::Error>,
}

/// Serves [`read`] from `file` while `call` runs. Returns what `call` returns.
pub(crate) fn serve<T>(file: File, call: impl FnOnce() -> T) -> io::Result<T> {
    SOURCE.set(Some(Source { file: BufReader::new(file), error: None }));
    let result = call();
    match SOURCE.take().and_then(|source| source.error) {
        Some(error) => Err(error),
        None => Ok(result),
    }
}

/// FAISS' form of `fread`: `count` items of `size` bytes; returns how many were read, all or none.
pub(crate) unsafe extern "C" fn read(items: *mut c_void, size: usize, count: usize) -> usize {
    let length = size.saturating_mul(count);
    if items.is_null() || length == 0 {
        return if length == 0 { count } else { 0 };
    }
    if length >= LARGE {
        #[cfg(target_os = "linux")]
        // SAFETY: FAISS owns that many bytes, and all of them are written below.
        unsafe {
            large_pages::take(items, length);
        }
    } else {
        // SAFETY: as above. Single values are not initialised before; vectors are.
        unsafe { ptr::write_bytes(items.cast::<u8>(), 0, length) }
    }
    // SAFETY: that many initialised bytes, which FAISS does not touch meanwhile.
    let bytes = unsafe { slice::from_raw_parts_mut(items.cast::<u8>(), length) };
    SOURCE.with_borrow_mut(|source| {
        let Some(source) = source.as_mut().filter(|source| source.error.is_none()) else {
            return 0;
        };
        match source.file.read_exact(bytes) {
            Ok(()) => count,
            Err(error) => {
                source.error = Some(error);
                0
            }
        }
    })
}

#[cfg(target_os = "linux")]
mod large_pages {
    use std::ffi::c_void;
    use std::fs;
    use std::sync::LazyLock;

    /// Whether Linux gives large pages to those who ask; others would only pay for asking.
    static GIVEN: LazyLock<bool> = LazyLock::new(|| {
        let setting = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        setting.is_ok_and(|setting| !setting.contains("[never]"))
    });

    /// Exchanges the whole pages of a block for large ones as they are next written. It makes no
    /// difference to what can be done with the block, so that it may fail without a word.
    ///
    /// # Safety
    /// The block belongs to the caller, who next writes to all of it; it holds zeros until then.
    pub(super) unsafe fn take(block: *mut c_void, length: usize) {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let Some(page) = usize::try_from(page).ok().filter(|page| *page > 0 && *GIVEN) else {
            return;
        };
        let before = block.addr().next_multiple_of(page) - block.addr();
        let length = (length - before) / page * page;
        // SAFETY: pages inside the caller's block. What they held, zeros by the caller's word for
        // memory that no file backs, is gone; they are there again when they are next touched.
        unsafe {
            let pages = block.byte_add(before);
            if libc::madvise(pages, length, libc::MADV_HUGEPAGE) == 0 {
                libc::madvise(pages, length, libc::MADV_DONTNEED);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn blocks_of_every_size_are_read_to_the_last_byte() {
        let bytes: Vec<u8> = (0..3 * LARGE + 77).map(|n| (n % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        for (first, length) in [(0, 9), (9, 3 * LARGE), (3 * LARGE + 9, 68)] {
            let mut block = vec![0_u8; length];
            let mut file = file.try_clone().unwrap();
            io::Seek::seek(&mut file, io::SeekFrom::Start(first as u64)).unwrap();
            // SAFETY: the block is as long.
            let count = serve(file, || unsafe { read(block.as_mut_ptr().cast(), 1, length) });
            assert_eq!(count.unwrap(), length);
            assert!(block == bytes[first..][..length], "{length} bytes from {first}");
        }
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_error() {
        let mut value = [0_u8; 8];
        // SAFETY: eight bytes.
        let read = || unsafe { read(value.as_mut_ptr().cast(), 8, 1) };
        let error = serve(tempfile::tempfile().unwrap(), read).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

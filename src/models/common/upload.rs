//! Bytes of a file to a tensor on a GPU: threads read them into pinned memory, from which the GPU
//! takes them while the next are read.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tch::{Device, Kind, Tensor};

use super::cuda::{self, Cuda, Event, Pinned, Stream};
use super::files::StoredTensor;

/// Bytes of a buffer: a millisecond of a GPU's bus, beside which the cost of a copy does not show.
const BUFFER: usize = 32 << 20;
/// One that is read from the file, and two on their way.
const BUFFERS: usize = 3;
/// Threads that fill a buffer: one copies several times slower than the bus.
const THREADS: usize = 4;
/// Bytes that are worth a thread.
const WORTH_A_THREAD: usize = 4 << 20;

/// Pinned buffers that nobody uses, for the next checkpoint: it takes longer to pin them than to
/// read a small one.
static IDLE: Mutex<Vec<Vec<Pinned<'static>>>> = Mutex::new(Vec::new());

/// What a checkpoint is sent to a GPU with, once it is.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<Option<Uploader>>);

impl Uploads {
    /// The tensor on GPU `device` as it is stored; `None` where there is no pinned memory.
    pub(crate) fn tensor(
        &self,
        stored: &StoredTensor<'_>,
        kind: Kind,
        shape: &[i64],
        device: usize,
    ) -> Option<Tensor> {
        let mut uploader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uploader.as_ref().is_none_or(|uploader| uploader.device != device) {
            *uploader = Uploader::new(device).ok();
        }
        let tensor = Tensor::f_empty(shape, (kind, Device::Cuda(device))).ok()?;
        uploader.as_mut()?.send(stored, &tensor).ok()?;
        Some(tensor)
    }
}

/// Buffers, used in turn, and how far.
struct Uploader {
    device: usize,
    stream: Stream<'static>,
    buffers: Vec<Pinned<'static>>,
    /// One a buffer: the GPU has taken what was in it.
    taken: Vec<Event<'static>>,
    current: usize,
    used: usize,
}

impl Uploader {
    fn new(device: usize) -> Result<Self, String> {
        let cuda: &'static Cuda = cuda::load().map_err(|error| error.to_string())?;
        cuda.set_device(device)?;
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let new = || (0..BUFFERS).map(|_| cuda.pinned(BUFFER)).collect::<Result<_, _>>();
        let buffers = idle.map_or_else(new, Ok)?;
        let taken = (0..BUFFERS).map(|_| cuda.event()).collect::<Result<_, _>>()?;
        let stream = cuda.stream(device)?;
        Ok(Self { device, stream, buffers, taken, current: 0, used: 0 })
    }

    /// Queues the copy of all bytes of `stored` to `target`, which is as large and contiguous.
    fn send(&mut self, stored: &StoredTensor<'_>, target: &Tensor) -> Result<(), String> {
        let mut sent = 0;
        while sent < stored.bytes.len() {
            if self.used == BUFFER {
                self.taken[self.current].record(&self.stream)?;
                self.current = (self.current + 1) % BUFFERS;
                self.taken[self.current].wait()?;
                self.used = 0;
            }
            let length = (stored.bytes.len() - sent).min(BUFFER - self.used);
            let part = &mut self.buffers[self.current][self.used..self.used + length];
            read(stored, sent, part).map_err(|error| error.to_string())?;
            // SAFETY: `target` has room for all bytes and is freed in the order of the stream; the
            // part is not written to again before its buffer is taken, and is there until `drop`
            // has waited.
            unsafe { self.stream.upload(part, target.data_ptr().byte_add(sent)) }?;
            self.used += length;
            sent += length;
        }
        Ok(())
    }
}

/// [`StoredTensor::read_at`] on as many threads as it is worth.
fn read(stored: &StoredTensor<'_>, at: usize, target: &mut [u8]) -> io::Result<()> {
    let size = target.len().div_ceil(THREADS).max(WORTH_A_THREAD);
    if target.len() <= size {
        return stored.read_at(at, target);
    }
    thread::scope(|scope| {
        let parts = target.chunks_mut(size).enumerate();
        let threads: Vec<_> = parts
            .map(|(i, part)| scope.spawn(move || stored.read_at(at + i * size, part)))
            .collect();
        let ended = |_| Err(io::Error::other("a thread that read has ended"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(ended))
    })
}

impl Drop for Uploader {
    fn drop(&mut self) {
        // Buffers that the GPU may still read from are given to nobody, nor freed.
        let buffers = std::mem::take(&mut self.buffers);
        match self.stream.wait() {
            Ok(()) => IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(buffers),
            Err(_) => std::mem::forget(buffers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::common::files::TensorFiles;

    #[test]
    fn threads_read_what_the_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let values = Tensor::arange(9 << 20, (Kind::Int, Device::Cpu)).remainder(251);
        let values = values.to_kind(Kind::Uint8);
        Tensor::write_safetensors(&[("first", Tensor::from(7_i64)), ("x", values)], &path).unwrap();
        let files = TensorFiles::open(&path).unwrap();
        let stored = files.get("x").unwrap();
        // One thread, all of them, the end of a tensor, and nothing.
        for (at, length) in [(3, 1 << 20), (1, (9 << 20) - 1), ((9 << 20) - 5, 5), (0, 0)] {
            let mut target = vec![255; length];
            read(&stored, at, &mut target).unwrap();
            let expected = (at..at + length).map(|at| (at % 251) as u8);
            assert!(target.into_iter().eq(expected), "{length} bytes at {at}");
        }
        assert!(read(&stored, (9 << 20) - 5, &mut [0; 6]).is_err(), "past the end of the file");
    }
}

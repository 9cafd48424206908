//! Tensors to blocks of pinned host memory, and from there back to the device one after the other, each
//! while those before it are used.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use super::cuda::{Cuda, Event, OwnStream, Pinned, Stream};
use super::failure::failure;
use crate::Result;

/// Blocks on the device at the same time: one that is used, and one on its way.
const BUFFERS: usize = 2;

/// Pinned memory between two uses: it takes seconds to pin ten gigabytes.
#[derive(Clone, Default)]
pub(crate) struct PinnedPool(Rc<Cell<Option<Pinned<'static>>>>);

impl PinnedPool {
    /// Memory for blocks of so many `bytes` together, more than 0. What is there is taken where it is
    /// large enough, and else given back to the system first.
    pub(crate) fn take(&self, cuda: &'static Cuda, bytes: usize) -> Result<Blocks> {
        let idle = self.0.take().filter(|memory| memory.len() >= bytes);
        let pinned = || {
            let failed = |text: String| {
                failure("pinned host memory", format!("{text}; tried to allocate {bytes} bytes"))
            };
            cuda.pinned(bytes).map_err(failed)
        };
        let memory = idle.map_or_else(pinned, Ok)?;
        Ok(Blocks { memory: Some(memory), used: 0, pool: self.clone() })
    }
}

impl PinnedPool {
    /// Bytes that are there for the next use.
    pub(crate) fn bytes(&self) -> usize {
        let memory = self.0.take();
        let bytes = memory.as_ref().map_or(0, |memory| memory.len());
        self.0.set(memory);
        bytes
    }
}

impl fmt::Debug for PinnedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinnedPool")
    }
}

/// Blocks in one piece of pinned memory, which goes back to its pool when this is dropped.
pub(crate) struct Blocks {
    /// Always there, until this is dropped.
    memory: Option<Pinned<'static>>,
    used: usize,
    pool: PinnedPool,
}

impl Blocks {
    /// Copies the values of `tensor` behind the blocks that are there. They have arrived when this
    /// returns.
    pub(crate) fn store(&mut self, tensor: &Tensor) -> Result<Range<usize>> {
        let (values, kind) = (tensor.numel(), tensor.kind());
        let block = self.used..self.used + values * kind.elt_size_in_bytes();
        let copied = match self.memory.as_mut().and_then(|memory| memory.get_mut(block.clone())) {
            None => Err(format!("no room for {} bytes more", block.len())),
            Some(target) => {
                let (start, size) = (target.as_mut_ptr(), [values as i64]);
                // SAFETY: `target` is as large, ours alone, and outlives the tensor.
                unsafe { Tensor::f_from_blob(start, &size, &[1], kind, Device::Cpu) }
                    .and_then(|mut target| target.f_copy_(&tensor.f_flatten(0, -1)?))
                    .map_err(|error| error.to_string())
            }
        };
        copied.map_err(|text| failure("copying to host memory", text))?;
        self.used = block.end;
        Ok(block)
    }

    fn get(&self, block: Range<usize>) -> &[u8] {
        self.memory.as_deref().and_then(|memory| memory.get(block)).unwrap_or_default()
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.pool.0.set(self.memory.take());
    }
}

/// Blocks on their way to a device, in a fixed order, over and over.
///
/// Two streams take turns at each of two buffers. The compute stream, which is libtorch's, reads a
/// buffer once the copy into it is done; the copy stream fills it again once all that read it is done.
/// Events say so, for neither stream waits for the other by itself, and the host for neither.
pub(crate) struct Prefetch {
    blocks: Blocks,
    /// In the order in which they are used.
    order: Vec<Range<usize>>,
    /// How many were used so far.
    used: Cell<usize>,
    compute: Stream<'static>,
    copies: OwnStream<'static>,
    buffers: Vec<Buffer>,
}

/// Room for a block on the device.
struct Buffer {
    bytes: Tensor,
    /// Recorded in the copy stream: a block has arrived.
    filled: Event<'static>,
    /// Recorded in the compute stream: the block was read.
    read: Event<'static>,
}

impl Prefetch {
    /// Sends the first of `blocks` on their way to `device`, in this `order`.
    pub(crate) fn new(
        cuda: &'static Cuda,
        device: Device,
        blocks: Blocks,
        order: Vec<Range<usize>>,
    ) -> Result<Self> {
        Self::begin(cuda, device, blocks, order).map_err(failed)
    }

    fn begin(
        cuda: &'static Cuda,
        device: Device,
        blocks: Blocks,
        order: Vec<Range<usize>>,
    ) -> std::result::Result<Self, String> {
        let number = if let Device::Cuda(number) = device { number } else { 0 };
        // Events and streams belong to the device that is current when they are made.
        cuda.set_device(number)?;
        let (compute, copies) = (cuda.stream(number)?, cuda.own_stream()?);
        let largest = order.iter().map(|block| block.len()).max().unwrap_or(0) as i64;
        let buffer = |_| {
            let bytes = Tensor::f_empty([largest], (Kind::Uint8, device));
            let bytes = bytes.map_err(|error| error.to_string())?;
            Ok::<_, String>(Buffer { bytes, filled: cuda.event()?, read: cuda.event()? })
        };
        let buffers = (0..BUFFERS).map(buffer).collect::<std::result::Result<Vec<_>, _>>()?;
        let prefetch = Self { blocks, order, used: Cell::new(0), compute, copies, buffers };
        // libtorch gives memory to its next owner once it has queued, not done, what the last one
        // wanted.
        for index in 0..BUFFERS {
            prefetch.refill(index)?;
        }
        Ok(prefetch)
    }

    /// Queues the copy of the block that is used as number `index`, counted from 0, behind all that
    /// the compute stream was given so far.
    fn refill(&self, index: usize) -> std::result::Result<(), String> {
        let Some(block) = self.order.get(index % self.order.len().max(1)) else { return Ok(()) };
        let buffer = &self.buffers[index % BUFFERS];
        buffer.read.record(&self.compute)?;
        self.copies.wait_for(&buffer.read)?;
        // SAFETY: every buffer is as large as the largest block. Both stay until `drop` has waited for
        // the copies, and the blocks are not written to again.
        unsafe { self.copies.upload(self.blocks.get(block.clone()), buffer.bytes.data_ptr()) }?;
        buffer.filled.record(&self.copies)
    }

    /// What `read` makes of the next block in the device's memory, as a tensor of `kind` and `shape`.
    /// It may write to it too: the next time it is as it was stored. It must not keep it.
    pub(crate) fn next<T>(
        &self,
        kind: Kind,
        shape: &[i64],
        read: impl FnOnce(&Tensor) -> T,
    ) -> Result<T> {
        let index = self.used.get();
        let buffer = &self.buffers[index % BUFFERS];
        self.compute.wait_for(&buffer.filled).map_err(failed)?;
        let bytes = shape.iter().product::<i64>() * kind.elt_size_in_bytes() as i64;
        let made = read(&buffer.bytes.narrow(0, 0, bytes).view_dtype(kind).view(shape));
        self.refill(index + BUFFERS).map_err(failed)?;
        self.used.set(index + 1);
        Ok(made)
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        // Memory that a copy may still read from or write to is given to nobody.
        if self.copies.wait().is_err() {
            std::mem::forget(self.blocks.memory.take());
            std::mem::forget(std::mem::take(&mut self.buffers));
        }
    }
}

impl fmt::Debug for Prefetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefetch({} blocks)", self.order.len())
    }
}

fn failed(text: String) -> crate::Error {
    failure("fetching from host memory", text)
}

#[cfg(test)]
mod tests;

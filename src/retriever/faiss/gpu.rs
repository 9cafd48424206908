//! A [`FaissIndex`] to a GPU and back.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use faiss_sys as sys;

use super::FaissIndex;
use super::handle::{Handle, made};
use crate::{Error, Result};

/// Memory and streams of a GPU, which one thread at a time may use.
#[derive(Debug)]
pub(super) struct Gpu {
    resources: NonNull<sys::FaissStandardGpuResources>,
    turn: Mutex<()>,
}

impl Gpu {
    fn new() -> Result<Self> {
        // SAFETY: makes an object that `drop` frees.
        let resources = made("StandardGpuResources", |place| unsafe {
            sys::faiss_StandardGpuResources_new(place)
        })?;
        Ok(Self { resources, turn: Mutex::new(()) })
    }

    /// The caller may use the GPU until it drops this.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // SAFETY: ours alone; indexes share what they still need of it.
        unsafe { sys::faiss_StandardGpuResources_free(self.resources.as_ptr()) }
    }
}

impl FaissIndex {
    /// GPUs that FAISS can use.
    pub fn gpu_count() -> usize {
        let mut count = 0;
        // SAFETY: writes a number.
        let code = unsafe { sys::faiss_get_num_gpus(&raw mut count) };
        if code == 0 { usize::try_from(count).unwrap_or(0) } else { 0 }
    }

    /// A copy of the index in the memory of GPU `device`, from 0. There, searches take turns, give at
    /// most 2,048 neighbours, and filter what FAISS found instead of while it searches.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is no such GPU: `self` searches on, on the CPU;
    /// [`Error::Backend`] when FAISS cannot bring this type of index to a GPU.
    pub fn to_gpu(&self, device: usize) -> Result<Self> {
        let count = Self::gpu_count();
        if device >= count {
            return Err(Error::Unavailable {
                what: format!("GPU {device}"),
                reason: format!("FAISS finds {count} GPUs; {self} stays on the CPU"),
            });
        }
        let gpu = Gpu::new()?;
        // SAFETY: FAISS copies the index, which is not changed meanwhile.
        let index = made("index_cpu_to_gpu", |place| unsafe {
            let resources = gpu.resources.as_ptr().cast();
            sys::faiss_index_cpu_to_gpu(resources, device as i32, self.handle.pointer(), place)
        })?;
        let mut handle = Handle::new(index.cast());
        handle.gpu = Some(gpu);
        Ok(self.copied(handle))
    }

    /// A copy of the index in the CPU's memory.
    ///
    /// # Errors
    /// [`Error::Backend`] when FAISS fails.
    pub fn to_cpu(&self) -> Result<Self> {
        let _turn = self.handle.gpu.as_ref().map(Gpu::turn);
        // SAFETY: FAISS copies the index, which is not changed meanwhile.
        let index = made("index_gpu_to_cpu", |place| unsafe {
            sys::faiss_index_gpu_to_cpu(self.handle.pointer(), place)
        })?;
        Ok(self.copied(Handle::new(index)))
    }

    fn copied(&self, handle: Handle) -> Self {
        let (ids, buried) = (self.ids.clone(), self.buried.clone());
        Self { ids, buried, ..Self::over(handle, self.factory.clone()) }
    }
}

//! A [`FaissIndex`] to one GPU or several and back, and queries to what is found there.

use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use faiss::{GpuResources as _, StandardGpuResources};
use faiss_sys as sys;

use super::handle::{Handle, Lists, Params, failed, made};
use super::nearest::settle;
use super::{BATCH, FaissIndex, over_fetch, values};
use crate::embedder::Embedding;
use crate::index::{Hits, IdSet};
use crate::{Error, Result};

unsafe extern "C" {
    fn cudaGetDeviceCount(count: *mut c_int) -> c_int;
    fn cudaGetErrorString(code: c_int) -> *const c_char;
}

/// How several GPUs share an index.
///
/// ```no_run
/// use imagerag::index::{FaissIndex, Sharding};
///
/// let index = FaissIndex::open("vectors.faiss")?;
/// let gpus: Vec<usize> = (0..FaissIndex::gpu_count()).collect();
/// let fast = match gpus.as_slice() {
///     [] => index,
///     [one] => index.to_gpu(*one)?,
///     all => index.to_gpus(all, Sharding::Replicas)?,
/// };
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sharding {
    /// Each GPU holds the whole index (FAISS' `IndexReplicas`) and answers its part of a batch: more
    /// queries a second.
    Replicas,
    /// Each GPU holds its part of the vectors (FAISS' `IndexShards`) and answers every query: more
    /// vectors than one GPU has memory for.
    Shards,
}

/// The copy that searches ask first.
#[derive(Clone, Debug)]
pub(crate) struct Gpu {
    /// FAISS uses memory and streams of a GPU from one thread at a time.
    index: Arc<Mutex<Handle>>,
    devices: Vec<usize>,
    sharding: Sharding,
    /// Those of the index on the CPU, with as many probes as searches here visit.
    lists: Option<Lists>,
}

impl Gpu {
    fn new(index: &Handle, devices: &[usize], sharding: Sharding) -> Result<Self> {
        let copy = match copy(index, devices, sharding, false) {
            // 64 tables of a product quantizer fit into a GPU's shared memory in half precision alone.
            Err(error) if error.to_string().contains("useFloat16LookupTables") => {
                copy(index, devices, sharding, true)?
            }
            other => other?,
        };
        let (index, lists) = (Arc::new(Mutex::new(copy)), index.lists());
        Ok(Self { index, devices: devices.to_vec(), sharding, lists })
    }

    pub(crate) const fn lists(&self) -> Option<Lists> {
        self.lists
    }

    /// Whether FAISS takes parameters with a search.
    fn is_told(&self) -> bool {
        self.devices.len() == 1 || self.sharding == Sharding::Shards
    }

    pub(crate) fn set_nprobe(&mut self, nprobe: usize, factory: &str) -> Result<()> {
        let wrong =
            |expected: &str, found: String| Err(Error::invalid_input("nprobe", expected, found));
        let is_told = self.is_told();
        let Some(lists) = &mut self.lists else {
            return wrong("an index with such a parameter", factory.to_owned());
        };
        let nprobe = nprobe.min(lists.count);
        if nprobe > over_fetch::MOST {
            return wrong(&format!("at most {} on a GPU", over_fetch::MOST), nprobe.to_string());
        }
        if !is_told {
            let expected = "to be set on the CPU, before replicas are made";
            return wrong(expected, format!("{nprobe} for {self}"));
        }
        lists.nprobe = nprobe;
        Ok(())
    }

    /// The best `wanted` findable vectors of each query, of `held`; and the queries that are left to
    /// the CPU, because the filter leaves too few vectors, or lists or ties leave something open.
    pub(crate) fn nearest(
        &self,
        queries: &[Embedding],
        wanted: usize,
        findable: &IdSet,
        held: usize,
    ) -> Result<(Hits, Vec<usize>)> {
        let (mut found, mut open) = (vec![Vec::new(); queries.len()], Vec::new());
        let Some(k) = over_fetch::candidates(wanted, findable.len(), held) else {
            return Ok((found, (0..queries.len()).collect()));
        };
        // FAISS' GPU code ignores selectors, without an error.
        let nprobe = self.lists.filter(|_| self.is_told()).map(|lists| lists.nprobe);
        let params = Params { among: None, nprobe };
        for (number, batch) in queries.chunks(BATCH).enumerate() {
            let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            let (scores, ids) = index.search(&values(batch.iter()), k, &params)?;
            drop(index);
            let rows = scores.chunks_exact(k).zip(ids.chunks_exact(k));
            for (query, (scores, ids)) in (number * BATCH..).zip(rows) {
                let (list, is_tied) = settle(scores, ids, wanted, findable);
                if list.len() < wanted || (is_tied && k < held) {
                    open.push(query);
                }
                found[query] = list;
            }
        }
        Ok((found, open))
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices: Vec<_> = self.devices.iter().map(usize::to_string).collect();
        match self.sharding {
            _ if devices.len() == 1 => write!(f, "on GPU {}", devices[0]),
            Sharding::Replicas => write!(f, "replicas on GPUs {}", devices.join(", ")),
            Sharding::Shards => write!(f, "shards on GPUs {}", devices.join(", ")),
        }
    }
}

/// The index on GPUs; it shares what it needs of their resources.
fn copy(
    index: &Handle,
    devices: &[usize],
    sharding: Sharding,
    half_tables: bool,
) -> Result<Handle> {
    let new = |_| StandardGpuResources::new().map_err(failed("StandardGpuResources"));
    let resources: Vec<_> = devices.iter().map(new).collect::<Result<_>>()?;
    let providers: Vec<_> = resources.iter().map(|one| one.inner_ptr()).collect();
    let devices: Vec<_> = devices.iter().map(|&device| device as c_int).collect();
    let made = made("index_cpu_to_gpu", |place| {
        let mut options = std::ptr::null_mut();
        // SAFETY: makes, uses and frees an object of FAISS, whose pointer is also one to its base
        // class; each list is as long as said; FAISS copies the index, which is not changed meanwhile.
        unsafe {
            let code = sys::faiss_GpuMultipleClonerOptions_new(&raw mut options);
            if code != 0 {
                return code;
            }
            let shard = c_int::from(sharding == Sharding::Shards);
            sys::faiss_GpuMultipleClonerOptions_set_shard(options, shard);
            sys::faiss_GpuClonerOptions_set_useFloat16(options.cast(), half_tables.into());
            let code = sys::faiss_index_cpu_to_gpu_multiple_with_options(
                providers.as_ptr(),
                providers.len(),
                devices.as_ptr(),
                devices.len(),
                index.pointer(),
                options,
                place,
            );
            sys::faiss_GpuMultipleClonerOptions_free(options);
            code
        }
    })?;
    // SAFETY: it was just made.
    Ok(unsafe { Handle::own(made) })
}

/// How many GPUs there are; where there is none, what CUDA says about it.
fn devices() -> (usize, Option<String>) {
    let mut count = 0;
    // SAFETY: writes a number; the text is CUDA's own and stays.
    unsafe {
        let code = cudaGetDeviceCount(&raw mut count);
        if code != 0 {
            let text = CStr::from_ptr(cudaGetErrorString(code)).to_string_lossy();
            return (0, Some(text.into_owned()));
        }
    }
    (usize::try_from(count).unwrap_or(0), None)
}

impl FaissIndex {
    /// The number of GPUs that FAISS can use.
    pub fn gpu_count() -> usize {
        devices().0
    }

    /// A copy of the index in the memory of GPU `device`, from 0; see [`to_gpus`](Self::to_gpus).
    ///
    /// # Errors
    /// Those of [`to_gpus`](Self::to_gpus).
    pub fn to_gpu(&self, device: usize) -> Result<Self> {
        self.to_gpus(&[device], Sharding::Replicas)
    }

    /// A copy of the index in the memory of GPUs, numbered from 0, for `Flat`, `IVF…,Flat`,
    /// `IVF…,SQ8` and `IVF…,PQ…`, also after `OPQ…` and `PCA…`.
    ///
    /// The copy also keeps the index on the CPU, which answers what GPUs cannot: more than 2,047
    /// neighbors, filters that leave too few vectors, inverted lists that hold too few, and equal
    /// scores where a list is cut. So a search gives the results of the CPU, except for the last
    /// digits of scores. With more than 48 codes per vector (`PQ64`), the fourth digit differs,
    /// because a GPU keeps the lookup tables in half precision.
    ///
    /// Searches run one after another. The copy cannot be changed. Only
    /// [`set_nprobe`](Self::set_nprobe) works, up to 2,048, and not for replicas on several GPUs.
    /// FAISS reserves up to 1.5 GB of working memory per copy on each GPU.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is no such GPU (`self` still works on the CPU);
    /// [`Error::InvalidInput`] when there are no `devices`; [`Error::Backend`] when FAISS cannot
    /// copy this type of index to a GPU, or the GPU's memory is too small.
    pub fn to_gpus(&self, devices: &[usize], sharding: Sharding) -> Result<Self> {
        if devices.is_empty() {
            return Err(Error::invalid_input("devices", "at least 1 GPU", 0));
        }
        let (count, problem) = self::devices();
        if let Some(missing) = devices.iter().find(|&&device| device >= count) {
            let problem = problem.map(|said| format!(" (CUDA says: {said})")).unwrap_or_default();
            let reason = format!("FAISS finds {count} GPUs{problem}; {self} stays on the CPU");
            return Err(Error::unavailable(format!("GPU {missing}"), reason));
        }
        let here = self.to_cpu()?;
        let gpu = Gpu::new(&here.handle, devices, sharding)?;
        Ok(Self { gpu: Some(gpu), ..here })
    }

    /// The index on the CPU.
    ///
    /// # Errors
    /// [`Error::Backend`] when `nprobe` was set on the GPU, and FAISS cannot copy this type of index
    /// to set it here.
    pub fn to_cpu(&self) -> Result<Self> {
        let mut here = Self { gpu: None, selects: Arc::new(true.into()), ..self.clone() };
        let nprobe = |lists: Lists| lists.nprobe;
        match self.lists().map(nprobe) {
            Some(there) if here.lists().map(nprobe) != Some(there) => here.set_nprobe(there)?,
            _ => {}
        }
        Ok(here)
    }
}

//! A FAISS index behind a pointer to calls that return [`Result`]: all our `unsafe` for FAISS.

use std::ffi::{CStr, CString, c_int};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;

use faiss_sys as sys;

use super::sink;
use crate::retriever::IdSet;
use crate::{Error, Result};

/// Maps what a search reads most: FAISS' `IO_FLAG_MMAP_IFC`, which its C headers lack.
const MAPPED: c_int = 1 << 9;

/// Owns an index.
#[derive(Debug)]
pub(super) struct Handle {
    index: NonNull<sys::FaissIndex>,
    #[cfg(feature = "faiss-gpu")]
    pub(super) gpu: Option<super::gpu::Gpu>,
}

// SAFETY: an index is bound to no thread.
unsafe impl Send for Handle {}
// SAFETY: `&self` only calls `const` methods, which FAISS allows on many threads at once for indexes
// on the CPU; `search` gives those on a GPU one thread at a time. The rest takes `&mut self`.
unsafe impl Sync for Handle {}

/// Inverted lists, of an index that has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists {
    pub(super) count: usize,
    /// How many of them a search visits.
    pub(super) nprobe: usize,
}

/// What may be found, and how hard to look.
pub(super) struct Params {
    pub(super) among: Option<Selector>,
    pub(super) nprobe: Option<usize>,
}

impl Handle {
    pub(super) fn new(index: NonNull<sys::FaissIndex>) -> Self {
        Self {
            index,
            #[cfg(feature = "faiss-gpu")]
            gpu: None,
        }
    }

    /// An index for inner products, made by FAISS' `index_factory`.
    pub(super) fn from_factory(dim: c_int, factory: &CStr) -> Result<Self> {
        let metric = sys::FaissMetricType_METRIC_INNER_PRODUCT;
        // SAFETY: `factory` ends with a zero; FAISS copies it.
        let made = made("index_factory", |place| unsafe {
            sys::faiss_index_factory(place, dim, factory.as_ptr(), metric)
        });
        made.map(Self::new)
    }

    pub(super) fn read(path: &Path, mapped: bool) -> Result<Self> {
        let (name, flags) = (c_path(path)?, if mapped { MAPPED } else { 0 });
        // SAFETY: `name` ends with a zero.
        let made = made("read_index", |place| unsafe {
            sys::faiss_read_index_fname(name.as_ptr(), flags, place)
        });
        made.map(Self::new)
    }

    /// Hands the bytes of the index to [`sink::write`].
    pub(super) fn write(&self) -> Result<()> {
        // SAFETY: makes, uses and frees an object of FAISS; writing is `const`.
        unsafe {
            let writer = made("CustomIOWriter", |place| {
                sys::faiss_CustomIOWriter_new(place, Some(sink::write))
            })?;
            let (index, custom) = (self.index.as_ptr(), writer.as_ptr().cast());
            let code = sys::faiss_write_index_custom(index, custom, 0);
            sys::faiss_CustomIOWriter_free(writer.as_ptr());
            check("write_index", code)
        }
    }

    pub(super) fn dim(&self) -> usize {
        // SAFETY: reads a field.
        usize::try_from(unsafe { sys::faiss_Index_d(self.index.as_ptr()) }).unwrap_or(0)
    }

    /// Vectors that FAISS holds.
    pub(super) fn count(&self) -> usize {
        // SAFETY: reads a field.
        usize::try_from(unsafe { sys::faiss_Index_ntotal(self.index.as_ptr()) }).unwrap_or(0)
    }

    /// How many results a search can give that must give `wanted`: on a GPU, FAISS' 2,048.
    pub(super) fn most_results(&self, wanted: usize) -> usize {
        /// `GPU_MAX_SELECTION_K`.
        const OF_GPU: usize = 2_048;
        let most = if self.is_on_gpu() { wanted.max(OF_GPU) } else { usize::MAX };
        self.count().min(most)
    }

    pub(super) fn is_trained(&self) -> bool {
        // SAFETY: reads a field.
        unsafe { sys::faiss_Index_is_trained(self.index.as_ptr()) != 0 }
    }

    /// Whether scores are inner products.
    pub(super) fn is_cosine(&self) -> bool {
        // SAFETY: reads a field.
        let metric = unsafe { sys::faiss_Index_metric_type(self.index.as_ptr()) };
        metric == sys::FaissMetricType_METRIC_INNER_PRODUCT
    }

    /// The inverted lists, also behind a transformation such as OPQ's.
    pub(super) fn lists(&self) -> Option<Lists> {
        let index = self.index.as_ptr();
        // SAFETY: the casts are C++'s checked ones and give null for other types; fields are read.
        unsafe {
            let mut ivf = sys::faiss_IndexIVF_cast(index);
            if ivf.is_null() {
                let transformed = sys::faiss_IndexPreTransform_cast(index);
                if !transformed.is_null() {
                    ivf = sys::faiss_IndexIVF_cast(sys::faiss_IndexPreTransform_index(transformed));
                }
            }
            (!ivf.is_null()).then(|| Lists {
                count: sys::faiss_IndexIVF_nlist(ivf),
                nprobe: sys::faiss_IndexIVF_nprobe(ivf),
            })
        }
    }

    /// The ids in FAISS' order, of an index that it can decode vector by vector: of all that have no
    /// inverted lists.
    pub(super) fn decodable(&self) -> Option<&[i64]> {
        let (mut ids, mut count) = (ptr::null_mut(), 0);
        // SAFETY: the cast is C++'s checked one; the ids are not changed while `self` is borrowed.
        unsafe {
            let map = sys::faiss_IndexIDMap_cast(self.index.as_ptr());
            if map.is_null() || self.is_on_gpu() {
                return None;
            }
            sys::faiss_IndexIDMap_id_map(map, &raw mut ids, &raw mut count);
            Some(if count == 0 { &[] } else { slice::from_raw_parts(ids, count) })
        }
    }

    /// The vector at a place of [`decodable`](Self::decodable), as far as the index has kept it.
    pub(super) fn decode(&self, place: usize, vector: &mut [f32]) -> Result<()> {
        assert_eq!(vector.len(), self.dim(), "one vector");
        // SAFETY: FAISS checks the cast and writes `dim` values.
        check("reconstruct", unsafe {
            let map = sys::faiss_IndexIDMap_cast(self.index.as_ptr());
            if map.is_null() {
                return Err(Error::backend("FAISS' reconstruct", "it has no map of ids"));
            }
            let index = sys::faiss_IndexIDMap_sub_index(map);
            sys::faiss_Index_reconstruct(index, place as i64, vector.as_mut_ptr())
        })
    }

    fn is_on_gpu(&self) -> bool {
        #[cfg(feature = "faiss-gpu")]
        return self.gpu.is_some();
        #[cfg(not(feature = "faiss-gpu"))]
        false
    }

    /// Sets one of FAISS' own parameters, such as `nprobe`.
    pub(super) fn set(&mut self, name: &CStr, value: usize) -> Result<()> {
        // SAFETY: makes, uses and frees an object of FAISS; `&mut self` is the only user.
        unsafe {
            let space = made("ParameterSpace", |place| sys::faiss_ParameterSpace_new(place))?;
            let code = sys::faiss_ParameterSpace_set_index_parameter(
                space.as_ptr(),
                self.index.as_ptr(),
                name.as_ptr(),
                value as f64,
            );
            sys::faiss_ParameterSpace_free(space.as_ptr());
            check("set_index_parameter", code)
        }
    }

    /// `vectors`: `[n, dim]`.
    pub(super) fn train(&mut self, vectors: &[f32]) -> Result<()> {
        let n = (vectors.len() / self.dim()) as i64;
        // SAFETY: FAISS reads `n * dim` values.
        check("train", unsafe { sys::faiss_Index_train(self.index.as_ptr(), n, vectors.as_ptr()) })
    }

    /// `vectors`: `[ids.len(), dim]`.
    pub(super) fn add(&mut self, ids: &[i64], vectors: &[f32]) -> Result<()> {
        assert_eq!(vectors.len(), ids.len() * self.dim(), "one vector an id");
        // SAFETY: FAISS reads as many values and ids as there are.
        check("add_with_ids", unsafe {
            let (n, index) = (ids.len() as i64, self.index.as_ptr());
            sys::faiss_Index_add_with_ids(index, n, vectors.as_ptr(), ids.as_ptr())
        })
    }

    /// Takes vectors out, which not every type of index can.
    pub(super) fn remove(&mut self, ids: &IdSet) -> Result<()> {
        let (selector, mut count) = (Selector::new(ids)?, 0);
        // SAFETY: `selector` outlives the call.
        check("remove_ids", unsafe {
            let selector = selector.selector.as_ptr();
            sys::faiss_Index_remove_ids(self.index.as_ptr(), selector, &raw mut count)
        })
    }

    /// Scores and ids of the best `k` for each of `queries`, `[n, dim]`, one query after another;
    /// id -1 where there is none.
    pub(super) fn search(
        &self,
        queries: &[f32],
        k: usize,
        params: &Params,
    ) -> Result<(Vec<f32>, Vec<i64>)> {
        let n = queries.len() / self.dim();
        let (mut scores, mut ids) = (vec![0.0; n * k], vec![-1; n * k]);
        let params = params.build()?;
        #[cfg(feature = "faiss-gpu")]
        let _turn = self.gpu.as_ref().map(super::gpu::Gpu::turn);
        // SAFETY: FAISS reads `n * dim` values and writes `n * k`; `params` outlives the call.
        check("search", unsafe {
            let params = params.as_ref().map_or(ptr::null_mut(), |params| params.0.as_ptr());
            sys::faiss_Index_search_with_params(
                self.index.as_ptr(),
                n as i64,
                queries.as_ptr(),
                k as i64,
                params,
                scores.as_mut_ptr(),
                ids.as_mut_ptr(),
            )
        })?;
        Ok((scores, ids))
    }

    #[cfg(feature = "faiss-gpu")]
    pub(super) const fn pointer(&self) -> *mut sys::FaissIndex {
        self.index.as_ptr()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: nobody else has the pointer.
        unsafe { sys::faiss_Index_free(self.index.as_ptr()) }
    }
}

/// FAISS' form of an [`IdSet`], and the bitmap that it borrows.
pub(super) struct Selector {
    selector: NonNull<sys::FaissIDSelector>,
    _bits: Vec<u8>,
}

impl Selector {
    pub(super) fn new(ids: &IdSet) -> Result<Self> {
        let Some(bits) = ids.to_bitmap() else {
            let ids: Vec<i64> = ids.iter().filter_map(|id| id.try_into().ok()).collect();
            // SAFETY: FAISS reads and copies as many ids as there are.
            let selector = made("IDSelectorBatch", |place| unsafe {
                sys::faiss_IDSelectorBatch_new(place, ids.len(), ids.as_ptr())
            })?;
            return Ok(Self { selector: selector.cast(), _bits: Vec::new() });
        };
        // SAFETY: `bits` lives, in its place, as long as the selector.
        let selector = made("IDSelectorBitmap", |place| unsafe {
            sys::faiss_IDSelectorBitmap_new(place, bits.len(), bits.as_ptr())
        })?;
        Ok(Self { selector: selector.cast(), _bits: bits })
    }
}

impl Drop for Selector {
    fn drop(&mut self) {
        // SAFETY: ours alone; the destructor is virtual.
        unsafe { sys::faiss_IDSelector_free(self.selector.as_ptr()) }
    }
}

struct Built(NonNull<sys::FaissSearchParameters>);

impl Params {
    /// FAISS' form, which refers to the selector; none where there is nothing to say.
    fn build(&self) -> Result<Option<Built>> {
        let among = self.among.as_ref().map_or(ptr::null_mut(), |among| among.selector.as_ptr());
        // SAFETY: FAISS keeps `among`, which outlives what is built.
        let built = match self.nprobe {
            Some(nprobe) => made("SearchParametersIVF", |place| unsafe {
                sys::faiss_SearchParametersIVF_new_with(place, among, nprobe, 0)
            })?
            .cast(),
            None if among.is_null() => return Ok(None),
            None => made("SearchParameters", |place| unsafe {
                sys::faiss_SearchParameters_new(place, among)
            })?,
        };
        Ok(Some(Built(built)))
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        // SAFETY: ours alone; the destructor is virtual.
        unsafe { sys::faiss_SearchParameters_free(self.0.as_ptr()) }
    }
}

/// The object that `call` puts in its place.
pub(super) fn made<T>(what: &str, call: impl FnOnce(*mut *mut T) -> c_int) -> Result<NonNull<T>> {
    let mut place = ptr::null_mut();
    check(what, call(&raw mut place))?;
    NonNull::new(place).ok_or_else(|| Error::backend(format!("FAISS' {what}"), "it made nothing"))
}

/// Turns the C++ exception behind a code other than 0 into an error.
pub(super) fn check(what: &str, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: null, or the text of this thread's last exception, which is copied at once.
    let text = unsafe {
        let text = sys::faiss_get_last_error();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    let text = text.unwrap_or_else(|| format!("code {code}"));
    // Before it stands the place in FAISS' source.
    let said = text.split_once(": Error: ").map_or(text.as_str(), |(_, said)| said);
    Err(Error::backend(format!("FAISS' {what}"), said))
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| Error::invalid_input("path", "one without a zero byte", path.display()))
}

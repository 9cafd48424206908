//! An index of the crate `faiss` to calls that return our [`Result`]: searches, selectors and writing
//! go to `faiss-sys` by its pointer.

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;

use faiss::index::autotune::ParameterSpace;
use faiss::index::io::{IoFlags, read_index_with_flags};
use faiss::index::{Index as _, IndexImpl, TryClone as _, index_factory};
use faiss::selector::IdSelector;
use faiss::{Idx, MetricType};
use faiss_sys as sys;

use super::{sink, source};
use crate::index::IdSet;
use crate::{Error, Result};

/// Maps what a search reads most: FAISS' `IO_FLAG_MMAP_IFC`, which its C headers lack.
const MAPPED: c_int = 1 << 9;

/// Owns an index. `&self` only calls FAISS' `const` methods, which it allows on many threads at once
/// for indexes on the CPU; those on a GPU are behind a lock.
#[derive(Debug)]
pub(crate) struct Handle(IndexImpl);

/// Inverted lists, of an index that has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lists {
    pub(crate) count: usize,
    /// How many of them a search visits.
    pub(crate) nprobe: usize,
}

/// What may be found, and how hard to look.
#[derive(Default)]
pub(crate) struct Params {
    pub(crate) among: Option<Selector>,
    pub(crate) nprobe: Option<usize>,
}

impl Handle {
    /// Owns what `faiss-sys` made.
    ///
    /// # Safety
    /// Nobody else uses or frees the index.
    pub(crate) unsafe fn own(index: NonNull<sys::FaissIndex>) -> Self {
        // SAFETY: as the caller says.
        Self(unsafe { faiss::index::FromInnerPtr::from_inner_ptr(index.as_ptr()) })
    }

    /// An index for inner products.
    pub(crate) fn from_factory(dim: u32, factory: &str) -> Result<Self> {
        let made = index_factory(dim, factory, MetricType::InnerProduct);
        made.map(Self).map_err(failed("index_factory"))
    }

    /// Reads a file into memory.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let io = |error| Error::io(path, error);
        let file = File::open(path).map_err(io)?;
        // SAFETY: makes, uses and frees an object of FAISS, and owns the index that it makes.
        let call = || unsafe {
            let reader = made("CustomIOReader", |place| {
                sys::faiss_CustomIOReader_new(place, Some(source::read))
            })?;
            let read = made("read_index", |place| {
                sys::faiss_read_index_custom(reader.as_ptr().cast(), 0, place)
            });
            sys::faiss_CustomIOReader_free(reader.as_ptr());
            read.map(|index| Self::own(index))
        };
        source::serve(file, call).map_err(io)?
    }

    /// Maps a file, as far as searches read it.
    pub(crate) fn map(path: &Path) -> Result<Self> {
        let wrong = || Error::invalid_input("path of a FAISS index", "UTF-8", path.display());
        let name = path.to_str().ok_or_else(wrong)?;
        read_index_with_flags(name, IoFlags::from(MAPPED)).map(Self).map_err(failed("read_index"))
    }

    /// A copy of its own, which not every type of index has.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        self.0.try_clone().map(Self).map_err(failed("clone_index"))
    }

    /// Hands the bytes of the index to [`sink::write`].
    pub(crate) fn write(&self) -> Result<()> {
        // SAFETY: makes, uses and frees an object of FAISS; writing is `const`.
        unsafe {
            let writer = made("CustomIOWriter", |place| {
                sys::faiss_CustomIOWriter_new(place, Some(sink::write))
            })?;
            let custom = writer.as_ptr().cast();
            let code = sys::faiss_write_index_custom(self.pointer(), custom, 0);
            sys::faiss_CustomIOWriter_free(writer.as_ptr());
            check("write_index", code)
        }
    }

    pub(crate) fn dim(&self) -> usize {
        self.0.d() as usize
    }

    /// Vectors that FAISS holds.
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.0.ntotal()).unwrap_or(0)
    }

    pub(crate) fn is_trained(&self) -> bool {
        self.0.is_trained()
    }

    /// Whether scores are inner products. The crate panics on a metric that it does not know, which
    /// a file may name.
    pub(crate) fn is_cosine(&self) -> bool {
        // SAFETY: reads a field.
        let metric = unsafe { sys::faiss_Index_metric_type(self.pointer()) };
        metric == sys::FaissMetricType_METRIC_INNER_PRODUCT
    }

    /// The inverted lists, also behind a transformation such as OPQ's.
    pub(crate) fn lists(&self) -> Option<Lists> {
        let index = self.pointer();
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
    pub(crate) fn decodable(&self) -> Option<&[i64]> {
        self.mapped_ids().map(|(_, ids)| ids)
    }

    /// The index inside a map of ids, which numbers vectors by their place, and the map.
    fn mapped_ids(&self) -> Option<(*mut sys::FaissIndex, &[i64])> {
        let (mut ids, mut count) = (ptr::null_mut(), 0);
        // SAFETY: the cast is C++'s checked one; the ids are not changed while `self` is borrowed.
        unsafe {
            let map = sys::faiss_IndexIDMap_cast(self.pointer());
            if map.is_null() {
                return None;
            }
            sys::faiss_IndexIDMap_id_map(map, &raw mut ids, &raw mut count);
            let ids = if count == 0 { &[] } else { slice::from_raw_parts(ids, count) };
            Some((sys::faiss_IndexIDMap_sub_index(map), ids))
        }
    }

    /// The vector at a place of [`decodable`](Self::decodable), as far as the index has kept it.
    pub(crate) fn decode(&self, place: usize, vector: &mut [f32]) -> Result<()> {
        assert_eq!(vector.len(), self.dim(), "one vector");
        let lacks = || Error::backend("FAISS' reconstruct", "it has no map of ids");
        let (index, _) = self.mapped_ids().ok_or_else(lacks)?;
        // SAFETY: FAISS writes `dim` values.
        check("reconstruct", unsafe {
            sys::faiss_Index_reconstruct(index, place as i64, vector.as_mut_ptr())
        })
    }

    /// Sets one of FAISS' own parameters, such as `nprobe`.
    pub(crate) fn set(&mut self, name: &str, value: u32) -> Result<()> {
        let failed = failed("set_index_parameter");
        let set = |space: ParameterSpace| space.set_index_parameter(&self.0, name, value);
        ParameterSpace::new().and_then(set).map_err(failed)
    }

    /// `vectors`: `[n, dim]`.
    pub(crate) fn train(&mut self, vectors: &[f32]) -> Result<()> {
        self.0.train(vectors).map_err(failed("train"))
    }

    /// `vectors`: `[ids.len(), dim]`.
    pub(crate) fn add(&mut self, ids: &[Idx], vectors: &[f32]) -> Result<()> {
        assert_eq!(vectors.len(), ids.len() * self.dim(), "one vector an id");
        self.0.add_with_ids(vectors, ids).map_err(failed("add_with_ids"))
    }

    /// Takes vectors out, which not every type of index can.
    pub(crate) fn remove(&mut self, ids: &IdSet) -> Result<()> {
        let selector = Selector::new(ids)?;
        self.0.remove_ids(&selector.selector).map(drop).map_err(failed("remove_ids"))
    }

    /// Scores and ids of the best `k` for each of `queries`, `[n, dim]`, one query after another;
    /// id -1 where there is none.
    pub(crate) fn search(
        &self,
        queries: &[f32],
        k: usize,
        params: &Params,
    ) -> Result<(Vec<f32>, Vec<i64>)> {
        let n = queries.len() / self.dim();
        let (mut scores, mut ids) = (vec![0.0; n * k], vec![-1; n * k]);
        // FAISS wakes its threads to look the ids up, which takes as long as a search in HNSW.
        let map = if params.among.is_none() { self.mapped_ids() } else { None };
        let index = map.map_or(self.pointer(), |(index, _)| index);
        let params = params.build()?;
        // SAFETY: FAISS reads `n * dim` values and writes `n * k`; `params` outlives the call.
        check("search", unsafe {
            let params = params.as_ref().map_or(ptr::null_mut(), |params| params.0.as_ptr());
            sys::faiss_Index_search_with_params(
                index,
                n as i64,
                queries.as_ptr(),
                k as i64,
                params,
                scores.as_mut_ptr(),
                ids.as_mut_ptr(),
            )
        })?;
        if let Some((_, map)) = map {
            let places = ids.iter_mut().filter(|place| **place >= 0);
            places.for_each(|place| *place = map.get(*place as usize).copied().unwrap_or(-1));
        }
        Ok((scores, ids))
    }

    /// For `const` methods that the crate lacks.
    pub(crate) fn pointer(&self) -> *mut sys::FaissIndex {
        self.0.inner_ptr()
    }
}

/// FAISS' form of an [`IdSet`], and the bitmap that it borrows.
pub(crate) struct Selector {
    selector: IdSelector,
    _bits: Vec<u8>,
}

impl Selector {
    pub(crate) fn new(ids: &IdSet) -> Result<Self> {
        let Some(bits) = ids.to_bitmap() else {
            let fitting = ids.iter().filter_map(|id| i64::try_from(id).ok());
            let ids: Vec<_> = fitting.map(Idx::from).collect();
            let selector = IdSelector::batch(&ids).map_err(failed("IDSelectorBatch"))?;
            return Ok(Self { selector, _bits: Vec::new() });
        };
        // `bits` stay in their place as long as the selector lives.
        let selector = IdSelector::bitmap(&bits).map_err(failed("IDSelectorBitmap"))?;
        Ok(Self { selector, _bits: bits })
    }
}

/// Parameters that only refer to their selector, where the crate's would leak it.
struct Built(NonNull<sys::FaissSearchParameters>);

impl Params {
    /// FAISS' form, which refers to the selector; none where there is nothing to say.
    fn build(&self) -> Result<Option<Built>> {
        let among = self.among.as_ref().map_or(ptr::null_mut(), |among| among.selector.inner_ptr());
        let built = match self.nprobe {
            Some(nprobe) => made("SearchParametersIVF", |place| {
                // SAFETY: FAISS keeps `among`, which outlives what is built.
                unsafe { sys::faiss_SearchParametersIVF_new_with(place, among, nprobe, 0) }
            })?
            .cast(),
            None if among.is_null() => return Ok(None),
            None => made("SearchParameters", |place| {
                // SAFETY: as above.
                unsafe { sys::faiss_SearchParameters_new(place, among) }
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
pub(crate) fn made<T>(what: &str, call: impl FnOnce(*mut *mut T) -> c_int) -> Result<NonNull<T>> {
    let mut place = ptr::null_mut();
    check(what, call(&raw mut place))?;
    NonNull::new(place).ok_or_else(|| Error::backend(format!("FAISS' {what}"), "it made nothing"))
}

/// Turns the C++ exception behind a code other than 0 into an error.
pub(crate) fn check(what: &str, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: null, or the text of this thread's last exception, which is copied at once.
    let text = unsafe {
        let text = sys::faiss_get_last_error();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    Err(error(what, &text.unwrap_or_else(|| format!("code {code}"))))
}

/// Turns an error of the crate `faiss` into ours.
pub(crate) fn failed(what: &'static str) -> impl Fn(faiss::error::Error) -> Error {
    move |failed| match failed {
        faiss::error::Error::Native(native) => error(what, native.msg()),
        other => error(what, &other.to_string()),
    }
}

/// FAISS' words without the place in its source that stands before them.
fn error(what: &str, text: &str) -> Error {
    let said = text.split_once(": Error: ").map_or(text, |(_, said)| said);
    Error::backend(format!("FAISS' {what}"), said)
}

//! A libtorch that computes on the CPU to one that computes on CUDA too: its CUDA half, and what that
//! needs, are loaded in the order in which they work.
//!
//! libtorch asks once whether its CUDA half is there, at the first question about CUDA, and keeps the
//! answer for the life of the process. The linker leaves that half out of programs like ours, for no
//! symbol of it is named. So [`load`] comes before every such question; `tch::Cuda` is forbidden
//! elsewhere (`clippy.toml`).

#[cfg(test)]
pub(crate) mod fake;
mod pinned;
mod runtime;
mod stream;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::Library;

pub(crate) use pinned::{Pinned, Registered};
pub(crate) use runtime::Cuda;
pub(crate) use stream::{Event, OwnStream, Stream};

/// What libtorch and cuDNN load by name while they run, without knowing where it lies: found later
/// only if it is there already. In this order, so that no other toolkit's library comes in between.
const LOADED_BY_NAME: [&str; 6] =
    ["cublasLt", "cublas", "cudnn", "nvrtc", "nvrtc-builtins", "nvJitLink"];

/// Why there is no CUDA in this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("there is no NVIDIA driver on this machine: libcuda cannot be loaded")]
    NoDriver,
    #[error("this libtorch computes on the CPU alone: it has no {}", .0.display())]
    CpuOnly(PathBuf),
    #[error("libtorch's CUDA half needs {0}, which is not there; torch's own wheels bring it")]
    MissingLibrary(String),
    #[error("libtorch's CUDA half cannot be loaded: {0}")]
    Broken(String),
    #[error(
        "libtorch was asked about CUDA before its CUDA half was loaded, and keeps the answer: \
         call nothing of tch::Cuda before the first model is loaded on a GPU"
    )]
    AskedTooEarly,
}

/// The CUDA of this process, loaded at the first call. It says nothing of how many GPUs there are.
pub(crate) fn load() -> Result<&'static Cuda, LoadError> {
    static LOADED: OnceLock<Result<Cuda, LoadError>> = OnceLock::new();
    let open = || open().map_err(|error| explain(error, has_driver()));
    LOADED.get_or_init(open).as_ref().map_err(Clone::clone)
}

/// The CUDA of this process, if [`load`] has found it.
fn open() -> Result<Cuda, LoadError> {
    let name = libloading::library_filename("torch_cuda");
    let folder = libtorch_folder();
    if let Some(folder) = &folder {
        let half = folder.join(&name);
        if !half.exists() {
            return Err(LoadError::CpuOnly(half));
        }
        load_by_name(folder);
    }
    let half = folder.map_or_else(|| name.clone().into(), |folder| folder.join(&name));
    let library = open_library(&half).map_err(|text| {
        missing(&text).map_or(LoadError::Broken(text), LoadError::MissingLibrary)
    })?;
    // The question that libtorch answers once.
    #[allow(clippy::disallowed_methods, reason = "it is loaded")]
    let is_known = tch::utils::has_cudart();
    if !is_known {
        return Err(LoadError::AskedTooEarly);
    }
    Cuda::new(library).map_err(LoadError::Broken)
}

/// A machine without a driver has no use for what else it lacks.
fn explain(error: LoadError, driver: bool) -> LoadError {
    match error {
        LoadError::MissingLibrary(_) | LoadError::Broken(_) if !driver => LoadError::NoDriver,
        error => error,
    }
}

/// Whether the driver's library is there.
fn has_driver() -> bool {
    let name = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
    open_library(name.as_ref()).map(std::mem::forget).is_ok()
}

/// Loads [`LOADED_BY_NAME`], as far as it is there: from the wheels beside torch's, then from
/// libtorch's own folder.
fn load_by_name(libtorch: &Path) {
    let folders: Vec<_> =
        nvidia_folders(libtorch).into_iter().chain([libtorch.to_owned()]).collect();
    for name in LOADED_BY_NAME {
        let found = folders.iter().find_map(|folder| library_in(folder, name));
        // What is not there may be found by name after all, or never be needed.
        if let Some(library) = found.and_then(|path| open_library(&path).ok()) {
            std::mem::forget(library);
        }
    }
}

/// `nvidia/*/lib` beside the folder `torch/lib`: one for all of CUDA, or one a library in older wheels.
fn nvidia_folders(libtorch: &Path) -> Vec<PathBuf> {
    let beside = libtorch.parent().and_then(Path::parent);
    let parts = beside.and_then(|folder| std::fs::read_dir(folder.join("nvidia")).ok());
    let mut folders: Vec<_> =
        parts.into_iter().flatten().flatten().map(|part| part.path().join("lib")).collect();
    folders.sort();
    folders
}

/// `libNAME.so` with any number behind it.
fn library_in(folder: &Path, name: &str) -> Option<PathBuf> {
    let prefix = format!("lib{name}.so");
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let rest = name.and_then(|name| name.strip_prefix(&prefix));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(is_one).max()
}

/// Loads a library; what the system said where it could not.
fn open_library(path: &Path) -> Result<Library, String> {
    // SAFETY: these are libtorch's and CUDA's libraries, whose initialisers only register what they
    // bring; none is ever unloaded.
    unsafe { Library::new(path) }.map_err(|error| {
        error.source().map_or_else(|| error.to_string(), |source| source.to_string())
    })
}

/// The library that another one needs, in the dynamic linker's words that it cannot be loaded.
fn missing(text: &str) -> Option<String> {
    let (library, _) = text.split_once(": cannot open shared object file")?;
    (!library.contains('/')).then(|| library.to_owned())
}

/// The folder of the libtorch that this process runs on, where the system tells.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find(|line| line.ends_with("libtorch_cpu.so"))?;
    Some(PathBuf::from(&path[path.find('/')?..]).parent()?.to_owned())
}

//! Turns "this machine" into a libtorch 2.11.0: found, or installed under the target folder.

use crate::libtorch::{Libtorch, USE_PYTORCH, VERSION};
use crate::python::Python;
use crate::shell::{self, Result};
use crate::{apt, root};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The wheel on PyPI that holds libtorch [`VERSION`].
const TORCH: &str = "torch==2.11.0";
/// The two libraries that its `libtorch_cpu.so` needs on Linux, in the versions that torch 2.11.0 pins.
const CUDA_RUNTIME: [&str; 2] = ["nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"];

/// Looks at `$LIBTORCH`, at what an earlier run noted, at the machine's Pythons; then installs.
///
/// # Errors
/// Says what to install or to set.
pub fn provide() -> Result<Libtorch> {
    compiler()?;
    if let Some(folder) = env::var_os("LIBTORCH") {
        return Libtorch::open(folder.as_ref())
            .map_err(|error| format!("LIBTORCH is set, but {error}"));
    }
    if env::var_os(USE_PYTORCH).is_some() {
        match used_by_torch_sys() {
            Ok(libtorch) => return Ok(libtorch.by_python()),
            Err(error) => {
                shell::say(&format!("{USE_PYTORCH} is set, but {error}: looking elsewhere"));
            }
        }
    }
    remembered().map_or_else(find_or_install, Ok)
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where we install: `$IMAGERAG_NATIVE`, else `native/` in the target folder.
pub fn folder() -> PathBuf {
    let folder =
        env::var_os("IMAGERAG_NATIVE").map_or_else(|| target().join("native"), PathBuf::from);
    std::path::absolute(&folder).unwrap_or(folder)
}

/// The torch of the Python that `torch-sys` asks.
fn used_by_torch_sys() -> Result<Libtorch> {
    let python = if env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
    let torch = Python::open(python.into()).and_then(|python| python.torch());
    Libtorch::open(&torch.ok_or_else(|| format!("{python} has no torch"))?)
}

fn find_or_install() -> Result<Libtorch> {
    let found = Python::all().iter().find_map(|python| {
        let libtorch = Libtorch::open(&python.torch()?).ok()?;
        python.loads(&libtorch.library()).then_some(libtorch)
    });
    if let Some(libtorch) = &found {
        let folder = libtorch.folder().display();
        shell::say(&format!("using the libtorch {VERSION} of Python's torch: {folder}"));
    }
    let libtorch = found.map_or_else(|| install(&folder()), Ok)?;
    remember(&libtorch);
    Ok(libtorch)
}

/// Installs into a folder of this process first, so that one that is there is always whole.
fn install(native: &Path) -> Result<Libtorch> {
    let whole = native.join(format!("libtorch-{VERSION}-{}", variant()));
    if whole.is_dir() {
        return Libtorch::open(&whole.join("torch"));
    }
    let python = Python::with_pip(native)?;
    let partial = native.join(format!("libtorch-{VERSION}.partial-{}", std::process::id()));
    let placed = install_into(&partial, &python).and_then(|()| {
        // Another run may have been faster; its folder is as good as ours.
        fs::rename(&partial, &whole)
            .or_else(|error| if whole.is_dir() { Ok(()) } else { Err(error.to_string()) })
    });
    let _ = fs::remove_dir_all(&partial);
    placed.map_err(|error| {
        format!(
            "libtorch {VERSION} could not be installed: {error}\n\
             Or set LIBTORCH to a libtorch that you have."
        )
    })?;
    Libtorch::open(&whole.join("torch"))
}

fn install_into(folder: &Path, python: &Python) -> Result<()> {
    if has_gpu() {
        shell::say(&format!(
            "installing libtorch {VERSION} with CUDA (about 3 GB); this takes several minutes"
        ));
        return python.pip_install(folder, &[TORCH]);
    }
    shell::say(&format!(
        "installing libtorch {VERSION} (about 550 MB); this takes about 2 minutes"
    ));
    let runtime = if cfg!(target_os = "linux") { &CUDA_RUNTIME[..] } else { &[] };
    python.pip_install(folder, &[&["--no-deps", TORCH], runtime].concat())?;
    if python.loads(&Libtorch::open(&folder.join("torch"))?.library()) {
        return Ok(());
    }
    shell::say("libtorch needs more here: installing all of torch's dependencies (about 3 GB)");
    python.pip_install(folder, &[TORCH])
}

fn stamp() -> PathBuf {
    folder().join(format!("libtorch-{VERSION}-{}.path", variant()))
}

fn remembered() -> Option<Libtorch> {
    let noted = fs::read_to_string(stamp()).ok()?;
    Libtorch::open(noted.trim_end_matches('\n').as_ref()).ok()
}

/// A note that cannot be written costs the next run a second, nothing more.
fn remember(libtorch: &Libtorch) {
    let _ = fs::create_dir_all(folder());
    let _ = fs::write(stamp(), format!("{}\n", libtorch.folder().display()));
}

fn variant() -> &'static str {
    if has_gpu() { "cuda" } else { "cpu" }
}

fn has_gpu() -> bool {
    cfg!(target_os = "linux") && Path::new("/proc/driver/nvidia/version").exists()
}

/// `torch-sys` and FAISS are compiled from C++.
pub fn compiler() -> Result<()> {
    let usual = || ["c++", "g++", "clang++"].iter().any(|name| shell::is_program(name));
    if env::var_os("CXX").is_some() || usual() {
        Ok(())
    } else {
        apt::install("A C++ compiler", &["g++"])
    }
}

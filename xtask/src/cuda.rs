//! Turns `$CUDA_PATH`, or the parts of a compiler that PyPI has, into the CUDA toolkit with which FAISS
//! is built for the GPU.

use crate::python::Python;
use crate::shell::{self, Result};
use crate::{loader, native};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The feature that needs it.
pub const FEATURE: &str = "faiss-gpu";

/// Turing, Ampere, Hopper; what is newer runs what Hopper does.
const ARCHITECTURES: &str = "75;80;90";

/// The folder of the parts, under [`native::folder`].
const INSTALLED: &str = "cuda-13.0";
/// The compiler, the two libraries with which programs are linked, and the two of which FAISS takes
/// headers alone, in the versions that torch 2.11.0 pins: its own are loaded where both are.
const PARTS: [&str; 8] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-cccl==13.0.85",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cublas==13.1.0.3",
    "nvidia-curand==10.4.0.35",
    "nvidia-cuda-profiler-api==13.0.85",
];
/// Libraries that a linker looks for by a name without a version, which wheels lack.
const LINKED: [&str; 3] = ["libcudart.so", "libcublas.so", "libcublasLt.so"];

/// A folder with nvcc.
#[derive(Debug)]
pub struct Toolkit {
    folder: PathBuf,
}

/// The toolkit at `$CUDA_PATH`, else the one that an earlier run installed, else installs it.
///
/// # Errors
/// Says what is missing or what to set.
pub fn provide() -> Result<Toolkit> {
    if let Some(folder) = env::var_os("CUDA_PATH") {
        return Toolkit::at(folder.into());
    }
    if !cfg!(target_os = "linux") {
        return Err(format!("{FEATURE} needs Linux: FAISS has no GPU code for other systems"));
    }
    let whole = native::folder().join(INSTALLED);
    if !whole.is_dir() {
        install(&whole).map_err(|error| {
            format!(
                "CUDA's compiler could not be installed: {error}\n\
                 Or set CUDA_PATH to the folder of a CUDA toolkit that you have."
            )
        })?;
    }
    Toolkit::at(root_of(&whole))
}

/// Installs into a folder of this process first, so that one that is there is always whole.
fn install(whole: &Path) -> Result<()> {
    let python = Python::with_pip(&native::folder())?;
    let partial = whole.with_extension(format!("partial-{}", std::process::id()));
    shell::say(
        "installing CUDA's compiler and libraries from PyPI (about 610 MB); this takes a minute",
    );
    let placed =
        python.pip_install(&partial, &[&["--no-deps"], &PARTS[..]].concat()).and_then(|()| {
            complete(&root_of(&partial)).map_err(|error| error.to_string())?;
            // Another run may have been faster; its folder is as good as ours.
            fs::rename(&partial, whole)
                .or_else(|error| if whole.is_dir() { Ok(()) } else { Err(error.to_string()) })
        });
    let _ = fs::remove_dir_all(&partial);
    placed
}

/// Where wheels for CUDA 13 put what a toolkit has in its folder.
fn root_of(installed: &Path) -> PathBuf {
    installed.join("nvidia/cu13")
}

/// Adds the names that a toolkit has and wheels lack, as links.
fn complete(root: &Path) -> std::io::Result<()> {
    let lib = root.join("lib");
    link("lib", &root.join("lib64"))?;
    for name in LINKED {
        let versions =
            fs::read_dir(&lib)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let of_name =
            |file: &String| file.strip_prefix(name).is_some_and(|version| version.starts_with('.'));
        if let Some(file) = versions.filter(of_name).min() {
            link(&file, &lib.join(name))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(to: &str, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

impl Toolkit {
    fn at(folder: PathBuf) -> Result<Self> {
        if folder.join("bin/nvcc").exists() {
            return Ok(Self { folder });
        }
        let folder = folder.display();
        Err(format!(
            "{FEATURE} needs a CUDA toolkit, and {folder} holds no bin/nvcc: \
             let CUDA_PATH be one, or unset it to use PyPI's"
        ))
    }

    /// Tells cmake and `faiss-sys` where the toolkit is and, unless `$CUDAARCHS` does, for which GPUs
    /// to build: what cmake takes by itself may be older than what nvcc knows. Programs that `command`
    /// runs find the toolkit's libraries.
    pub fn apply(&self, command: &mut Command) {
        command
            .env("CUDA_PATH", &self.folder)
            .env("CUDACXX", self.folder.join("bin/nvcc"))
            .env("CUDAToolkit_ROOT", &self.folder);
        if env::var_os("CUDAARCHS").is_none() {
            command.env("CUDAARCHS", ARCHITECTURES);
        }
        loader::look_first_in(&self.folder.join("lib64"), command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own that is gone when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[&str]) -> Self {
            let folder =
                env::temp_dir().join(format!("imagerag-cuda-{}-{name}", std::process::id()));
            for file in files {
                fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
                fs::write(folder.join(file), "").unwrap();
            }
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_folder_without_a_compiler_is_named() {
        let error = Toolkit::at("/nowhere".into()).unwrap_err();
        assert!(error.contains("/nowhere holds no bin/nvcc: let CUDA_PATH"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn unpacked_wheels_become_a_toolkit() {
        let wheels =
            ["bin/nvcc", "lib/libcudart.so.13", "lib/libcublas.so.13", "lib/libcublasLt.so.13"];
        let unpacked = Folder::new("wheels", &wheels);
        complete(&unpacked.0).unwrap();
        assert_eq!(Toolkit::at(unpacked.0.clone()).unwrap().folder, unpacked.0);
        let linked = fs::read_link(unpacked.0.join("lib64/libcublas.so")).unwrap();
        assert_eq!(linked, Path::new("libcublas.so.13"));
        assert!(LINKED.iter().all(|name| unpacked.0.join("lib64").join(name).exists()));
    }

    #[test]
    fn cmake_is_told_of_the_compiler_and_programs_of_the_libraries() {
        let mut command = Command::new("cmake");
        Toolkit { folder: "/cuda".into() }.apply(&mut command);
        let told: Vec<_> =
            command.get_envs().filter_map(|(name, value)| name.to_str().zip(value)).collect();
        assert!(told.contains(&("CUDACXX", "/cuda/bin/nvcc".as_ref())), "{told:?}");
        assert!(told.contains(&("CUDAToolkit_ROOT", "/cuda".as_ref())), "{told:?}");
        assert!(told.contains(&("CUDA_PATH", "/cuda".as_ref())), "{told:?}");
        let libraries = told.iter().find(|(name, _)| *name == loader::LIBRARY_PATH).unwrap().1;
        assert!(libraries.to_str().unwrap().starts_with("/cuda/lib64"), "{told:?}");
    }
}

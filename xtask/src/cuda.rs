//! Turns `$CUDA_PATH` into the CUDA toolkit with which FAISS is built for the GPU.

use crate::shell::Result;
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The feature that needs it.
pub const FEATURE: &str = "faiss-gpu";

/// Turing, Ampere, Hopper; what is newer runs what Hopper does.
const ARCHITECTURES: &str = "75;80;90";

/// A folder with nvcc.
#[derive(Debug)]
pub struct Toolkit {
    folder: PathBuf,
}

impl Toolkit {
    /// The toolkit at `$CUDA_PATH`.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn open() -> Result<Self> {
        let folder = env::var_os("CUDA_PATH").ok_or_else(|| {
            format!("{FEATURE} needs CUDA_PATH to be the folder of a CUDA toolkit")
        })?;
        Self::at(folder.into())
    }

    fn at(folder: PathBuf) -> Result<Self> {
        if folder.join("bin/nvcc").exists() {
            return Ok(Self { folder });
        }
        let folder = folder.display();
        Err(format!(
            "{FEATURE} needs a CUDA toolkit: CUDA_PATH is {folder}, which holds no bin/nvcc"
        ))
    }

    /// Tells cmake where the toolkit is and, unless `$CUDAARCHS` does, for which GPUs to build: what
    /// cmake takes by itself may be older than what nvcc knows.
    pub fn apply(&self, command: &mut Command) {
        command.env("CUDACXX", self.folder.join("bin/nvcc")).env("CUDAToolkit_ROOT", &self.folder);
        if env::var_os("CUDAARCHS").is_none() {
            command.env("CUDAARCHS", ARCHITECTURES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_compiler_is_named() {
        let error = Toolkit::at("/nowhere".into()).unwrap_err();
        assert!(error.contains("CUDA_PATH is /nowhere, which holds no bin/nvcc"), "{error}");
    }

    #[test]
    fn cmake_is_told_of_the_compiler() {
        let mut command = Command::new("cmake");
        Toolkit { folder: "/cuda".into() }.apply(&mut command);
        let told: Vec<_> =
            command.get_envs().filter_map(|(name, value)| name.to_str().zip(value)).collect();
        assert!(told.contains(&("CUDACXX", "/cuda/bin/nvcc".as_ref())), "{told:?}");
        assert!(told.contains(&("CUDAToolkit_ROOT", "/cuda".as_ref())), "{told:?}");
    }
}

//! Turns `$CUDA_PATH` into the CUDA toolkit with which FAISS is built for the GPU.

use crate::shell::Result;
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The feature that needs it.
pub const FEATURE: &str = "faiss-gpu";

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

    /// Tells cmake where the toolkit is.
    pub fn apply(&self, command: &mut Command) {
        command.env("CUDACXX", self.folder.join("bin/nvcc")).env("CUDAToolkit_ROOT", &self.folder);
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
}

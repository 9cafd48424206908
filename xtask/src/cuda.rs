//! Turns `$CUDA_PATH` into the CUDA toolkit that builds FAISS for the GPU, or into the reason why there is none.

use crate::shell::Result;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The feature that needs it.
pub const FEATURE: &str = "faiss-gpu";

/// The toolkit at `$CUDA_PATH`.
///
/// # Errors
/// Says what is missing.
pub fn toolkit() -> Result<PathBuf> {
    let folder = env::var_os("CUDA_PATH").ok_or("no CUDA toolkit: CUDA_PATH is not set")?;
    check(Path::new(&folder)).map(Path::to_owned)
}

/// Tells cmake where the toolkit is, if there is one.
pub fn apply(command: &mut Command) {
    if let Ok(folder) = toolkit() {
        command.env("CUDACXX", folder.join("bin/nvcc")).env("CUDAToolkit_ROOT", folder);
    }
}

fn check(folder: &Path) -> Result<&Path> {
    if folder.join("bin/nvcc").exists() {
        return Ok(folder);
    }
    Err(format!("no CUDA toolkit: CUDA_PATH is {}, which holds no bin/nvcc", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_compiler_is_named() {
        let error = check(Path::new("/nowhere")).unwrap_err();
        assert!(error.contains("CUDA_PATH is /nowhere, which holds no bin/nvcc"), "{error}");
    }
}

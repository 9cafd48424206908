//! Turns a folder with libtorch 2.11.0 into the environment in which programs build and run with it.

use crate::loader::{self, LIBRARY_PATH};
use crate::shell::{self, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The one libtorch that the pinned `tch` 0.24 works with.
pub const VERSION: &str = "2.11.0";
/// How `torch-sys` is told to ask `python3` for its torch.
pub const USE_PYTORCH: &str = "LIBTORCH_USE_PYTORCH";

/// A folder with `include/` and `lib/` of libtorch [`VERSION`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    folder: PathBuf,
    /// The caller builds through [`USE_PYTORCH`]; changing that would rebuild `torch-sys`.
    by_python: bool,
}

impl Libtorch {
    /// The libtorch in `folder`, if it is the right one and whole.
    ///
    /// # Errors
    /// Says what `folder` holds instead.
    pub fn open(folder: &Path) -> Result<Self> {
        let version =
            version(folder).ok_or_else(|| format!("{} holds no libtorch", folder.display()))?;
        if version != VERSION {
            return Err(format!(
                "{} holds libtorch {version}, and {VERSION} is needed",
                folder.display()
            ));
        }
        if !folder.join("include/torch").is_dir() || !library(folder).exists() {
            return Err(format!("{} lacks libtorch's headers or libraries", folder.display()));
        }
        Ok(Self { folder: folder.to_owned(), by_python: false })
    }

    /// The same, left to `torch-sys` to find through [`USE_PYTORCH`].
    pub fn by_python(self) -> Self {
        Self { by_python: true, ..self }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The library for the CPU, which all others need.
    pub fn library(&self) -> PathBuf {
        library(&self.folder)
    }

    /// Sets what building and running `command` needs.
    pub fn apply(&self, command: &mut Command) {
        if !self.by_python {
            command.env("LIBTORCH", &self.folder).env_remove(USE_PYTORCH);
        }
        loader::look_first_in(&self.folder.join("lib"), command);
    }

    /// The same as shell lines for `eval`.
    pub fn exports(&self) -> String {
        let mut lines = String::new();
        if !self.by_python {
            lines +=
                &format!("unset {USE_PYTORCH}\nexport LIBTORCH={}\n", shell::quote(&self.folder));
        }
        let lib = shell::quote(&self.folder.join("lib"));
        // The shell's own value, not the one that cargo gave to this process.
        lines + &format!("export {LIBRARY_PATH}={lib}\"${{{LIBRARY_PATH}:+:${LIBRARY_PATH}}}\"\n")
    }
}

/// The version of the libtorch in `folder`: `build-version` of a zip, `version.py` of a wheel.
fn version(folder: &Path) -> Option<String> {
    let read = |name| fs::read_to_string(folder.join(name)).ok();
    let text = read("build-version").or_else(|| wheel_version(&read("version.py")?))?;
    text.trim().split('+').next().map(str::to_owned)
}

/// `2.11.0+cu130` in `__version__ = '2.11.0+cu130'`.
fn wheel_version(file: &str) -> Option<String> {
    let line = file.lines().find_map(|line| line.strip_prefix("__version__ ="))?;
    Some(line.trim().trim_matches(['\'', '"']).to_owned())
}

fn library(folder: &Path) -> PathBuf {
    folder.join("lib").join(if cfg!(target_os = "macos") {
        "libtorch_cpu.dylib"
    } else {
        "libtorch_cpu.so"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like libtorch, as a wheel or as a zip; gone when dropped.
    struct Pretended(PathBuf);

    impl Pretended {
        fn new(name: &str, file: &str, text: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("imagerag-xtask-{}-{name}", std::process::id()));
            fs::create_dir_all(folder.join("include/torch")).unwrap();
            fs::create_dir_all(folder.join("lib")).unwrap();
            fs::write(library(&folder), "").unwrap();
            fs::write(folder.join(file), text).unwrap();
            Self(folder)
        }
    }

    impl Drop for Pretended {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn versions_of_wheels() {
        let text = "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\n";
        assert_eq!(wheel_version(text).as_deref(), Some("2.11.0+cu130"));
        assert_eq!(wheel_version("debug = False"), None);
    }

    #[test]
    fn the_right_libtorch_is_taken_in_both_layouts() {
        let wheel = Pretended::new("wheel", "version.py", "__version__ = '2.11.0+cu130'\n");
        assert_eq!(Libtorch::open(&wheel.0).unwrap().folder(), wheel.0);
        let zip = Pretended::new("zip", "build-version", "2.11.0+cpu\n");
        assert_eq!(Libtorch::open(&zip.0).unwrap().folder(), zip.0);
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let old = Pretended::new("old", "build-version", "2.5.1\n");
        let error = Libtorch::open(&old.0).unwrap_err();
        assert!(error.contains("holds libtorch 2.5.1, and 2.11.0 is needed"), "{error}");
        let error = Libtorch::open(Path::new("/nowhere")).unwrap_err();
        assert_eq!(error, "/nowhere holds no libtorch");
    }

    #[test]
    fn a_half_removed_libtorch_is_refused() {
        let half = Pretended::new("half", "build-version", "2.11.0");
        fs::remove_file(library(&half.0)).unwrap();
        assert!(
            Libtorch::open(&half.0).unwrap_err().contains("lacks libtorch's headers or libraries")
        );
    }

    #[test]
    fn exports_name_the_folder_and_its_libraries() {
        let found = Libtorch { folder: "/opt/lib torch".into(), by_python: false };
        let expected = format!(
            "unset LIBTORCH_USE_PYTORCH\nexport LIBTORCH='/opt/lib torch'\n\
             export {LIBRARY_PATH}='/opt/lib torch/lib'\"${{{LIBRARY_PATH}:+:${LIBRARY_PATH}}}\"\n"
        );
        assert_eq!(found.exports(), expected);
        assert!(!found.by_python().exports().contains("LIBTORCH="));
    }
}

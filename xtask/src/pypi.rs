//! Turns packages of PyPI into a program that runs with them.

use crate::python::Python;
use crate::shell::{self, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program in Python that is installed once, and then found.
pub struct Program {
    /// Its file's name.
    pub name: &'static str,
    /// What it needs, with versions.
    pub packages: &'static [&'static str],
    /// How much that is, in words.
    pub size: &'static str,
    /// The program, without its first line. Run without arguments it imports all that it needs, and ends.
    pub script: &'static str,
    /// What to do where it cannot be installed.
    pub or_yours: &'static str,
}

impl Program {
    /// The program, installed into `native` where it is not there.
    pub fn install(&self, native: &Path) -> Result<PathBuf> {
        let Self { name, packages, size, or_yours, .. } = self;
        let whole = native.join(packages.join("-").replace("==", "-"));
        let program = whole.join(name);
        if shell::output(&mut Command::new(&program)).is_some() {
            return Ok(program);
        }
        let _ = fs::remove_dir_all(&whole);
        let python = Python::with_pip(native)?;
        if !python.has_wheels() {
            return Err(format!("{name} needs Python 3.10 to 3.14. {or_yours}"));
        }
        shell::say(&format!("installing {name} for Python ({size}); this takes a minute"));
        let partial = native.join(format!("{name}.partial-{}", std::process::id()));
        let placed = python
            .pip_install(&partial, packages)
            .and_then(|()| self.write(&partial, &python))
            .and_then(|()| {
                // Another run may have been faster; its folder is as good as ours.
                fs::rename(&partial, &whole)
                    .or_else(|error| if whole.is_dir() { Ok(()) } else { Err(error.to_string()) })
            });
        let _ = fs::remove_dir_all(&partial);
        placed.map_err(|error| format!("{name} could not be installed: {error}\n{or_yours}"))?;
        Ok(program)
    }

    /// Writes the program into `folder`, for this Python.
    pub fn write(&self, folder: &Path, python: &Python) -> Result<()> {
        let path = folder.join(self.name);
        let text = format!("#!{}\n{}", python.executable()?, self.script);
        fs::write(&path, text)
            .and_then(|()| make_executable(&path))
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Err(std::io::Error::other("programs of PyPI are run on Linux and macOS alone"))
}

//! Turns the tree's text into a list of misspelt words, which must be empty.

use crate::python::Python;
use crate::shell::{self, Result};
use crate::{native, root};
use std::fs;
use std::process::Command;

/// PyPI has the program built; from crates.io it takes minutes to compile.
const PACKAGE: &str = "typos==1.52.0";

/// Reads everything that git does not ignore.
///
/// # Errors
/// When words are misspelt, which are on the terminal, and when the program cannot be installed.
pub fn check() -> Result<()> {
    let native = native::folder();
    let folder = native.join(PACKAGE.replace("==", "-"));
    if !folder.is_dir() {
        let partial = native.join(format!("typos.partial-{}", std::process::id()));
        Python::with_pip(&native)?.pip_install(&partial, &["--no-deps", PACKAGE])?;
        fs::rename(&partial, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut typos = Command::new(folder.join("bin/typos"));
    shell::run(
        typos.args(["--config", ".cargo/typos.toml", "--format", "brief"]).current_dir(root()),
    )
}

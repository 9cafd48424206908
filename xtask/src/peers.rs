//! Turns a Python with diffusers and transformers, found or installed, into runs of our scripts.

use crate::native;
use crate::python::Python;
use crate::root;
use crate::shell::{self, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What the scripts import.
const MODULES: [&str; 6] = ["torch", "diffusers", "transformers", "safetensors", "numpy", "PIL"];

pub fn run(arguments: &[String]) -> Result<()> {
    let mut script = python()?;
    script.arg(root().join("benches/peers/compare.py")).args(arguments);
    native::provide()?.apply(&mut script);
    shell::run(script.current_dir(root()))
}

pub fn fixtures(names: &[String]) -> Result<()> {
    let folder = root().join("tests/fixtures");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.sort();
    let named: Vec<_> = all
        .iter()
        .filter(|path| name_of(path).is_some_and(|name| is_asked(names, &name)))
        .collect();
    if named.is_empty() {
        return Err(format!("no make_*.py in {} has that name", folder.display()));
    }
    named.into_iter().try_for_each(|path| shell::run(python()?.arg(path).current_dir(&folder)))
}

/// `unet` of `make_unet.py`.
fn name_of(path: &std::path::Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.strip_prefix("make_")?.strip_suffix(".py")?.to_owned())
}

fn is_asked(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|asked| asked == name)
}

/// A Python that has everything, else one that finds it in a folder we install into.
fn python() -> Result<Command> {
    if let Some(python) = Python::all().into_iter().find(|python| python.finds(&MODULES)) {
        return Ok(python.command());
    }
    let native = native::folder();
    let packages = native.join("peers");
    let python = Python::with_pip(&native)?;
    if !packages.is_dir() {
        shell::say(
            "installing diffusers, transformers and torch for Python (several GB); this takes some minutes",
        );
        let partial = native.join(format!("peers.partial-{}", std::process::id()));
        let requirements = root().join("benches/peers/requirements.txt").display().to_string();
        python.pip_install(&partial, &["--requirement", &requirements])?;
        fs::rename(&partial, &packages)
            .map_err(|error| format!("{}: {error}", packages.display()))?;
    }
    let mut command = python.command();
    command.env("PYTHONPATH", packages);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_asked_for_by_their_short_name() {
        assert_eq!(name_of("tests/fixtures/make_unet.py".as_ref()).as_deref(), Some("unet"));
        assert_eq!(name_of("tests/fixtures/unet.json".as_ref()), None);
        assert!(is_asked(&[], "unet"));
        assert!(is_asked(&["unet".into()], "unet"));
        assert!(!is_asked(&["vae".into()], "unet"));
    }
}

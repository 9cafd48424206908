//! Turns a Python with diffusers and transformers, found or installed, into runs of our scripts.

use crate::python::Python;
use crate::shell::{self, Result};
use crate::{cuda, faiss, native, root};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What scripts import, and the file in `benches/peers` that lists the packages for it.
struct Packages {
    modules: &'static [&'static str],
    requirements: &'static str,
    /// Where we install them, under [`native::folder`].
    folder: &'static str,
}

const DRAWING: Packages = Packages {
    modules: &["torch", "diffusers", "transformers", "safetensors", "numpy", "PIL"],
    requirements: "requirements.txt",
    folder: "peers",
};
/// FLUX's tokenizer and OminiControl's program take more, also for their fixtures; beta sigmas take scipy, and
/// PixArt-Σ's captions the last two.
const FLUX: Packages = Packages {
    modules: &[
        "torch",
        "diffusers",
        "transformers",
        "safetensors",
        "numpy",
        "PIL",
        "peft",
        "sentencepiece",
        "google.protobuf",
        "scipy",
        "bs4",
        "ftfy",
    ],
    ..DRAWING
};
const RETRIEVAL: Packages = Packages {
    modules: &["torch", "faiss", "numpy"],
    requirements: "requirements-retrieval.txt",
    folder: "peers-retrieval",
};

pub fn run(arguments: &[String]) -> Result<()> {
    let (packages, script, rest) = match arguments {
        [first, rest @ ..] if first == "retrieval" => (&RETRIEVAL, "retrieval.py", rest),
        [first, rest @ ..] if first == "embed" => (&DRAWING, "embed.py", rest),
        [first, ..] if first == "flux" => (&FLUX, "compare.py", arguments),
        all => (&DRAWING, "compare.py", all),
    };
    let mut python = python(packages)?;
    python.arg(root().join("benches/peers").join(script)).args(rest);
    if packages.folder == RETRIEVAL.folder {
        faiss::provide()?;
        faiss::apply(&mut python)?;
        if names_gpu(rest) {
            cuda::provide()?.apply(&mut python);
        }
    }
    native::provide()?.apply(&mut python);
    shell::run(python.current_dir(root()))
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
    named.into_iter().try_for_each(|path| shell::run(python(&FLUX)?.arg(path).current_dir(&folder)))
}

/// `unet` of `make_unet.py`.
fn name_of(path: &std::path::Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.strip_prefix("make_")?.strip_suffix(".py")?.to_owned())
}

fn is_asked(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|asked| asked == name)
}

/// The path of a Python that runs all peers that draw, and where it finds their packages if not by itself. Nothing is
/// installed.
pub fn found() -> Option<(String, Option<PathBuf>)> {
    if let Some(python) = Python::all().into_iter().find(|python| python.finds(FLUX.modules)) {
        return Some((python.executable().ok()?, None));
    }
    let folder = Some(native::folder().join(FLUX.folder)).filter(|folder| folder.is_dir())?;
    let python = Python::with_pip(&native::folder()).ok()?;
    Some((python.executable().ok()?, Some(folder)))
}

/// Whether `--device cuda:0` or the like stands among a script's arguments.
fn names_gpu(arguments: &[String]) -> bool {
    let mut follows = false;
    arguments.iter().any(|word| {
        let value = word.strip_prefix("--device=").or(follows.then_some(word.as_str()));
        follows = word == "--device";
        value.is_some_and(|value| value.starts_with("cuda"))
    })
}

/// A Python that has everything, else one that finds it in a folder we install into.
fn python(packages: &Packages) -> Result<Command> {
    if let Some(python) = Python::all().into_iter().find(|python| python.finds(packages.modules)) {
        return Ok(python.command());
    }
    let native = native::folder();
    let folder = native.join(packages.folder);
    let python = Python::with_pip(&native)?;
    if !folder.is_dir() {
        shell::say(&format!(
            "installing {} for Python (several GB); this takes some minutes",
            packages.modules.join(", ")
        ));
        let partial = native.join(format!("{}.partial-{}", packages.folder, std::process::id()));
        let requirements = root().join("benches/peers").join(packages.requirements);
        python.pip_install(&partial, &["--requirement", &requirements.display().to_string()])?;
        fs::rename(&partial, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut command = python.command();
    command.env("PYTHONPATH", folder);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_named_in_both_spellings() {
        let names_gpu =
            |text: &str| names_gpu(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(names_gpu("--quick --device cuda:0") && names_gpu("--device=cuda:1 --quick"));
        assert!(!names_gpu("--device cpu --json cuda.json") && !names_gpu("--quick"));
    }

    #[test]
    fn scripts_are_asked_for_by_their_short_name() {
        assert_eq!(name_of("tests/fixtures/make_unet.py".as_ref()).as_deref(), Some("unet"));
        assert_eq!(name_of("tests/fixtures/unet.json".as_ref()), None);
        assert!(is_asked(&[], "unet"));
        assert!(is_asked(&["unet".into()], "unet"));
        assert!(!is_asked(&["vae".into()], "unet"));
    }
}

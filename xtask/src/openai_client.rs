//! Turns PyPI's `openai`, the official client of OpenAI's API, into a Python that the tests of `serve` run.

use crate::native;
use crate::pypi::Program;
use crate::shell::{self, Result};
use std::env;
use std::process::Command;

/// Where tests find a Python with the package; one that is set is used instead of ours.
const PYTHON: &str = "IMAGERAG_OPENAI_PYTHON";

/// Runs a script as Python does, with the package.
const CLIENT: Program = Program {
    name: "openai-python",
    packages: &["openai==3.57.0"],
    size: "about 5 MB to load, 27 MB on disk",
    script: "\
import os, runpy, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import openai
del sys.argv[0]
if sys.argv:
    runpy.run_path(sys.argv[0], run_name='__main__')
",
    or_yours: "Or set IMAGERAG_OPENAI_PYTHON to a Python that has the package openai.",
};

/// Has `tests` find the client.
pub fn apply(tests: &mut Command) -> Result<()> {
    if let Some(python) = env::var_os(PYTHON).filter(|python| !python.is_empty()) {
        shell::say(&format!("{PYTHON} is set: the tests use {}", python.display()));
        return Ok(());
    }
    tests.env(PYTHON, CLIENT.install(&native::folder())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::Python;
    use std::fs;

    #[test]
    fn a_script_runs_with_its_arguments_and_the_package() {
        let Some(python) = Python::all().into_iter().next() else {
            eprintln!("skipped: set PYTHON to a Python 3");
            return;
        };
        let folder = env::temp_dir().join(format!("imagerag-xtask-{}-openai", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("openai.py"), "").unwrap();
        let script = folder.join("script.py");
        fs::write(&script, "import openai, sys; print(sys.argv[1:], __name__)").unwrap();
        CLIENT.write(&folder, &python).unwrap();
        let said = |arguments: &[&str]| {
            let mut command = python.command();
            shell::output(command.arg(folder.join(CLIENT.name)).args(arguments)).unwrap()
        };
        assert_eq!(said(&[script.to_str().unwrap(), "a", "b"]), "['a', 'b'] __main__");
        assert_eq!(said(&[]), "");
        fs::remove_dir_all(folder).unwrap();
    }
}

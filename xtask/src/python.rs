//! Turns whatever Python the machine has into one with pip, and finds the libtorch inside Python's `torch`.

use crate::apt;
use crate::shell::{self, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pythons for which PyPI has wheels of all that we need: 3.10 to 3.14.
const WHEELS: std::ops::RangeInclusive<u32> = 10..=14;

/// A Python interpreter that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    program: PathBuf,
    minor: u32,
}

impl Python {
    /// `$PYTHON`, `python3` and `python`, those that start and are Python 3.
    pub fn all() -> Vec<Self> {
        let named = std::env::var_os("PYTHON").map(PathBuf::from);
        let usual = ["python3", "python"].map(PathBuf::from);
        named.into_iter().chain(usual).filter_map(Self::open).collect()
    }

    /// The interpreter at `program`, if it starts and is Python 3.
    pub fn open(program: PathBuf) -> Option<Self> {
        let version = shell::output(Command::new(&program).arg("--version"))?;
        Some(Self { minor: minor(&version)?, program })
    }

    /// `python ARGS…`
    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// The interpreter's own path, for the first line of a script.
    pub fn executable(&self) -> Result<String> {
        shell::output(self.command().args(["-c", "import sys; print(sys.executable)"]))
            .ok_or_else(|| format!("{} does not say where it is", self.program.display()))
    }

    /// The folder of its `torch` package, of any version; found without importing it.
    pub fn torch(&self) -> Option<PathBuf> {
        let script = "import importlib.util as u, os; s = u.find_spec('torch'); \
                      print(os.path.dirname(s.origin) if s and s.origin else '')";
        let folder = shell::output(self.command().args(["-c", script]))?;
        (!folder.is_empty()).then(|| PathBuf::from(folder))
    }

    /// Whether all `modules` can be found, without importing them.
    pub fn finds(&self, modules: &[&str]) -> bool {
        let script = "import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in sys.argv[1:]))";
        shell::output(self.command().args(["-c", script]).args(modules)).is_some()
    }

    /// Whether the shared `library` loads with all that it needs.
    pub fn loads(&self, library: &Path) -> bool {
        let script = "import ctypes, sys; ctypes.CDLL(sys.argv[1])";
        shell::output(self.command().args(["-S", "-c", script]).arg(library)).is_some()
    }

    /// A Python with pip: the machine's own, else one in a virtual environment under `native`.
    ///
    /// The machine's packages are never touched: pip is only ever used with `--target`.
    pub fn with_pip(native: &Path) -> Result<Self> {
        if let Some(python) = Self::find_with_pip(native) {
            return Ok(python);
        }
        apt::install("Python 3 with venv and pip", &["python3", "python3-venv", "python3-pip"])?;
        Self::find_with_pip(native).ok_or_else(|| {
            "Python 3 is here, but neither `python3 -m pip` nor `python3 -m venv` works".into()
        })
    }

    fn find_with_pip(native: &Path) -> Option<Self> {
        let all = Self::all();
        if let Some(python) = all.iter().find(|python| python.has_pip()) {
            return Some(python.clone());
        }
        let venv = native.join("venv");
        let made = || Self::open(venv.join("bin/python")).filter(Self::has_pip);
        made().or_else(|| {
            all.iter().find_map(|python| {
                shell::output(python.command().args(["-m", "venv", "--clear"]).arg(&venv))?;
                made()
            })
        })
    }

    fn has_pip(&self) -> bool {
        shell::output(self.command().args(["-m", "pip", "--version"])).is_some()
    }

    /// `pip install --target FOLDER ARGS…`, tried three times, for networks that stumble.
    pub fn pip_install(&self, folder: &Path, args: &[&str]) -> Result<()> {
        let mut last = String::new();
        for attempt in 1..=3 {
            if attempt > 1 {
                shell::say(&format!("{last}; attempt {attempt} of 3"));
                std::thread::sleep(std::time::Duration::from_secs(5 * attempt));
            }
            let mut pip = self.command();
            pip.args(["-m", "pip", "install", "--no-input", "--no-compile", "--upgrade"])
                .args(["--progress-bar", "off", "--retries", "10", "--target"])
                .arg(folder)
                .args(self.foreign_wheels())
                .args(args)
                .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
                .env("PIP_ROOT_USER_ACTION", "ignore");
            match shell::set_up(&mut pip) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(format!("{last}\nIs PyPI reachable from here?"))
    }

    /// Whether PyPI has wheels for it; others can be unpacked with it, but not imported.
    pub fn has_wheels(&self) -> bool {
        WHEELS.contains(&self.minor)
    }

    /// Flags for a Python too old or too new for the wheels: libtorch inside them does not care.
    fn foreign_wheels(&self) -> Vec<String> {
        if self.has_wheels() || !cfg!(target_os = "linux") {
            return Vec::new();
        }
        let mut flags: Vec<String> = vec![
            "--ignore-requires-python".into(),
            "--only-binary=:all:".into(),
            "--implementation=cp".into(),
            "--python-version=3.12".into(),
        ];
        let tags = ["manylinux_2_28", "manylinux_2_25", "manylinux_2_17", "manylinux2014"];
        flags.extend(tags.map(|tag| format!("--platform={tag}_{}", std::env::consts::ARCH)));
        flags
    }
}

/// The minor version in `Python 3.11.7`; nothing for Python 2 and for other words.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("Python 3.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_python() {
        assert_eq!(minor("Python 3.11.7"), Some(11));
        assert_eq!(minor("Python 3.15.0a1"), Some(15));
        assert_eq!(minor("Python 2.7.18"), None);
        assert_eq!(minor("pyenv: python3: command not found"), None);
    }

    #[test]
    fn a_python_without_wheels_takes_those_of_another() {
        let flags = |minor| Python { program: "python3".into(), minor }.foreign_wheels();
        assert!(flags(11).is_empty());
        if cfg!(target_os = "linux") {
            assert!(flags(9).contains(&"--python-version=3.12".to_owned()));
            assert!(flags(15).iter().any(|flag| flag.starts_with("--platform=manylinux_2_28_")));
        }
    }

    #[test]
    fn what_does_not_start_is_no_python() {
        assert_eq!(Python::open("no-such-python".into()), None);
        assert_eq!(Python::open("echo".into()), None);
    }
}

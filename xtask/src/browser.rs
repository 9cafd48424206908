//! Turns Debian's Chromium and PyPI's `playwright` with axe into a Python that the tests of our pages run.

use crate::apt;
use crate::native;
use crate::pypi::Program;
use crate::shell::{self, Result};
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Where tests find a Python with the packages; one that is set is used instead of ours.
const PYTHON: &str = "IMAGERAG_BROWSER_PYTHON";
/// Where they find Chromium; one that is set is used instead of the machine's.
const BROWSER: &str = "IMAGERAG_BROWSER";
/// What Chromium and its relatives are called.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Runs a script as Python does, with the packages and with the script's folder.
const DRIVER: Program = Program {
    name: "browser-python",
    packages: &["playwright==1.65.2", "axe-playwright-python==0.1.8"],
    size: "about 48 MB to load, 150 MB on disk",
    script: "\
import os, runpy, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import axe_playwright_python, playwright
del sys.argv[0]
if sys.argv:
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
    runpy.run_path(sys.argv[0], run_name='__main__')
",
    or_yours: "Or set IMAGERAG_BROWSER_PYTHON to a Python that has the packages playwright and \
               axe-playwright-python.",
};

/// Has `tests` find a browser and its driver.
pub fn apply(tests: &mut Command) -> Result<()> {
    if let Some(browser) = set(BROWSER) {
        shell::say(&format!("{BROWSER} is set: the tests use {}", browser.display()));
    } else {
        tests.env(BROWSER, browser()?);
    }
    if let Some(python) = set(PYTHON) {
        shell::say(&format!("{PYTHON} is set: the tests use {}", python.display()));
    } else {
        tests.env(PYTHON, DRIVER.install(&native::folder())?);
    }
    Ok(())
}

fn set(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The machine's Chromium, installed where there is none.
fn browser() -> Result<PathBuf> {
    if let Some(found) = NAMES.into_iter().find_map(on_path) {
        return Ok(found);
    }
    apt::install("Chromium, in which the pages are tested,", &["chromium"])?;
    on_path(NAMES[0]).ok_or_else(|| {
        format!("chromium was installed, and is not on PATH. Set {BROWSER} to its program.")
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

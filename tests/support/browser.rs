//! Runs a script of `tests/pages/` in a headless browser.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// A Python that drives a browser, and the browser; `cargo xtask test` sets both.
const PYTHON: &str = "IMAGERAG_BROWSER_PYTHON";
const BROWSER: &str = "IMAGERAG_BROWSER";

/// Runs `tests/pages/SCRIPT ARGUMENTS…`, and fails with what it says unless it ends well.
pub(crate) fn check(script: &str, arguments: &[impl AsRef<OsStr>]) {
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
    let (Some(python), Some(_)) = (set(PYTHON), set(BROWSER)) else {
        eprintln!(
            "skipped: set {BROWSER} to Chromium and {PYTHON} to a Python with playwright and \
             axe-playwright-python, or run `cargo xtask test`"
        );
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages").join(script);
    let output = Command::new(python)
        .arg(&script)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}:\n{said}{wrong}", script.display());
    assert_eq!(said.lines().last(), Some("good"), "{}:\n{said}{wrong}", script.display());
}

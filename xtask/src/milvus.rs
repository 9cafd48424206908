//! Turns PyPI's `milvus-lite` into a program that runs a Milvus server, and tests into a run beside one.

use crate::milvus_server::Server;
use crate::native;
use crate::python::Python;
use crate::shell::{self, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Where tests find a server; one that is set is used instead of ours.
const ADDRESS: &str = "IMAGERAG_MILVUS";
/// Where tests find the program, to start servers of their own.
const PROGRAM: &str = "IMAGERAG_MILVUS_LITE";
/// The server, and the package that holds Milvus' protocol, which it needs.
const PACKAGES: [&str; 2] = ["milvus-lite==3.2.2", "pymilvus==3.0.2"];
const OR_YOURS: &str = "Or set IMAGERAG_MILVUS to the address of a Milvus that you have.";
/// What `milvus-lite` is for us: it ends when its stdin does, so that no server is left behind
/// however its parent ended.
const LAUNCHER: &str = "\
import os, sys, threading
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from milvus_lite.cmdline import main
def end_with_stdin():
    while os.read(0, 4096):
        pass
    os._exit(0)
threading.Thread(target=end_with_stdin, daemon=True).start()
main()
";

/// Runs `tests` beside a server that is theirs. The server's log is kept if they fail.
pub fn run_beside(tests: &mut Command) -> Result<()> {
    if let Some(address) = env::var_os(ADDRESS).filter(|address| !address.is_empty()) {
        shell::say(&format!("{ADDRESS} is set: the tests use the Milvus at {}", address.display()));
        return shell::run(tests);
    }
    let native = native::folder();
    let program = install(&native)?;
    let server = Server::start(&program, &native)?;
    shell::say(&format!("Milvus answers at {}", server.address()));
    let outcome = shell::run(tests.env(ADDRESS, server.address()).env(PROGRAM, &program));
    server.stop(outcome.is_ok());
    outcome
}

/// `milvus-lite WORDS…`: a server to try things with.
pub fn run(words: &[String]) -> Result<()> {
    let mut command = Command::new(install(&native::folder())?);
    let words = words.strip_prefix(&["--".to_owned()]).unwrap_or(words);
    let failed = |error: &dyn std::fmt::Display| format!("milvus-lite: {error}");
    let mut process =
        command.args(words).stdin(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
    // Waiting would close it, and that would end the server.
    let _stdin = process.stdin.take();
    let status = process.wait().map_err(|error| failed(&error))?;
    if status.success() { Ok(()) } else { Err(failed(&status)) }
}

/// The program, installed into `native` where it is not there.
fn install(native: &Path) -> Result<PathBuf> {
    let version = PACKAGES.map(|package| package.replace("==", "-")).join("-");
    let whole = native.join(version);
    let program = whole.join("milvus-lite");
    if works(&program) {
        return Ok(program);
    }
    let _ = fs::remove_dir_all(&whole);
    let python = Python::with_pip(native)?;
    if !python.has_wheels() {
        return Err(format!("milvus-lite needs Python 3.10 to 3.14. {OR_YOURS}"));
    }
    shell::say(
        "installing milvus-lite for Python (about 110 MB to load, 380 MB on disk); this takes a minute",
    );
    let partial = native.join(format!("milvus.partial-{}", std::process::id()));
    let placed = python
        .pip_install(&partial, &PACKAGES)
        .and_then(|()| launcher(&partial, &python))
        .and_then(|()| {
            // Another run may have been faster; its folder is as good as ours.
            fs::rename(&partial, &whole)
                .or_else(|error| if whole.is_dir() { Ok(()) } else { Err(error.to_string()) })
        });
    let _ = fs::remove_dir_all(&partial);
    placed.map_err(|error| format!("milvus-lite could not be installed: {error}\n{OR_YOURS}"))?;
    Ok(program)
}

/// Whether all that the program imports is there: it does that before it sees that stdin is empty.
fn works(program: &Path) -> bool {
    shell::output(&mut Command::new(program)).is_some()
}

/// Writes the program, for this Python.
fn launcher(folder: &Path, python: &Python) -> Result<()> {
    let path = folder.join("milvus-lite");
    let text = format!("#!{}\n{LAUNCHER}", python.executable()?);
    fs::write(&path, text)
        .and_then(|()| make_executable(&path))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Err(std::io::Error::other("milvus-lite runs on Linux and macOS alone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_runs_with_the_python_that_installed_it() {
        let Some(python) = Python::all().into_iter().next() else {
            eprintln!("skipped: set PYTHON to a Python 3");
            return;
        };
        let folder = env::temp_dir().join(format!("imagerag-xtask-{}-milvus", std::process::id()));
        fs::create_dir_all(folder.join("milvus_lite")).unwrap();
        let said = "import sys\ndef main(): print(sys.argv[1:])\n";
        fs::write(folder.join("milvus_lite/cmdline.py"), said).unwrap();
        launcher(&folder, &python).unwrap();
        let program = folder.join("milvus-lite");
        let first = format!("#!{}\n", python.executable().unwrap());
        assert!(fs::read_to_string(&program).unwrap().starts_with(&first));
        let mut process = python
            .command()
            .arg(program)
            .args(["server", "--port"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take();
        let output = process.wait_with_output().unwrap();
        drop(stdin);
        fs::remove_dir_all(folder).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "['server', '--port']\n");
    }
}

//! Turns PyPI's `milvus-lite` into a program that runs a Milvus server, and tests into a run beside one.

use crate::milvus_server::Server;
use crate::native;
use crate::pypi::Program;
use crate::shell::{self, Result};
use std::env;
use std::process::{Command, Stdio};

/// Where tests find a server; one that is set is used instead of ours.
const ADDRESS: &str = "IMAGERAG_MILVUS";
/// Where tests find the program, to start servers of their own.
const PROGRAM: &str = "IMAGERAG_MILVUS_LITE";
/// What `milvus-lite` is for us: it ends when its stdin does, so that no server is left behind
/// however its parent ended. The second package holds Milvus' protocol, which the server needs.
const SERVER: Program = Program {
    name: "milvus-lite",
    packages: &["milvus-lite==3.2.2", "pymilvus==3.0.2"],
    size: "about 110 MB to load, 380 MB on disk",
    script: "\
import os, sys, threading
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from milvus_lite.cmdline import main
def end_with_stdin():
    while os.read(0, 4096):
        pass
    os._exit(0)
threading.Thread(target=end_with_stdin, daemon=True).start()
main()
",
    or_yours: "Or set IMAGERAG_MILVUS to the address of a Milvus that you have.",
};

/// Runs `tests` beside a server that is theirs. The server's log is kept if they fail.
pub fn run_beside(tests: &mut Command) -> Result<()> {
    if let Some(address) = env::var_os(ADDRESS).filter(|address| !address.is_empty()) {
        shell::say(&format!("{ADDRESS} is set: the tests use the Milvus at {}", address.display()));
        return shell::run(tests);
    }
    let native = native::folder();
    let program = SERVER.install(&native)?;
    let server = Server::start(&program, &native)?;
    shell::say(&format!("Milvus answers at {}", server.address()));
    let outcome = shell::run(tests.env(ADDRESS, server.address()).env(PROGRAM, &program));
    server.stop(outcome.is_ok());
    outcome
}

/// `milvus-lite WORDS…`: a server to try things with.
pub fn run(words: &[String]) -> Result<()> {
    let mut command = Command::new(SERVER.install(&native::folder())?);
    let words = words.strip_prefix(&["--".to_owned()]).unwrap_or(words);
    let failed = |error: &dyn std::fmt::Display| format!("milvus-lite: {error}");
    let mut process =
        command.args(words).stdin(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
    // Waiting would close it, and that would end the server.
    let _stdin = process.stdin.take();
    let status = process.wait().map_err(|error| failed(&error))?;
    if status.success() { Ok(()) } else { Err(failed(&status)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::Python;
    use std::fs;

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
        SERVER.write(&folder, &python).unwrap();
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

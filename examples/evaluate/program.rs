//! The program `evaluate` as somebody types its commands.

use std::process::{Command, Output, Stdio};

/// The program, which `cargo test` builds beside the tests.
pub(crate) fn program() -> Command {
    let tests = std::env::current_exe().unwrap();
    let programs = tests.parent().unwrap().parent().unwrap().join("examples");
    let program = programs.join("evaluate").with_extension(if cfg!(windows) { "exe" } else { "" });
    assert!(program.exists(), "run `cargo build --example evaluate` with these features first");
    Command::new(program)
}

/// What a command prints, and how it ends.
pub(crate) fn output(arguments: &[&str]) -> Output {
    program().args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What a command prints; it must go well.
pub(crate) fn ok(arguments: &[&str]) -> String {
    let output = output(arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command says is wrong.
pub(crate) fn fails(arguments: &[&str]) -> String {
    let output = output(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
    assert!(!told.contains("panicked"), "{told}");
    told
}

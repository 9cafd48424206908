//! The official Python client against the server.

use std::process::Command;

use super::server::Server;

/// Where the Python with the package `openai` is; `cargo xtask test` sets it.
const PYTHON: &str = "IMAGERAG_OPENAI_PYTHON";

/// Runs one check of `client.py` against a server with `options`.
fn check(name: &str, options: &[&str]) {
    let Some(python) = std::env::var_os(PYTHON).filter(|python| !python.is_empty()) else {
        eprintln!("skipped: set {PYTHON} to a Python that has the package openai");
        return;
    };
    let server = Server::fake(options);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/serve/tests/client.py");
    let output = Command::new(python)
        .args([script, name, &server.address])
        .env_remove("OPENAI_API_KEY")
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{name}: good"), "{said}");
}

#[test]
fn it_draws() {
    check("draws", &[]);
}

#[test]
fn it_edits() {
    check("edits", &[]);
}

#[test]
fn it_streams() {
    check("streams", &[]);
}

#[test]
fn it_embeds_and_lists_models() {
    check("embeds", &[]);
}

#[test]
fn it_knows_every_error() {
    check("errors", &["--api-key", "key"]);
}

#[test]
fn it_cancels() {
    check("cancels", &[]);
}

#[test]
fn it_asks_for_several_at_once() {
    check("concurrently", &["--workers", "2", "--queue", "20"]);
}

#[test]
fn it_is_told_that_the_queue_is_full() {
    check("queue", &["--queue", "0"]);
}

//! Turns the rules that tests do not cover into cargo runs that fail when a rule is broken.

use crate::commands::without_libtorch;
use crate::shell::{self, Result};
use crate::{crates, faiss, imports, manifest, outside, readme, typos};
use std::process::Command;
use std::time::Instant;

/// Native libraries that default features must not pull in.
const NATIVE: [&str; 2] = ["torch-sys", "faiss-sys"];
/// Checked without libtorch: `doc-only` builds the bindings and links nothing.
const DOC_ONLY: &str = "doc-only";

type Check = fn() -> Result<()>;

/// The checks by name, the fast ones first.
const CHECKS: [(&str, Check); 9] = [
    ("format", || timed("formatting", &mut without_libtorch(&["fmt", "--all", "--check"]))),
    ("spelling", typos::check),
    ("imports", imports::check),
    ("crates", crates::check),
    ("default", no_native_library_by_default),
    ("lints", lints),
    ("features", each_feature_alone),
    ("readme", readme::check),
    ("outside", outside::check),
];

/// Runs the checks that are named, or all.
///
/// # Errors
/// That of the first check that fails.
pub fn run(names: &[String]) -> Result<()> {
    let known = CHECKS.map(|(name, _)| name);
    if let Some(other) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("ci knows {}, and not {other}", known.join(", ")));
    }
    for (name, check) in CHECKS {
        if names.is_empty() || names.iter().any(|asked| asked == name) {
            check()?;
            shell::say(&format!("{name}: good"));
        }
    }
    shell::say("all checks pass");
    Ok(())
}

/// Clippy and rustdoc, with default features and with every backend.
fn lints() -> Result<()> {
    let all = format!("{},{DOC_ONLY}", manifest::backends()?);
    let lints = ["clippy", "--workspace", "--all-targets"];
    timed("lints, default features", deny_warnings(&mut unlinked(&lints)?))?;
    timed(
        "lints, every backend",
        deny_warnings(&mut unlinked(&[&lints[..], &["--features", &all]].concat())?),
    )?;
    let mut docs = unlinked(&["doc", "--no-deps", "--features", &all])?;
    timed("documentation", docs.env("RUSTDOCFLAGS", "-D warnings"))
}

fn each_feature_alone() -> Result<()> {
    let alone = ["clippy", "--package", "imagerag", "--no-default-features"];
    timed("no feature", deny_warnings(&mut unlinked(&alone)?))?;
    for feature in manifest::features()? {
        let list = format!("{feature},{DOC_ONLY}");
        let mut clippy = unlinked(&[&alone[..], &["--features", &list]].concat())?;
        timed(&format!("feature {feature} alone"), deny_warnings(&mut clippy))?;
    }
    Ok(())
}

/// A cargo run that links no program, and so needs neither libtorch nor FAISS.
fn unlinked(words: &[&str]) -> Result<Command> {
    let mut command = without_libtorch(words);
    command.args(["--config", &faiss::not_built()?]);
    Ok(command)
}

fn no_native_library_by_default() -> Result<()> {
    let mut tree = without_libtorch(&[
        "tree",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--package",
        "imagerag",
    ]);
    let tree = shell::output(&mut tree).ok_or("`cargo tree` failed")?;
    match NATIVE.iter().find(|name| is_in(&tree, name)) {
        Some(name) => Err(format!("default features pull in {name}")),
        None => Ok(()),
    }
}

fn deny_warnings(clippy: &mut Command) -> &mut Command {
    clippy.args(["--", "-D", "warnings"])
}

fn timed(what: &str, command: &mut Command) -> Result<()> {
    let start = Instant::now();
    shell::run(command).map_err(|error| format!("{what}: {error}"))?;
    shell::say(&format!("{what}: {:.0} s", start.elapsed().as_secs_f32()));
    Ok(())
}

/// Whether a crate stands in the output of `cargo tree --prefix none`.
fn is_in(tree: &str, name: &str) -> bool {
    tree.lines().any(|line| line.split(' ').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_check_is_named() {
        let error = run(&["linting".into()]).unwrap_err();
        assert!(error.starts_with("ci knows format, spelling"), "{error}");
    }

    #[test]
    fn a_crate_is_found_by_its_whole_name() {
        let tree = "imagerag v0.1.0 (/x)\ntorch-sys-extra v1.0.0\nfutures v0.3.34 (*)";
        assert!(!is_in(tree, "torch-sys"));
        assert!(is_in(&format!("{tree}\ntorch-sys v0.24.0"), "torch-sys"));
    }
}

//! Turns the rules that tests do not cover into cargo runs that fail when a rule is broken.

use crate::commands::without_libtorch;
use crate::shell::{self, Result};
use crate::{crates, faiss, imports, manifest, readme, typos};
use std::process::Command;
use std::time::Instant;

/// Native libraries that default features must not pull in.
const NATIVE: [&str; 2] = ["torch-sys", "faiss-sys"];
/// Checked without libtorch: `doc-only` builds the bindings and links nothing.
const DOC_ONLY: &str = "doc-only";

pub fn run(_: &[String]) -> Result<()> {
    let all = format!("{},{DOC_ONLY}", manifest::backends()?);
    timed("formatting", &mut without_libtorch(&["fmt", "--all", "--check"]))?;
    typos::check()?;
    imports::check()?;
    shell::say("imports between the folders of src/ go in the right direction");
    crates::check()?;
    no_native_library_by_default()?;
    let lints = ["clippy", "--workspace", "--all-targets"];
    timed("lints, default features", deny_warnings(&mut unlinked(&lints)?))?;
    timed(
        "lints, every backend",
        deny_warnings(&mut unlinked(&[&lints[..], &["--features", &all]].concat())?),
    )?;
    let mut docs = unlinked(&["doc", "--no-deps", "--features", &all])?;
    timed("documentation", docs.env("RUSTDOCFLAGS", "-D warnings"))?;
    each_feature_alone()?;
    readme::check()?;
    shell::say("all checks pass");
    Ok(())
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
        None => {
            shell::say("default features pull in no native library");
            Ok(())
        }
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
    fn a_crate_is_found_by_its_whole_name() {
        let tree = "imagerag v0.1.0 (/x)\ntorch-sys-extra v1.0.0\nfutures v0.3.34 (*)";
        assert!(!is_in(tree, "torch-sys"));
        assert!(is_in(&format!("{tree}\ntorch-sys v0.24.0"), "torch-sys"));
    }
}

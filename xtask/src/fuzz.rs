//! Turns the targets of `tests/fuzz` into runs of libFuzzer, of so many seconds each.

use crate::commands::after_dashes;
use crate::shell::{self, Result};
use crate::{native, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that builds with instrumentation.
const CARGO_FUZZ: &str = "0.13.1";
/// How long each target runs unless it is told.
const SECONDS: u32 = 600;
/// What libFuzzer takes for a failure: a run of more memory, in MiB, or of more seconds.
const LIMITS: [&str; 2] = ["-rss_limit_mb=1024", "-timeout=10"];

/// Fuzzes the targets that are named, or all, one after the other.
///
/// # Errors
/// That of the first target that fails, whose input is in the target folder; when a target is not
/// known.
pub fn run(arguments: &[String]) -> Result<()> {
    let known = targets()?;
    let (seconds, asked) = read(after_dashes(arguments), &known)?;
    let install = native::folder().join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    if !install.join("bin").is_dir() {
        let words = ["install", "cargo-fuzz", "--version", CARGO_FUZZ, "--locked", "--root"];
        shell::set_up(Command::new("cargo").args(words).arg(&install))?;
    }
    let libtorch = native::provide()?;
    let target = std::path::absolute(native::target()).unwrap_or_else(|_| native::target());
    for name in asked {
        let grown = target.join("fuzz/corpus").join(&name);
        let failures = target.join("fuzz/failures").join(&name);
        for folder in [&grown, &failures] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        // Without a sanitizer it builds on stable Rust: what is looked for is panics, hangs, memory.
        let mut fuzz = Command::new(install.join("bin/cargo-fuzz"));
        fuzz.args(["run", "--sanitizer", "none", "--strip-dead-code", "--fuzz-dir"]);
        fuzz.arg(folder()).arg("--target-dir").arg(target.join("fuzz"));
        fuzz.arg(&name).arg(&grown).arg(folder().join("corpus").join(&name)).arg("--");
        fuzz.args(LIMITS).arg(format!("-max_total_time={seconds}"));
        fuzz.arg(format!("-artifact_prefix={}/", failures.display())).arg("-print_final_stats=1");
        libtorch.apply(&mut fuzz);
        shell::run(fuzz.current_dir(root()))?;
    }
    Ok(())
}

fn folder() -> PathBuf {
    root().join("tests/fuzz")
}

/// The names of the targets, sorted.
fn targets() -> Result<Vec<String>> {
    let folder = folder().join("targets");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_target = |path: &Path| path.extension().is_some_and(|ending| ending == "rs");
    let mut names: Vec<String> = files
        .filter(|path| is_target(path))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Seconds a target, and the targets.
fn read(arguments: &[String], known: &[String]) -> Result<(u32, Vec<String>)> {
    let (mut seconds, mut asked) = (SECONDS, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|number| number.parse().ok());
            seconds = number.ok_or("--seconds: how many, at least 1?")?;
        } else if known.contains(word) {
            asked.push(word.clone());
        } else {
            return Err(format!("fuzz knows {}, and not {word}", known.join(", ")));
        }
    }
    Ok((seconds, if asked.is_empty() { known.to_vec() } else { asked }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_with_a_corpus() {
        let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
        let known = targets().unwrap();
        assert!(known.contains(&"shard".to_owned()), "{known:?}");
        for name in known {
            assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
            let corpus = fs::read_dir(folder().join("corpus").join(&name)).unwrap();
            assert!(corpus.count() > 0, "{name}");
        }
    }

    #[test]
    fn targets_and_seconds_are_read() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let known = words("image reply shard");
        assert_eq!(read(&[], &known), Ok((SECONDS, known.clone())));
        let asked = read(&words("--seconds 60 shard image"), &known);
        assert_eq!(asked, Ok((60, words("shard image"))));
        assert!(read(&words("--seconds"), &known).is_err());
        assert!(read(&words("tar"), &known).unwrap_err().contains("image, reply, shard"));
    }
}

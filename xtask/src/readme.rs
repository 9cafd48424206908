//! Turns each program of the README into a crate of its own, as a reader would, and checks that it compiles.

use crate::commands::without_libtorch;
use crate::shell::{self, Result};
use crate::{native, root};
use std::fs;
use std::path::{Path, PathBuf};

/// Checks the programs without libtorch.
///
/// # Errors
/// Those of the README, when it has no such lines, and of cargo.
pub fn check() -> Result<()> {
    let readme = root().join("README.md");
    let text =
        fs::read_to_string(&readme).map_err(|error| format!("{}: {error}", readme.display()))?;
    let programs = programs(&text);
    if programs.is_empty() {
        return Err("README.md has no `cargo add` lines before a program".into());
    }
    let folder = std::env::temp_dir().join(format!("imagerag-readme-{}", std::process::id()));
    let checked = (1..).zip(&programs).try_for_each(|(number, (additions, program))| {
        shell::say(&format!("program {number} of the README: {}", additions.join(", ")));
        in_crate(&folder.join(format!("program_{number}")), additions, program)
    });
    let _ = fs::remove_dir_all(&folder);
    checked
}

/// Where the network is not needed it is not asked: what the crate takes is here by now.
fn in_crate(folder: &Path, additions: &[&str], program: &str) -> Result<()> {
    let shown = folder.display().to_string();
    shell::run(&mut without_libtorch(&["new", "--quiet", "--vcs", "none", &shown]))?;
    for line in additions {
        let words: Vec<&str> =
            line.split_whitespace().skip(1).filter(|word| *word != "imagerag").collect();
        let mut add = without_libtorch(&words);
        add.args(["--quiet", "--offline"]).current_dir(folder);
        if line.contains("imagerag") {
            add.arg("--path").arg(root());
        }
        shell::run(&mut add)?;
    }
    write(&folder.join("src/main.rs"), program)?;
    let lock = root().join("Cargo.lock");
    fs::copy(&lock, folder.join("Cargo.lock"))
        .map_err(|error| format!("{}: {error}", lock.display()))?;
    let mut check = without_libtorch(&["check", "--offline"]);
    if additions.iter().any(|line| line.contains("tch")) {
        check.args(["--features", "imagerag/doc-only"]);
    }
    let target: PathBuf =
        std::path::absolute(native::target()).unwrap_or_else(|_| native::target());
    shell::run(check.current_dir(folder).env("CARGO_TARGET_DIR", target))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The programs of Rust that follow `cargo add` lines in a block of shell, with these lines.
fn programs(readme: &str) -> Vec<(Vec<&str>, &str)> {
    let (mut programs, mut rest) = (Vec::new(), readme);
    while let Some((before, behind)) = rest.split_once("\n```rust\n") {
        let Some((program, behind)) = behind.split_once("\n```") else { break };
        rest = behind;
        let shell = before.rsplit_once("```sh\n").and_then(|(_, block)| block.split_once("\n```"));
        let lines = shell.map_or("", |(block, _)| block).lines();
        let lines = lines.map(|line| line.split('#').next().unwrap_or_default().trim());
        let additions: Vec<&str> = lines.filter(|line| line.starts_with("cargo add ")).collect();
        if !additions.is_empty() {
            programs.push((additions, program));
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_right_before_a_program_are_typed() {
        let block = |lines: &str| format!("```sh\n{lines}\n```\n\n```rust\nfn main() {{}}\n```\n");
        let big = "cargo new bird\ncargo add imagerag --features tch   # big\ncargo add futures";
        let alone = "text\n```rust\nasync fn main() {}\n```\n";
        let readme = ["# x\n", &block("cargo run"), &block(big), alone, &block("cargo add it")];
        let readme = readme.concat();
        let found = programs(&readme);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].0, ["cargo add imagerag --features tch", "cargo add futures"]);
        assert_eq!(found[0].1, "fn main() {}");
        assert_eq!(found[1].0, ["cargo add it"]);
        assert!(programs(alone).is_empty());
    }
}

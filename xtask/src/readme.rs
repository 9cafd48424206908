//! Turns the README's first program into a crate of its own, as a reader would, and checks that it compiles.

use crate::commands::without_libtorch;
use crate::shell::{self, Result};
use crate::{native, root};
use std::fs;
use std::path::{Path, PathBuf};

/// Checks the program without libtorch.
///
/// # Errors
/// Those of the README, when it has no such lines, and of cargo.
pub fn check() -> Result<()> {
    let readme = root().join("README.md");
    let text =
        fs::read_to_string(&readme).map_err(|error| format!("{}: {error}", readme.display()))?;
    let (additions, program) =
        lines_to_type(&text).ok_or("README.md has no `cargo add` lines before a program")?;
    let folder = std::env::temp_dir().join(format!("imagerag-readme-{}", std::process::id()));
    let checked = in_crate(&folder.join("drawing"), &additions, program);
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
    let mut check = without_libtorch(&["check", "--offline", "--features", "imagerag/doc-only"]);
    let target: PathBuf =
        std::path::absolute(native::target()).unwrap_or_else(|_| native::target());
    shell::run(check.current_dir(folder).env("CARGO_TARGET_DIR", target))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The first program of Rust, and the `cargo add` lines in the block of shell before it.
fn lines_to_type(readme: &str) -> Option<(Vec<&str>, &str)> {
    let (before, rest) = readme.split_once("\n```rust\n")?;
    let program = rest.split_once("\n```")?.0;
    let shell = before.rsplit_once("```sh\n")?.1.split_once("\n```")?.0;
    let lines = shell.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let additions: Vec<&str> = lines.filter(|line| line.starts_with("cargo add ")).collect();
    (!additions.is_empty()).then_some((additions, program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_right_before_the_program_are_typed() {
        let readme = "# x\n```sh\ncargo add other\n```\ntext\n```sh\ncargo new bird\ncargo add imagerag --features tch   # big\ncargo add futures\n```\n\n```rust\nfn main() {}\n```\n";
        let (additions, program) = lines_to_type(readme).unwrap();
        assert_eq!(additions, ["cargo add imagerag --features tch", "cargo add futures"]);
        assert_eq!(program, "fn main() {}");
        assert_eq!(lines_to_type("```rust\nfn main() {}\n```\n"), None);
    }
}

//! Turns each command's name into one or two cargo runs.

use crate::shell::{self, Result};
use crate::{browser, cuda, device_kit, faiss, manifest, milvus, native, openai_client};
use std::process::Command;

/// Not optimised: libtorch does the work, and to optimise our half takes longer than all that it computes.
pub fn quickstart(arguments: &[String]) -> Result<()> {
    example("quickstart", &[], arguments)
}

pub fn tinyworld(arguments: &[String]) -> Result<()> {
    example("tinyworld", &["--release"], arguments)
}

fn example(name: &str, profile: &[&str], arguments: &[String]) -> Result<()> {
    // What talks to services is left out: its TLS library alone takes a minute to compile.
    let words = ["run", "--package", "examples", "--no-default-features", "--features", "tch"];
    let words = [&words[..], profile, &["--example", name, "--"]].concat();
    with_libtorch(command_of(&words, after_dashes(arguments)))
}

pub fn test(arguments: &[String]) -> Result<()> {
    let rest = after_dashes(arguments);
    if rest.is_empty() {
        shell::say("tests with default features, without libtorch");
        shell::run(&mut without_libtorch(&["test", "--workspace"]))?;
        shell::say("tests with every backend");
    }
    faiss::provide()?;
    let features = manifest::backends()?;
    let mut tests = command_of(&["test", "--workspace", "--features", &features], rest);
    faiss::apply(&mut tests)?;
    native::provide()?.apply(&mut tests);
    openai_client::apply(&mut tests)?;
    browser::apply(&mut tests)?;
    milvus::run_beside(&mut tests)?;
    if rest.is_empty() {
        shell::say("the device kit, every part at toy size on the CPU");
        device_kit::try_out()?;
    }
    Ok(())
}

pub fn env(_: &[String]) -> Result<()> {
    print!("{}", native::provide()?.exports());
    Ok(())
}

pub fn cargo(arguments: &[String]) -> Result<()> {
    let rest = after_dashes(arguments);
    if rest.is_empty() {
        return Err(
            "what should cargo do? For example: cargo xtask cargo -- test --features tch".into()
        );
    }
    let mut command = command_of(&[], rest);
    if faiss::is_asked(rest, "faiss") || faiss::is_asked(rest, cuda::FEATURE) {
        faiss::provide()?;
        faiss::apply(&mut command)?;
    }
    if faiss::is_asked(rest, cuda::FEATURE) {
        cuda::provide()?.apply(&mut command);
    }
    with_libtorch(command)
}

/// Provides libtorch and runs `command` with it.
fn with_libtorch(mut command: Command) -> Result<()> {
    native::provide()?.apply(&mut command);
    shell::run(&mut command)
}

/// A cargo run that can find no libtorch.
pub fn without_libtorch(words: &[&str]) -> Command {
    let mut command = command_of(words, &[]);
    for name in ["LIBTORCH", "LIBTORCH_USE_PYTORCH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}

/// `cargo WORDS… ARGUMENTS…` where the user stands, so that relative paths are theirs.
fn command_of(words: &[&str], arguments: &[String]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(words).args(arguments);
    command
}

/// The arguments without the `--` that may stand before them.
pub fn after_dashes(arguments: &[String]) -> &[String] {
    match arguments {
        [dashes, rest @ ..] if dashes == "--" => rest,
        all => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashes_are_optional_and_taken_once() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(after_dashes(&words("-- run -- --help")), words("run -- --help"));
        assert_eq!(after_dashes(&words("run -- --help")), words("run -- --help"));
        assert!(after_dashes(&[]).is_empty());
    }

    #[test]
    fn default_feature_runs_cannot_see_libtorch() {
        let command = without_libtorch(&["test"]);
        let removed: Vec<_> =
            command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        assert!(removed.contains(&std::ffi::OsStr::new("LIBTORCH")));
        assert!(removed.contains(&std::ffi::OsStr::new("LD_LIBRARY_PATH")));
    }
}

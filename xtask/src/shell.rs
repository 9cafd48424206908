//! Turns a command line into a run process, with its failure as one sentence.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What went wrong and what to do about it, ready to print.
pub type Result<T> = std::result::Result<T, String>;

/// Prints one line of progress; on stderr, so that `env` stays clean on stdout.
pub fn say(line: &str) {
    eprintln!("xtask: {line}");
}

/// Runs `command` to its end without stdin; its output passes through.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    say(&line);
    let status = command.stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed: {status}")),
        Err(error) => Err(format!("`{line}` did not start: {error}")),
    }
}

/// Like [`run`], for set-up steps: what the command prints goes to stderr.
pub fn set_up(command: &mut Command) -> Result<()> {
    run(command.stdout(std::io::stderr()))
}

/// Like [`run`]; what the command prints on stdout is returned.
pub fn printed(command: &mut Command) -> Result<String> {
    let line = line(command);
    say(&line);
    let ran = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    match ran {
        Ok(ran) if ran.status.success() => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        Ok(ran) => Err(format!("`{line}` failed: {}", ran.status)),
        Err(error) => Err(format!("`{line}` did not start: {error}")),
    }
}

/// What `command` prints on stdout, or nothing if it cannot start or fails.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether `program --version` runs.
pub fn is_program(program: &str) -> bool {
    output(Command::new(program).arg("--version")).is_some()
}

/// A path as a shell word that `eval` reads back as it was.
pub fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_path_survives_the_shell() {
        assert_eq!(quote(Path::new("/a b/c")), "'/a b/c'");
        assert_eq!(quote(Path::new("/it's")), r"'/it'\''s'");
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = run(Command::new("false").arg("x")).unwrap_err();
        assert!(error.starts_with("`false x` failed"), "{error}");
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.starts_with("`no-such-program` did not start"), "{error}");
    }

    #[test]
    fn output_is_trimmed_and_absent_on_failure() {
        assert_eq!(output(Command::new("echo").arg("2.11.0")).as_deref(), Some("2.11.0"));
        assert_eq!(output(&mut Command::new("false")), None);
    }
}

//! Turns a missing system program into an installed one, where we may, or into words that say what to install.

use crate::shell::{self, Result};
use std::path::Path;
use std::process::Command;

/// Installs Debian `packages` when we are root on a machine with apt; otherwise says what is missing.
///
/// # Errors
/// Names `what` is missing and the packages that hold it.
pub fn install(what: &str, packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        return Err(missing(what, &names));
    }
    shell::say(&format!("{what} is missing: installing {names} with apt"));
    // A stale or absent package list is the common reason for a failed install, so it is refreshed first.
    if let Err(error) = shell::set_up(apt_get().args(["-qq", "update"])) {
        shell::say(&format!("{error}; trying with the package list at hand"));
    }
    shell::set_up(
        apt_get().args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages),
    )
    .map_err(|error| format!("{error}\n{}", missing(what, &names)))
}

fn missing(what: &str, names: &str) -> String {
    format!(
        "{what} is missing. Install it and run this again; on Debian or Ubuntu:\n    \
         sudo apt-get install -y {names}"
    )
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    shell::output(Command::new("id").arg("-u")).as_deref() == Some("0")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_error_says_what_to_type() {
        let error = super::missing("A C++ compiler", "g++");
        assert!(error.contains("A C++ compiler is missing"));
        assert!(error.contains("sudo apt-get install -y g++"));
    }
}

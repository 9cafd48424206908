//! Turns a folder of shared libraries into one in which the programs of a command look first.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::{env, iter};

/// What the dynamic linker reads.
pub const LIBRARY_PATH: &str =
    if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// Puts `folder` before those in which `command` would look, by itself or as our own children do.
pub fn look_first_in(folder: &Path, command: &mut Command) {
    let own = command.get_envs().find(|(name, _)| *name == OsStr::new(LIBRARY_PATH));
    let present = match own {
        Some((_, value)) => value.map(OsStr::to_owned),
        None => env::var_os(LIBRARY_PATH),
    };
    let present = present.unwrap_or_default();
    let folders = iter::once(folder.to_owned()).chain(env::split_paths(&present));
    if let Ok(folders) = env::join_paths(folders) {
        command.env(LIBRARY_PATH, folders);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_folder_comes_first_and_the_others_stay() {
        let mut command = Command::new("program");
        command.env(LIBRARY_PATH, "/usr/own");
        look_first_in(Path::new("/libtorch"), &mut command);
        look_first_in(Path::new("/cuda"), &mut command);
        let (_, value) = command.get_envs().next().unwrap();
        let folders: Vec<_> = env::split_paths(value.unwrap()).collect();
        assert_eq!(folders, ["/cuda", "/libtorch", "/usr/own"].map(std::path::PathBuf::from));
    }
}

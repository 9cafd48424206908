//! Tests the crate `tests/outside`, which uses imagerag as any crate outside the workspace does.

use crate::commands::without_libtorch;
use crate::shell::{self, Result};
use crate::{native, root};
use std::fs;

/// Tests it without libtorch, with the versions of `Cargo.lock`.
///
/// # Errors
/// Those of cargo.
pub fn check() -> Result<()> {
    let folder = root().join("tests/outside");
    let (lock, own) = (root().join("Cargo.lock"), folder.join("Cargo.lock"));
    fs::copy(&lock, &own).map_err(|error| format!("{}: {error}", lock.display()))?;
    let target = std::path::absolute(native::target()).unwrap_or_else(|_| native::target());
    // Where the network is not needed it is not asked: what the crate takes is here by now.
    let mut tests = without_libtorch(&["test", "--quiet", "--offline"]);
    shell::run(tests.current_dir(folder).env("CARGO_TARGET_DIR", target))
}

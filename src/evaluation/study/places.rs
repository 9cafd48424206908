//! Where a study is written: nothing is overwritten, and the key is not published.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::require;
use crate::{Error, Result};

/// The path without links and `..`, as far as it exists.
pub(super) fn resolved(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|source| Error::io(path, source))?;
    let mut resolved = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            component => resolved.push(component),
        }
        resolved = fs::canonicalize(&resolved).unwrap_or(resolved);
    }
    Ok(resolved)
}

/// Makes sure that nothing is overwritten, and that the key is not published.
pub(super) fn check(folder: &Path, key: &Path) -> Result<()> {
    let inside = key.starts_with(folder);
    let what = "key of a study";
    require(!inside, what, format!("a file outside of {}", folder.display()), key.display())?;
    let is_new = fs::symlink_metadata(key).is_err();
    require(is_new, what, "a file that is not there yet", key.display())?;
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => fs::symlink_metadata(folder).is_err(),
    };
    let expected = "a folder that is empty or not there yet";
    require(is_free, "folder of a study", expected, folder.display())
}

/// Puts the whole folder in its place.
pub(super) fn put(draft: tempfile::TempDir, folder: &Path) -> Result<()> {
    let io = |source| Error::io(folder, source);
    // An empty folder is in the way on some systems.
    let _ = fs::remove_dir(folder);
    fs::rename(draft.path(), folder).map_err(io)?;
    // It is no longer there to be removed.
    let _ = draft.keep();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Temporary folders are for their owner alone; a web server is somebody else.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(io)?;
    }
    Ok(())
}

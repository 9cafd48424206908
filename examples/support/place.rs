//! A file, a folder or the name of a repository to where it is on this machine.

use std::path::PathBuf;

use imagerag::Result;

/// A file or folder as it is, or a repository's, fetched.
#[cfg(feature = "hub")]
pub(crate) fn place(name: &str) -> Result<PathBuf> {
    futures::executor::block_on(imagerag::hub::resolve(name))
}

/// A file or folder as it is.
#[cfg(not(feature = "hub"))]
pub(crate) fn place(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    if path.exists() {
        return Ok(path);
    }
    Err(imagerag::Error::Unavailable {
        what: name.to_owned(),
        reason: "there is no such file or folder, and repositories need --features hub".to_owned(),
    })
}

/// That there is such a file or folder, or may be such a repository, which is not asked for.
#[allow(dead_code, reason = "run files alone look before they load")]
#[cfg(feature = "hub")]
pub(crate) fn check(name: &str) -> Result<()> {
    if PathBuf::from(name).exists() || name.parse::<imagerag::hub::Place>().is_ok() {
        return Ok(());
    }
    Err(imagerag::Error::Unavailable {
        what: name.to_owned(),
        reason: "there is no such file or folder, and no repository is called so".to_owned(),
    })
}

/// That there is such a file or folder.
#[allow(dead_code, reason = "run files alone look before they load")]
#[cfg(not(feature = "hub"))]
pub(crate) fn check(name: &str) -> Result<()> {
    place(name).map(drop)
}

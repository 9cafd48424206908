//! What is written to a file that is there whole or not at all.

use std::fs::{self, File};
use std::path::Path;

use tempfile::Builder;

use crate::{Error, Result};

/// Has `write` fill the file at `path`, which takes its place, and the place of one that was there
/// before, when it is whole and on the disk. Where anything fails, the former one stays.
///
/// # Errors
/// That of `write`; [`Error::Io`] when the file cannot be made, kept or put in its place.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    let io = |source| Error::io(path, source);
    // A link stays, and what it leads to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        // A pipe or a terminal cannot be replaced.
        return write(&mut File::create(&target).map_err(io)?);
    }
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = Builder::new();
    builder.prefix(".").suffix(".partial");
    // Not `tempfile_in`: its mode is another, and its errors name the draft.
    let mut draft = builder.make_in(folder, |draft| File::create_new(draft)).map_err(io)?;
    write(draft.as_file_mut())?;
    draft.as_file().sync_all().map_err(io)?;
    draft.persist(&target).map_err(|error| io(error.error))?;
    Ok(())
}

/// [`write_atomically`] of bytes that are at hand.
#[cfg(any(feature = "gallery", feature = "hub", feature = "image"))]
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, |file| {
        std::io::Write::write_all(file, bytes).map_err(|source| Error::io(path, source))
    })
}

/// Makes sure that the names of new files in `folder` survive the machine.
#[cfg(feature = "gallery")]
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        return synced.map_err(|source| Error::io(folder, source));
    }
    Ok(())
}

#[cfg(all(test, feature = "image"))]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_fails_leaves_the_former_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note");
        write_bytes(&path, b"whole").unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"ha").unwrap();
            Err(Error::Cancelled)
        });
        assert!(matches!(failed, Err(Error::Cancelled)));
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(matches!(write_bytes(&path.join("note"), b""), Err(Error::Io { .. })));
    }

    #[test]
    fn an_error_names_the_file_and_not_its_draft() {
        let folder = tempfile::tempdir().unwrap();
        for target in [folder.path().join("none/x.png"), folder.path().to_owned()] {
            let said = write_bytes(&target, b"").unwrap_err().chain().to_string();
            assert!(said.starts_with(&format!("cannot access {}: ", target.display())), "{said}");
            assert!(!said.contains(".partial"), "{said}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_mode_is_that_of_any_new_file_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let [usual, ours, link] = ["usual", "ours", "link"].map(|name| folder.path().join(name));
        fs::write(&usual, b"").unwrap();
        write_bytes(&ours, b"").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&usual));
        symlink(&ours, &link).unwrap();
        write_bytes(&link, b"through").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&ours).unwrap(), b"through");
        write_bytes(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }
}

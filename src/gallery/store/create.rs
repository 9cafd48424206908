//! The fingerprint of an encoder to the folder of an empty gallery.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::catalog::{Catalog, State};
use super::{acknowledged, manifest, vectors};
use crate::atomic_file::sync_folder;
use crate::gallery::{Fingerprint, Gallery};
use crate::{Error, Result};

/// Galleries that this process has begun to create: no two have the same name on the way.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

impl Gallery {
    /// Creates an empty gallery for the vectors of one encoder in `folder`, which must not exist or
    /// be empty.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `folder` is not empty, also where another process creates a
    /// gallery there at the same time; [`Error::Io`] when it cannot be
    /// written.
    pub fn create(folder: impl AsRef<Path>, fingerprint: &Fingerprint) -> Result<Self> {
        let folder = folder.as_ref();
        let occupied = || {
            let found = format!("{}, which holds something", folder.display());
            Error::invalid_input("folder of a new gallery", "an empty folder", found)
        };
        let holds_something = fs::read_dir(folder).is_ok_and(|mut all| all.next().is_some());
        if holds_something || folder.is_file() {
            return Err(occupied());
        }
        // Made beside it and moved: the gallery is there whole or not at all.
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let (process, number) = (std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed));
        let draft = folder.with_file_name(format!(".{name}.{process}.{number}"));
        let made = fill(&draft, fingerprint).and_then(|()| {
            let moved = fs::remove_dir(folder)
                .or_else(|error| (error.kind() == ErrorKind::NotFound).then_some(()).ok_or(error))
                .and_then(|()| fs::rename(&draft, folder));
            moved.map_err(|source| match source.kind() {
                // Another one was there first.
                ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => occupied(),
                _ => Error::io(folder, source),
            })
        });
        if let Err(error) = made {
            let _ = fs::remove_dir_all(&draft);
            return Err(error);
        }
        sync_folder(folder.parent().unwrap_or(folder))?;
        Self::open(folder)
    }
}

fn fill(folder: &Path, fingerprint: &Fingerprint) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    let write = |path: PathBuf, bytes: &[u8]| {
        let written = fs::write(&path, bytes).and_then(|()| fs::File::open(&path)?.sync_all());
        written.map_err(|source| Error::io(path, source))
    };
    let manifest = manifest::write(fingerprint)?;
    write(folder.join(manifest::FILE), &manifest)?;
    write(folder.join(acknowledged::FILE), acknowledged::text(0).as_bytes())?;
    write(vectors::file(folder, 0), &[])?;
    let manifest = *blake3::hash(&manifest).as_bytes();
    Catalog::create(folder, State { generation: 0, revision: 0, manifest })?;
    sync_folder(folder)
}

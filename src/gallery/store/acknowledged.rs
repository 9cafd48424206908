//! `acknowledged`: the number of the last change that was acknowledged, by which a catalog that has
//! lost changes is found out.
//!
//! SQLite drops whatever follows a damaged page of its log, without a word.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::catalog;
use crate::{Error, Result};

pub(crate) const FILE: &str = "acknowledged";

/// The file's whole text: always of the same length, so that it is replaced in one write.
pub(crate) fn text(revision: u64) -> String {
    format!("{revision:020}\n")
}

pub(crate) fn read(folder: &Path) -> Result<u64> {
    let path = folder.join(FILE);
    let read = || fs::read(&path).map_err(|source| Error::io(&path, source));
    // What is read twice the same was not caught while it was written.
    let (mut before, mut found) = (read()?, read()?);
    while found != before {
        (before, found) = (found, read()?);
    }
    let number = str::from_utf8(&found).ok().and_then(|text| text.trim_end().parse().ok());
    number.filter(|&revision| text(revision).as_bytes() == found).ok_or_else(|| {
        let found = String::from_utf8_lossy(&found).into_owned();
        Error::invalid_file(path, "last change", "20 digits and a line break", found)
    })
}

pub(crate) fn write(mut file: &File, revision: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text(revision).as_bytes())
}

/// That a catalog at `revision` lacks nothing of what was `acknowledged`.
pub(crate) fn check(folder: &Path, acknowledged: u64, revision: u64) -> Result<()> {
    if revision >= acknowledged {
        return Ok(());
    }
    let (path, what) = (folder.join(catalog::FILE), "changes in the catalog and its log");
    let expected = format!("{acknowledged} (by the file `{FILE}`)");
    Err(Error::invalid_file(path, what, expected, revision))
}

//! A tar archive to the table of what is in it: names, places and lengths, and what is refused.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::{Error, Result};

/// Zeros of this length end an archive, and everything in it is aligned to it, in bytes.
const BLOCK: u64 = 512;

/// One file in an archive.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Where its bytes begin, and how many there are.
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What is in an archive.
#[derive(Debug, Default)]
pub(super) struct TarTable {
    pub(super) members: Vec<Member>,
    /// Members that are no files, or whose names lead out of the archive.
    pub(super) refused: Vec<(String, Error)>,
    /// Where and why reading stopped before the archive's end.
    pub(super) cut: Option<Error>,
}

impl TarTable {
    /// Reads the headers of the archive at `path`, and skips what is between them.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        let end = file.metadata().map_err(io)?.len();
        let mut table = Self::default();
        // Where the next header is.
        let mut next = 0;
        let mut archive = tar::Archive::new(BufReader::new(file));
        for entry in archive.entries_with_seek().map_err(io)? {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    table.cut = Some(cut(path, &table.members, error));
                    return Ok(table);
                }
            };
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let (offset, length) = (entry.raw_file_position(), entry.size());
            if offset.checked_add(length).is_none_or(|last| last > end) {
                table.cut = Some(cut(path, &table.members, format!("half of {name}")));
                return Ok(table);
            }
            next = (offset + length).next_multiple_of(BLOCK);
            let kind = entry.header().entry_type();
            if kind.is_dir() || kind.is_pax_global_extensions() {
                continue;
            }
            if kind.is_file() && stays_inside(&name) {
                table.members.push(Member { name, offset, length });
                continue;
            }
            let found = match kind.is_file() {
                true => "a path that leads out of it".to_owned(),
                false => format!("{kind:?}"),
            };
            let what = format!("member {name:?}");
            let error = Error::invalid_file(path, what, "a file in the archive", found);
            table.refused.push((name, error));
        }
        let mut reader = archive.into_inner();
        reader.seek(SeekFrom::Start(next)).map_err(io)?;
        if reader.read_exact(&mut [0; BLOCK as usize]).is_err() {
            table.cut = Some(cut(path, &table.members, "the end of the file"));
        }
        Ok(table)
    }
}

fn cut(path: &Path, members: &[Member], found: impl ToString) -> Error {
    let what = members.last().map(|last| format!("what follows {}", last.name));
    let what = what.unwrap_or_else(|| "its first member".to_owned());
    Error::invalid_file(path, what, "more of a tar archive", found)
}

/// Whether `name` stays below the folder it would be unpacked to, on any operating system.
fn stays_inside(name: &str) -> bool {
    let name = name.strip_prefix("./").unwrap_or(name);
    !name.contains(['\\', ':', '\0'])
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

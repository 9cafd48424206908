//! A tar archive to the table of what is in it: names, places and lengths, and what is refused.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::path_text::name_text;
use crate::{Error, Result, regular_file};

/// Zeros of this length end an archive, and everything in it is aligned to it, in bytes.
const BLOCK: u64 = 512;

/// The most members of an archive: their names are in memory. img2dataset puts 30,000 into a shard.
const MAX_MEMBERS: usize = 4 << 20;

/// The most that is read of a name and of other extensions of one header, in bytes. Linux' paths
/// are at most 4 KiB long.
const MAX_HEADER: u64 = 1 << 20;

/// What compressed files begin with.
const COMPRESSED: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"PK\x03\x04", "zip"),
];

/// One file in an archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its name without `./`; one that is not UTF-8 as [`name_text`] writes it.
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
    /// That there is more behind the archive's end, such as another archive.
    pub(super) behind: Option<Error>,
}

impl TarTable {
    /// Reads the headers of the archive at `path`, and skips what is between them.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let mut file = regular_file::open(path)?;
        check_plain(path, &mut file)?;
        let end = file.metadata().map_err(io)?.len();
        let mut table = Self::default();
        // Where the next header is.
        let mut next = 0;
        let mut archive = tar::Archive::new(Headers { file: BufReader::new(file), read: 0 });
        for entry in archive.entries_with_seek().map_err(io)? {
            if table.members.len() >= MAX_MEMBERS {
                table.cut = Some(cut(path, &table.members, "more members than are read"));
                return Ok(table);
            }
            let mut entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    table.cut = Some(cut(path, &table.members, error));
                    return Ok(table);
                }
            };
            let bytes = entry.path_bytes();
            let name = name_text(bytes.strip_prefix(b"./").unwrap_or(&bytes));
            drop(bytes);
            let kind = entry.header().entry_type();
            let sparse = kind.is_gnu_sparse() || is_pax_sparse(&mut entry);
            let (offset, length) = (entry.raw_file_position(), entry.size());
            // The size of a sparse file is that with its gaps.
            let stored = if kind.is_gnu_sparse() { entry.header().entry_size().ok() } else { None };
            let behind = offset.checked_add(stored.unwrap_or(length));
            let Some(behind) = behind.filter(|behind| *behind <= end) else {
                table.cut = Some(cut(path, &table.members, format!("half of {name}")));
                return Ok(table);
            };
            next = behind.next_multiple_of(BLOCK);
            if kind.is_dir() || kind.is_pax_global_extensions() {
                continue;
            }
            let is_file = kind.is_file() && !sparse;
            if is_file && stays_inside(&name) {
                table.members.push(Member { name, offset, length });
                continue;
            }
            let found = match is_file {
                true => "a path that leads out of it".to_owned(),
                false if sparse => "a sparse file".to_owned(),
                false => name_of(kind),
            };
            let what = format!("member {name:?}");
            let error = Error::invalid_file(path, what, "a file in the archive", found);
            table.refused.push((name, error));
        }
        let mut reader = archive.into_inner().file;
        reader.seek(SeekFrom::Start(next)).map_err(io)?;
        if reader.read_exact(&mut [0; BLOCK as usize]).is_err() {
            table.cut = Some(cut(path, &table.members, "the end of the file"));
        } else if !is_zeros(&mut reader).map_err(io)? {
            let (expected, found) = ("nothing but zeros", "data, such as another archive");
            let what = "what follows the end of the archive, which is not read";
            table.behind = Some(Error::invalid_file(path, what, expected, found));
        }
        Ok(table)
    }
}

/// Whether nothing but zeros follows, which pad an archive.
fn is_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        if bytes.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        let read = bytes.len();
        reader.consume(read);
    }
}

/// What a member is that is no file.
fn name_of(kind: tar::EntryType) -> String {
    match kind {
        tar::EntryType::Symlink | tar::EntryType::Link => "a link".to_owned(),
        tar::EntryType::Char | tar::EntryType::Block => "a device".to_owned(),
        tar::EntryType::Fifo => "a FIFO".to_owned(),
        tar::EntryType::Directory => "a folder".to_owned(),
        other => format!("a member of type {:?}", char::from(other.as_byte())),
    }
}

/// Whether an archive may begin with these bytes: a header, which has a checksum, or the zeros that
/// end an empty one. Of a part of a header, its name is filled up with zeros.
fn may_be_header(start: &[u8]) -> bool {
    let Ok(block) = <&[u8; BLOCK as usize]>::try_from(start) else {
        return start.len() < 2 || start.contains(&0);
    };
    // The checksum is that with spaces in its place.
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
    let header = tar::Header::from_byte_slice(block);
    block.iter().all(|&byte| byte == 0) || header.cksum().is_ok_and(|found| found == expected)
}

/// That `file` may be an archive, and is not compressed: its members would have no place that they
/// can be read from.
fn check_plain(path: &Path, file: &mut File) -> Result<()> {
    let io = |source| Error::io(path, source);
    let mut start = Vec::new();
    file.take(BLOCK).read_to_end(&mut start).map_err(io)?;
    file.rewind().map_err(io)?;
    match COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, with)) => {
            let expected = "a tar archive that is not compressed; decompress it first";
            let found = format!("one that is compressed with {with}");
            Err(Error::invalid_file(path, "shard", expected, found))
        }
        None if !may_be_header(&start) => {
            let found = "something else, such as a text";
            Err(Error::invalid_file(path, "shard", "a tar archive", found))
        }
        None => Ok(()),
    }
}

/// The headers of an archive. Between two of them is a seek; without one, only the extensions of a
/// header are read, which are not longer than [`MAX_HEADER`].
struct Headers {
    file: BufReader<File>,
    /// Bytes read since the last seek.
    read: u64,
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read > MAX_HEADER {
            return Err(io::Error::other(format!("a header of more than {MAX_HEADER} bytes")));
        }
        let read = self.file.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

impl Seek for Headers {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.read = 0;
        // The buffer stays where it holds what is next.
        match to {
            SeekFrom::Current(offset) => {
                self.file.seek_relative(offset)?;
                self.file.stream_position()
            }
            to => self.file.seek(to),
        }
    }
}

/// Whether PAX says that a member is sparse: what is stored begins with a map of its parts.
fn is_pax_sparse<R: Read>(entry: &mut tar::Entry<'_, R>) -> bool {
    let Ok(Some(mut extensions)) = entry.pax_extensions() else { return false };
    extensions.any(|one| one.is_ok_and(|one| one.key_bytes().starts_with(b"GNU.sparse.")))
}

fn cut(path: &Path, members: &[Member], found: impl ToString) -> Error {
    let what = members.last().map(|last| format!("what follows {}", last.name));
    let what = what.unwrap_or_else(|| "its first member".to_owned());
    Error::invalid_file(path, what, "more of a tar archive", found)
}

/// Whether `name` stays below the folder it would be unpacked to, on any operating system.
fn stays_inside(name: &str) -> bool {
    let drive = name.as_bytes();
    let absolute = name.starts_with('\\')
        || (drive.len() > 2 && drive[1] == b':' && matches!(drive[2], b'\\' | b'/'));
    !absolute
        && !name.contains('\0')
        && name.split('/').all(|part| !matches!(part, "" | "."))
        && name.split(['/', '\\']).all(|part| part != "..")
}

//! `catalog.sqlite`: the records of all images, each with a checksum that is compared when it is
//! read.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Params, Row, Statement};

use super::record::{ContentHash, Entry, ImageRecord, Pixels};
use super::vectors::Segment;
use crate::retriever::Metadata;
use crate::{Error, Result};

pub(super) const FILE: &str = "catalog.sqlite";

/// How long one process waits for another's transaction.
const BUSY: Duration = Duration::from_secs(30);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA user_version = 1;
    CREATE TABLE state (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        generation INTEGER NOT NULL, -- of vectors-GENERATION.f32
        revision INTEGER NOT NULL,   -- one more with every change
        manifest BLOB NOT NULL,      -- BLAKE3 of gallery.json
        checksum BLOB NOT NULL
    ) STRICT;
    CREATE TABLE images (
        id INTEGER PRIMARY KEY,      -- the row of its vector
        hash BLOB NOT NULL UNIQUE,   -- BLAKE3 of the picture file
        source TEXT NOT NULL UNIQUE, -- path or address
        path TEXT,                   -- the picture file, or the archive that it is in
        offset INTEGER,              -- where it begins in the archive
        length INTEGER,
        licence TEXT,
        author TEXT,
        origin TEXT,
        caption TEXT,
        width INTEGER,
        height INTEGER,
        json TEXT,
        checksum BLOB NOT NULL
    ) STRICT;
    -- Rows of vectors whose image is gone.
    CREATE TABLE removed (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL) STRICT;
    CREATE INDEX removed_by_revision ON removed (revision);
    -- Rows of vectors that were written together.
    CREATE TABLE segments (
        first INTEGER PRIMARY KEY,
        rows INTEGER NOT NULL,
        checksum BLOB NOT NULL       -- BLAKE3 of their bytes
    ) STRICT;
    CREATE TABLE rejected (source TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT;
";

const COLUMNS: &str = "id, hash, source, path, offset, length, licence, author, origin, caption, \
                       width, height, json, checksum";

/// What all of the folder is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Number of the file of vectors; rises when the gallery is compacted.
    pub(super) generation: u64,
    /// One more with every change.
    pub(super) revision: u64,
    /// BLAKE3 of the manifest.
    pub(super) manifest: [u8; 32],
}

/// A connection to the catalog, with its place for messages.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
}

impl Catalog {
    /// A new catalog of an empty gallery.
    pub(super) fn create(folder: &Path, state: State) -> Result<()> {
        let path = folder.join(FILE);
        let catalog = Self::connect(path, OpenFlags::default())?;
        catalog.run(|c| c.execute_batch(SCHEMA))?;
        catalog.execute(
            "INSERT INTO state VALUES (1, ?1, ?2, ?3, ?4)",
            (state.generation, state.revision, state.manifest, state.checksum()),
        )?;
        let path = catalog.path;
        catalog.connection.close().map_err(|(_, error)| explain(&path, error))
    }

    /// Opens for reading, beside a writer or on a medium that cannot be written.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let catalog = Self::connect(path.clone(), flags)?;
        match catalog.run(|c| c.query_row("SELECT one FROM state", [], |_| Ok(()))) {
            // The log's shared memory cannot be made there. Without a log none is needed.
            Err(Error::Io { .. }) if !folder.join(format!("{FILE}-wal")).exists() => {
                let address = format!("file:{}?immutable=1", uri_path(&path));
                Self::connect_as(path, address.as_ref(), flags | OpenFlags::SQLITE_OPEN_URI)
            }
            other => other.map(|()| catalog),
        }
    }

    /// Opens for reading and writing.
    pub(super) fn open_to_write(folder: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let catalog = Self::connect(folder.join(FILE), flags)?;
        // What is committed has reached the disk.
        catalog.run(|c| c.execute_batch("PRAGMA synchronous = FULL"))?;
        Ok(catalog)
    }

    fn connect(path: PathBuf, flags: OpenFlags) -> Result<Self> {
        let address = path.clone();
        Self::connect_as(path, &address, flags)
    }

    fn connect_as(path: PathBuf, address: &Path, flags: OpenFlags) -> Result<Self> {
        let connection =
            Connection::open_with_flags(address, flags).map_err(|error| explain(&path, error))?;
        let catalog = Self { path, connection };
        catalog.run(|c| c.busy_timeout(BUSY))?;
        catalog.run(|c| c.execute_batch("PRAGMA cell_size_check = ON"))?;
        Ok(catalog)
    }

    /// Runs `work` on the connection; its errors name the file.
    pub(super) fn run<'a, T>(
        &'a self,
        work: impl FnOnce(&'a Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        work(&self.connection).map_err(|error| explain(&self.path, error))
    }

    pub(super) fn execute(&self, sql: &str, values: impl Params) -> Result<usize> {
        self.run(|c| c.prepare_cached(sql)?.execute(values))
    }

    /// What `read` makes of each row that `sql` finds, in order.
    pub(super) fn query<T>(
        &self,
        sql: &str,
        values: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.run(|c| c.prepare_cached(sql)?.query_map(values, |row| read(row))?.collect())
    }

    /// Everything that is read until the guard is dropped is of one moment.
    pub(super) fn moment(&self) -> Result<rusqlite::Transaction<'_>> {
        self.run(Connection::unchecked_transaction)
    }

    /// A change, which is undone unless it is committed.
    pub(super) fn begin(&self) -> Result<rusqlite::Transaction<'_>> {
        let behavior = rusqlite::TransactionBehavior::Immediate;
        self.run(|c| rusqlite::Transaction::new_unchecked(c, behavior))
    }

    pub(super) fn state(&self) -> Result<State> {
        let (state, checksum) = self.run(|c| {
            c.prepare_cached("SELECT generation, revision, manifest, checksum FROM state")?
                .query_row([], |row| {
                    let (generation, revision) = (row.get(0)?, row.get(1)?);
                    let manifest = row.get(2)?;
                    Ok((State { generation, revision, manifest }, row.get::<_, [u8; 32]>(3)?))
                })
        })?;
        if checksum != state.checksum() {
            return Err(self.broken("state", "its checksum", "another"));
        }
        Ok(state)
    }

    pub(super) fn set_state(&self, state: State) -> Result<()> {
        self.execute(
            "UPDATE state SET generation = ?1, revision = ?2, manifest = ?3, checksum = ?4",
            (state.generation, state.revision, state.manifest, state.checksum()),
        )?;
        Ok(())
    }

    /// The pieces of the file of vectors from row `first` on.
    pub(super) fn segments(&self, first: u64) -> Result<Vec<Segment>> {
        self.query(
            "SELECT first, rows, checksum FROM segments WHERE first >= ?1 ORDER BY first",
            [first],
            |row| Ok(Segment { first: row.get(0)?, rows: row.get(1)?, checksum: row.get(2)? }),
        )
    }

    /// Up to `limit` images from number `first` on, in order.
    pub(super) fn entries(&self, first: u64, limit: usize) -> Result<Vec<Entry>> {
        let sql = format!("SELECT {COLUMNS} FROM images WHERE id >= ?1 ORDER BY id LIMIT ?2");
        let rows = self.query(&sql, (first, limit), checked_entry)?;
        rows.into_iter().map(|row| self.intact(row)).collect()
    }

    pub(super) fn entry(&self, id: u64) -> Result<Option<Entry>> {
        self.one("id", id)
    }

    pub(super) fn by_hash(&self, hash: &ContentHash) -> Result<Option<Entry>> {
        self.one("hash", hash.as_bytes())
    }

    pub(super) fn by_source(&self, source: &str) -> Result<Option<Entry>> {
        self.one("source", source)
    }

    fn one(&self, column: &str, value: impl rusqlite::ToSql) -> Result<Option<Entry>> {
        let sql = format!("SELECT {COLUMNS} FROM images WHERE {column} = ?1");
        let find = |mut statement: rusqlite::CachedStatement<'_>| {
            Statement::query_row(&mut statement, [value], checked_entry).optional()
        };
        let row = self.run(|c| find(c.prepare_cached(&sql)?))?;
        row.map(|row| self.intact(row)).transpose()
    }

    fn intact(&self, (entry, intact): (Entry, bool)) -> Result<Entry> {
        if intact {
            return Ok(entry);
        }
        Err(self.broken(&format!("image {}", entry.id), "its checksum", "another"))
    }

    /// Writes `entry`, whose number, content and source are new.
    pub(super) fn write(&self, entry: &Entry) -> Result<()> {
        let ImageRecord { hash, source, pixels, metadata } = &entry.record;
        let (path, offset, length) = place(pixels)?;
        let sql = format!(
            "INSERT INTO images ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        );
        self.execute(
            &sql,
            rusqlite::params![
                entry.id,
                hash.as_bytes(),
                source,
                path,
                offset,
                length,
                metadata.licence,
                metadata.author,
                metadata.origin,
                metadata.caption,
                metadata.width,
                metadata.height,
                metadata.json,
                checksum(entry)?
            ],
        )?;
        Ok(())
    }

    /// That the catalog is not as it was written.
    pub(super) fn broken(&self, what: &str, expected: &str, found: &str) -> Error {
        Error::invalid_file(&self.path, what, expected, found)
    }
}

impl State {
    fn checksum(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.generation.to_le_bytes()).update(&self.revision.to_le_bytes());
        *hasher.update(&self.manifest).finalize().as_bytes()
    }
}

/// An image, and whether it is as it was written.
fn checked_entry(row: &Row<'_>) -> rusqlite::Result<(Entry, bool)> {
    let pixels = match (row.get::<_, Option<String>>(3)?, row.get(4)?, row.get(5)?) {
        (Some(archive), Some(offset), Some(length)) => {
            Pixels::Member { archive: archive.into(), offset, length }
        }
        (Some(path), ..) => Pixels::File(path.into()),
        (None, ..) => Pixels::Remote,
    };
    let metadata = Metadata {
        licence: row.get(6)?,
        author: row.get(7)?,
        origin: row.get(8)?,
        caption: row.get(9)?,
        width: row.get(10)?,
        height: row.get(11)?,
        json: row.get(12)?,
    };
    let hash = ContentHash::from_bytes(row.get(1)?);
    let record = ImageRecord { hash, source: row.get(2)?, pixels, metadata };
    let entry = Entry { id: row.get(0)?, record };
    let intact = checksum(&entry).is_ok_and(|sum| row.get::<_, [u8; 16]>(13) == Ok(sum));
    Ok((entry, intact))
}

/// The first half of the BLAKE3 hash of all fields, each with its length.
fn checksum(entry: &Entry) -> Result<[u8; 16]> {
    let ImageRecord { hash, source, pixels, metadata } = &entry.record;
    let (path, offset, length) = place(pixels)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&entry.id.to_le_bytes()).update(hash.as_bytes());
    let Metadata { licence, author, origin, caption, width, height, json } = metadata;
    for number in [offset, length, width.map(u64::from), height.map(u64::from)] {
        hasher.update(&[u8::from(number.is_some())]);
        hasher.update(&number.unwrap_or(0).to_le_bytes());
    }
    let texts = [licence, author, origin, caption, json].map(Option::as_deref);
    for text in [Some(source.as_str()), path].into_iter().chain(texts) {
        hasher.update(&[u8::from(text.is_some())]);
        let text = text.unwrap_or("");
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Ok(half)
}

/// The columns `path`, `offset` and `length` of `pixels`.
pub(super) fn place(pixels: &Pixels) -> Result<(Option<&str>, Option<u64>, Option<u64>)> {
    let text = |path: &'_ Path| {
        Error::invalid_input("path of a picture", "a path in UTF-8", path.display())
    };
    Ok(match pixels {
        Pixels::File(path) => (Some(path.to_str().ok_or_else(|| text(path))?), None, None),
        Pixels::Member { archive, offset, length } => {
            let path = archive.to_str().ok_or_else(|| text(archive))?;
            (Some(path), Some(*offset), Some(*length))
        }
        Pixels::Remote => (None, None, None),
    })
}

/// `path` as SQLite's URIs write it.
fn uri_path(path: &Path) -> String {
    path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// What a failure of SQLite means to the caller. Our statements are fixed: where one of them does
/// not fit the file, the file is not what we wrote.
fn explain(path: &Path, error: rusqlite::Error) -> Error {
    let system = |kind: io::ErrorKind| Error::io(path, io::Error::new(kind, error.to_string()));
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => system(io::ErrorKind::StorageFull),
        Some(ErrorCode::PermissionDenied) => system(io::ErrorKind::PermissionDenied),
        Some(ErrorCode::ReadOnly) => system(io::ErrorKind::ReadOnlyFilesystem),
        Some(ErrorCode::CannotOpen) if !path.exists() => system(io::ErrorKind::NotFound),
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => system(io::ErrorKind::Other),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Unavailable {
            what: path.display().to_string(),
            reason: format!("another process has kept it for {BUSY:?}: {error}"),
        },
        Some(ErrorCode::OutOfMemory) => Error::backend(path.display().to_string(), error),
        _ => Error::invalid_file(path, "catalog", "an intact catalog", error),
    }
}

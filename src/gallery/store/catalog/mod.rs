//! `catalog.sqlite`: SQL to what the gallery knows, and SQLite's failures to what they mean.

mod records;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Params, Row};

use super::vectors::Segment;
use crate::{Error, Result};

pub(crate) const FILE: &str = "catalog.sqlite";

/// How long one process waits for another's transaction.
const BUSY: Duration = Duration::from_secs(30);

/// What all of the folder is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Number of the file of vectors; rises when the gallery is compacted.
    pub(crate) generation: u64,
    /// One more with every change.
    pub(crate) revision: u64,
    /// BLAKE3 of the manifest.
    pub(crate) manifest: [u8; 32],
}

/// A connection to the catalog, with its place for messages.
#[derive(Debug)]
pub(crate) struct Catalog {
    path: PathBuf,
    connection: Connection,
    /// Whether SQLite's structures were found in order.
    in_order: Cell<bool>,
}

impl Catalog {
    /// A new catalog of an empty gallery.
    pub(crate) fn create(folder: &Path, state: State) -> Result<()> {
        let path = folder.join(FILE);
        let catalog = Self::connect(path.clone(), &path, OpenFlags::default())?;
        catalog.run(|c| c.execute_batch(include_str!("schema.sql")))?;
        catalog.execute("INSERT INTO state VALUES (1, ?1, ?2, ?3, ?4)", state.columns())?;
        catalog.connection.close().map_err(|(_, error)| explain(&path, error))
    }

    /// Opens for reading, beside a writer or on a medium that cannot be written.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let catalog = Self::connect(path.clone(), &path, flags)?;
        match catalog.run(|c| c.query_row("SELECT one FROM state", [], |_| Ok(()))) {
            // The log's shared memory cannot be made there. Without a log none is needed.
            Err(Error::Io { .. }) if !folder.join(format!("{FILE}-wal")).exists() => {
                let address = format!("file:{}?immutable=1", uri_path(&path));
                Self::connect(path, address.as_ref(), flags | OpenFlags::SQLITE_OPEN_URI)
            }
            other => other.map(|()| catalog),
        }
    }

    /// Opens for reading and writing.
    pub(crate) fn open_to_write(folder: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let path = folder.join(FILE);
        let catalog = Self::connect(path.clone(), &path, flags)?;
        // What is committed has reached the disk.
        catalog.run(|c| c.execute_batch("PRAGMA synchronous = FULL"))?;
        let version: u32 =
            catalog.run(|c| c.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        if version == 1 {
            catalog.run(|c| c.execute_batch(include_str!("from_1_to_2.sql")))?;
        }
        Ok(catalog)
    }

    /// Connects to `path` under `address`, which may be a URI of SQLite's.
    fn connect(path: PathBuf, address: &Path, flags: OpenFlags) -> Result<Self> {
        let connection = Connection::open_with_flags(address, flags);
        let connection = connection.map_err(|error| explain(&path, error))?;
        let catalog = Self { path, connection, in_order: Cell::new(false) };
        catalog.run(|c| c.busy_timeout(BUSY))?;
        catalog.run(|c| c.execute_batch("PRAGMA cell_size_check = ON"))?;
        Ok(catalog)
    }

    /// Runs `work` on the connection; its errors name the file.
    pub(crate) fn run<'a, T>(
        &'a self,
        work: impl FnOnce(&'a Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        work(&self.connection).map_err(|error| explain(&self.path, error))
    }

    pub(crate) fn execute(&self, sql: &str, values: impl Params) -> Result<usize> {
        self.run(|c| c.prepare_cached(sql)?.execute(values))
    }

    /// What `read` makes of each row that `sql` finds, in order.
    pub(crate) fn query<T>(
        &self,
        sql: &str,
        values: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.run(|c| c.prepare_cached(sql)?.query_map(values, |row| read(row))?.collect())
    }

    /// Brings all that is in the log into the file, without waiting for readers.
    pub(crate) fn fold_log(&self) -> Result<()> {
        self.run(|c| c.busy_timeout(Duration::ZERO))?;
        self.run(|c| c.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"))
    }

    /// That SQLite's structures are in order. It is asked once, before its indexes are used: what
    /// they do not list would be taken for absent.
    pub(crate) fn check_structure(&self) -> Result<()> {
        if self.in_order.get() {
            return Ok(());
        }
        let sql = "PRAGMA integrity_check(10)";
        let found = self.query(sql, [], |row| row.get::<_, String>(0))?;
        if found != ["ok"] {
            return Err(self.broken("structure", "an intact SQLite file", &found.join("; ")));
        }
        self.in_order.set(true);
        Ok(())
    }

    /// Everything that is read until the guard is dropped is of one moment.
    pub(crate) fn moment(&self) -> Result<rusqlite::Transaction<'_>> {
        self.run(Connection::unchecked_transaction)
    }

    /// A change, which is undone unless it is committed.
    pub(crate) fn begin(&self) -> Result<rusqlite::Transaction<'_>> {
        let behavior = rusqlite::TransactionBehavior::Immediate;
        self.run(|c| rusqlite::Transaction::new_unchecked(c, behavior))
    }

    pub(crate) fn state(&self) -> Result<State> {
        let sql = "SELECT generation, revision, manifest, checksum FROM state";
        let read = |row: &Row<'_>| {
            let (generation, revision, manifest) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((State { generation, revision, manifest }, row.get::<_, [u8; 32]>(3)?))
        };
        let (state, checksum) = self.run(|c| c.prepare_cached(sql)?.query_row([], read))?;
        if checksum != state.checksum() {
            return Err(self.broken("state", "its checksum", "another"));
        }
        Ok(state)
    }

    pub(crate) fn set_state(&self, state: State) -> Result<()> {
        let sql = "UPDATE state SET generation = ?1, revision = ?2, manifest = ?3, checksum = ?4";
        self.execute(sql, state.columns()).map(|_| ())
    }

    /// The pieces of the file of vectors from row `first` on.
    pub(crate) fn segments(&self, first: u64) -> Result<Vec<Segment>> {
        let sql = "SELECT first, rows, checksum FROM segments WHERE first >= ?1 ORDER BY first";
        self.query(sql, [first], |row| {
            Ok(Segment { first: row.get(0)?, rows: row.get(1)?, checksum: row.get(2)? })
        })
    }

    /// That the catalog is not as it was written.
    pub(crate) fn broken(&self, what: &str, expected: &str, found: &str) -> Error {
        Error::invalid_file(&self.path, what, expected, found)
    }
}

impl State {
    fn columns(&self) -> (u64, u64, [u8; 32], [u8; 32]) {
        (self.generation, self.revision, self.manifest, self.checksum())
    }

    fn checksum(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.generation.to_le_bytes()).update(&self.revision.to_le_bytes());
        *hasher.update(&self.manifest).finalize().as_bytes()
    }
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
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let reason = format!("another process has kept it for {BUSY:?}: {error}");
            Error::unavailable(path.display().to_string(), reason)
        }
        Some(ErrorCode::OutOfMemory) => Error::backend(path.display().to_string(), error),
        _ => Error::invalid_file(path, "catalog", "an intact catalog", error),
    }
}

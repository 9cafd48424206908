//! [`Journal`]: records to a file of JSON lines that only grows, and back, whatever ended the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic_file::sync_folder;
use crate::{Error, Result, lenient, regular_file};

/// An append-only file of records, one JSON object a line.
///
/// - A record is on the disk when [`append`](Self::append) returns, and is never changed.
/// - What a killed process left of a line that it did not finish is dropped.
/// - A line that makes no sense is passed over, and named in [`Records::notes`].
/// - One process writes at a time; a lock beside the file, which the operating system takes away from a
///   process that ends, keeps others out.
///
/// ```
/// use imagerag::evaluation::experiment::{Journal, Records};
///
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-j-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// let path = folder.join("answers.jsonl");
/// let (mut journal, before): (Journal<(String, bool)>, _) = Journal::open(&path)?;
/// assert!(before.records.is_empty());
/// journal.append(&("Is this a quetzal?".to_owned(), true))?;
/// drop(journal);
///
/// let Records { records, notes } = Journal::<(String, bool)>::read(&path)?;
/// assert_eq!((records.len(), notes.len()), (1, 0));
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// Locked while this lives.
    _lock: File,
    records: PhantomData<fn(T)>,
}

/// What a [`Journal`] holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Records<T> {
    /// The records, oldest first.
    pub records: Vec<T>,
    /// What was passed over, by its file and line.
    pub notes: Vec<String>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens the journal at `path` to add to it, with what it holds. One that is not there is made; its
    /// folder must be there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another process, or another `Journal` of this one, has it open;
    /// [`Error::Io`] when it cannot be read and written; [`Error::InvalidFile`] when it is no file.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Records<T>)> {
        let path = path.as_ref().to_owned();
        let io = |source| Error::io(&path, source);
        let lock = lock(&path)?;
        let is_new = !path.exists();
        if !is_new {
            drop(regular_file::open(&path)?); // A FIFO would have `open` wait for its other end.
        }
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(&path).map_err(io)?;
        if is_new {
            sync_folder(path.parent().unwrap_or(Path::new("")))?;
        }
        let Lines { records, notes, whole, torn } = lines(&path, &mut file)?;
        match torn {
            Torn::Nothing => {}
            Torn::Newline => {
                file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(b"\n")).map_err(io)?;
            }
            Torn::Line => file.set_len(whole).map_err(io)?,
        }
        let length = file.seek(SeekFrom::End(0)).map_err(io)?;
        let journal = Self { path, file, length, _lock: lock, records: PhantomData };
        Ok((journal, Records { records, notes }))
    }

    /// What the journal at `path` holds; nothing where there is none. It is not changed, and may be open
    /// elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::InvalidFile`] when it is no file.
    pub fn read(path: impl AsRef<Path>) -> Result<Records<T>> {
        let path = path.as_ref();
        let mut file = match regular_file::open(path) {
            Ok(file) => file,
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(Records { records: Vec::new(), notes: Vec::new() });
            }
            Err(error) => return Err(error),
        };
        let Lines { records, notes, .. } = lines(path, &mut file)?;
        Ok(Records { records, notes })
    }

    /// Adds a record. It is on the disk when this returns; after an error it is not in the journal.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk is full or gone; [`Error::InvalidInput`] when `record` is nothing that
    /// JSON can hold.
    pub fn append(&mut self, record: &T) -> Result<()> {
        let invalid = |error| Error::invalid_input("record", "what JSON can hold", error);
        let mut line = serde_json::to_vec(record).map_err(invalid)?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // Half a line in the middle of the file would take the next one with it.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(Error::io(&self.path, source));
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

/// What stands behind the last newline.
enum Torn {
    Nothing,
    /// A whole record: somebody's editor left out the newline.
    Newline,
    /// Part of one.
    Line,
}

struct Lines<T> {
    records: Vec<T>,
    notes: Vec<String>,
    /// Bytes up to the last newline.
    whole: u64,
    torn: Torn,
}

fn lines<T: DeserializeOwned>(path: &Path, file: &mut File) -> Result<Lines<T>> {
    let mut reader = BufReader::new(file);
    let mut found = Lines { records: Vec::new(), notes: Vec::new(), whole: 0, torn: Torn::Nothing };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(|source| Error::io(path, source))?;
        if read == 0 {
            break;
        }
        let is_whole = line.ends_with(b"\n");
        if is_whole {
            found.whole += read as u64;
        }
        if line.trim_ascii().is_empty() {
            found.torn = if is_whole { Torn::Nothing } else { Torn::Line };
            continue;
        }
        match (lenient::json(&line), is_whole) {
            (Ok(record), _) => {
                found.records.push(record);
                found.torn = if is_whole { Torn::Nothing } else { Torn::Newline };
            }
            (Err(error), true) => {
                let path = path.display();
                found
                    .notes
                    .push(format!("{path}, line {number}: expected a record, found {error}"));
            }
            (Err(_), false) => found.torn = Torn::Line,
        }
    }
    Ok(found)
}

/// The lock of the journal at `path`: that of a file `NAME.lock` beside it, which stays.
fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = PathBuf::from(name);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
    let file = file.map_err(|source| Error::io(&lock, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let reason =
                "another run has it open, in this process or in another; wait for it or end it";
            Err(Error::unavailable(format!("writing to {}", path.display()), reason))
        }
        Err(TryLockError::Error(source)) => Err(Error::io(lock, source)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Record = (u32, String);

    fn record(n: u32) -> Record {
        (n, format!("record \u{1f99c} {n}\n\"quoted\""))
    }

    fn journal_of(folder: &Path, count: u32) -> PathBuf {
        let path = folder.join("records.jsonl");
        let (mut journal, _) = Journal::open(&path).unwrap();
        (0..count).for_each(|n| journal.append(&record(n)).unwrap());
        path
    }

    #[test]
    fn a_torn_last_line_is_dropped_at_every_length_and_the_file_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = journal_of(folder.path(), 3);
        let whole = fs::read(&path).unwrap();
        let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for length in last..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            // Without its newline alone, the last line is a whole record.
            let kept = if length >= whole.len() - 1 { 3 } else { 2 };
            let read = Journal::<Record>::read(&path).unwrap();
            assert_eq!(read.records, (0..kept).map(record).collect::<Vec<_>>(), "{length} bytes");
            let (mut journal, opened) = Journal::open(&path).unwrap();
            assert_eq!(opened, read);
            journal.append(&record(9)).unwrap();
            let mut expected = read.records;
            expected.push(record(9));
            let after = Journal::<Record>::read(&path).unwrap();
            assert_eq!((after.records, after.notes.len()), (expected, 0), "{length} bytes");
        }
    }

    #[test]
    fn lines_that_make_no_sense_are_named_and_the_others_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = journal_of(folder.path(), 2);
        let mut bytes = b"\xef\xbb\xbf".to_vec(); // An editor's byte order mark.
        bytes.extend(fs::read(&path).unwrap());
        bytes.extend(
            b"{\"half\": \n\n\0\0\0\0\n[\"of another kind\"]\r\n\xff\xfe\n[7, \"seven\"]\r\n",
        );
        fs::write(&path, bytes).unwrap();
        let Records { records, notes } = Journal::<Record>::read(&path).unwrap();
        assert_eq!(records, [record(0), record(1), (7, "seven".to_owned())]);
        let named: Vec<bool> = [3, 5, 6, 7]
            .iter()
            .map(|n| notes.iter().any(|note| note.contains(&format!(", line {n}: "))))
            .collect();
        assert_eq!((named, notes.len()), (vec![true; 4], 4), "{notes:?}");
    }

    #[test]
    fn one_writer_at_a_time_and_readers_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = journal_of(folder.path(), 1);
        let (mut journal, _) = Journal::<Record>::open(&path).unwrap();
        let error = Journal::<Record>::open(&path).unwrap_err().to_string();
        assert!(error.contains("records.jsonl") && error.contains("another run"), "{error}");
        journal.append(&record(1)).unwrap();
        assert_eq!(Journal::<Record>::read(&path).unwrap().records.len(), 2);
        drop(journal);
        assert_eq!(Journal::<Record>::open(&path).unwrap().1.records.len(), 2);
    }

    #[test]
    fn there_is_nothing_where_no_journal_is_and_a_folder_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let none = Journal::<Record>::read(folder.path().join("none.jsonl")).unwrap();
        assert_eq!(none, Records { records: Vec::new(), notes: Vec::new() });
        assert!(matches!(Journal::<Record>::read(folder.path()), Err(Error::InvalidFile { .. })));
        let error = Journal::<Record>::open(folder.path().join("no/such.jsonl")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}

//! [`Cache`]: a folder that keeps what was downloaded, for a while and up to a size.
//!
//! ```text
//! FOLDER/pictures/HASH   a picture, by the hash of its address
//! FOLDER/searches/HASH   what a search found, by the hash of what was asked
//! ```
//! Each file is the BLAKE3 hash of what follows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::atomic_file::write_bytes;
use crate::{Error, Result};

/// The length of a hash in front of a file's content, in bytes.
const HASH: usize = blake3::OUT_LEN;

/// What is kept, by its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pictures,
    Searches,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Pictures, Self::Searches];

    const fn folder(self) -> &'static str {
        match self {
            Self::Pictures => "pictures",
            Self::Searches => "searches",
        }
    }
}

/// A folder of this and other processes.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub(super) folder: PathBuf,
    /// The most that all files take together, in bytes; the oldest go first.
    pub(super) max_bytes: u64,
    /// How long each kind is kept, in the order of [`Kind::ALL`].
    pub(super) max_age: [Duration; 2],
}

impl Cache {
    /// Makes the folders, so that one that cannot be written is known before anything is sent.
    pub(super) fn create(&self) -> Result<()> {
        for kind in Kind::ALL {
            let folder = self.folder.join(kind.folder());
            fs::create_dir_all(&folder).map_err(|source| Error::io(&folder, source))?;
        }
        Ok(())
    }

    /// What is kept under `key`, unless it is too old or not what was written.
    pub(super) fn read(&self, kind: Kind, key: &str) -> Option<Vec<u8>> {
        let path = self.path(kind, key);
        let written = fs::metadata(&path).and_then(|file| file.modified()).ok()?;
        // A time that lies ahead says nothing.
        let age = SystemTime::now().duration_since(written).ok()?;
        if age >= self.max_age[kind as usize] {
            return None;
        }
        let mut bytes = fs::read(path).ok()?;
        let content = bytes.get(HASH..)?;
        if blake3::hash(content).as_bytes() != &bytes[..HASH] {
            return None;
        }
        bytes.drain(..HASH);
        Some(bytes)
    }

    /// Keeps `content` under `key`. What cannot be written is not kept: it is at hand all the same, and
    /// is downloaded again the next time.
    pub(super) fn write(&self, kind: Kind, key: &str, content: &[u8]) {
        let whole = [blake3::hash(content).as_bytes(), content].concat();
        let fits = whole.len() as u64 <= self.max_bytes && !self.max_age[kind as usize].is_zero();
        if fits && write_bytes(&self.path(kind, key), &whole).is_ok() {
            self.shrink();
        }
    }

    fn path(&self, kind: Kind, key: &str) -> PathBuf {
        self.folder.join(kind.folder()).join(blake3::hash(key.as_bytes()).to_hex().as_str())
    }

    /// Removes the oldest files while all of them take too much.
    fn shrink(&self) {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for kind in Kind::ALL {
            for file in
                fs::read_dir(self.folder.join(kind.folder())).into_iter().flatten().flatten()
            {
                let Ok(about) = file.metadata() else { continue };
                let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                if about.is_file() && is_ours(&file.path()) {
                    files.push((written, about.len(), file.path()));
                }
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= self.max_bytes {
                break;
            }
            // Another process may have been faster.
            let _ = fs::remove_file(path);
            total -= bytes;
        }
    }
}

/// Whether a cache has written the file at `path`, or begun to: nothing else in its folder is removed.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_hash = name.len() == 2 * HASH && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash || name.ends_with(".partial")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, max_bytes: u64) -> Cache {
        let max_age = [Duration::from_secs(60), Duration::from_secs(30)];
        let cache = Cache { folder: folder.to_owned(), max_bytes, max_age };
        cache.create().unwrap();
        cache
    }

    /// Lets the file of `key` be `seconds` old.
    fn age(cache: &Cache, kind: Kind, key: &str, seconds: u64) {
        let file = fs::File::options().write(true).open(cache.path(kind, key)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn what_is_kept_is_there_until_it_is_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1000);
        cache.write(Kind::Pictures, "a", b"one");
        cache.write(Kind::Searches, "a", b"");
        assert_eq!(cache.read(Kind::Pictures, "a").as_deref(), Some(&b"one"[..]));
        assert_eq!(cache.read(Kind::Searches, "a").as_deref(), Some(&b""[..]));
        assert_eq!(cache.read(Kind::Pictures, "b"), None);
        for kind in Kind::ALL {
            age(&cache, kind, "a", 45);
        }
        assert!(cache.read(Kind::Pictures, "a").is_some());
        assert_eq!(cache.read(Kind::Searches, "a"), None);
        age(&cache, Kind::Pictures, "a", 61);
        assert_eq!(cache.read(Kind::Pictures, "a"), None);
        let file = fs::File::options().write(true).open(cache.path(Kind::Pictures, "a")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(9000)).unwrap();
        assert_eq!(cache.read(Kind::Pictures, "a"), None, "written in the future");
    }

    #[test]
    fn what_is_damaged_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1000);
        let path = cache.path(Kind::Pictures, "a");
        for damage in [
            (|bytes| bytes[40] ^= 1) as fn(&mut Vec<u8>),
            |bytes| bytes[3] ^= 1,
            |bytes| bytes.truncate(50),
            |bytes| bytes.truncate(31),
            |bytes| bytes.clear(),
            |bytes| bytes.push(0),
        ] {
            cache.write(Kind::Pictures, "a", &[7; 100]);
            assert_eq!(cache.read(Kind::Pictures, "a").unwrap(), [7; 100]);
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
            assert_eq!(cache.read(Kind::Pictures, "a"), None);
        }
    }

    #[test]
    fn the_oldest_goes_where_there_is_no_room_and_nothing_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 410);
        let foreign = folder.path().join("pictures/holiday.jpg");
        fs::write(&foreign, [0; 900]).unwrap();
        for (key, seconds) in [("a", 30), ("b", 50), ("c", 40)] {
            cache.write(Kind::Pictures, key, &[1; 100]);
            age(&cache, Kind::Pictures, key, seconds);
        }
        let draft = folder.path().join("searches/.x.partial");
        fs::write(&draft, [0; 9]).unwrap();
        cache.write(Kind::Searches, "d", &[1; 100]);
        let kept = ["a", "b", "c"].map(|key| cache.read(Kind::Pictures, key).is_some());
        assert_eq!(kept, [true, false, true]);
        assert!(cache.read(Kind::Searches, "d").is_some() && foreign.exists());
        cache.write(Kind::Pictures, "huge", &[1; 411]);
        assert_eq!(cache.read(Kind::Pictures, "huge"), None);
        assert!(cache.read(Kind::Pictures, "a").is_some(), "for what does not fit nothing goes");
    }
}

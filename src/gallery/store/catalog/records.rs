//! A record to its row in `catalog.sqlite` and back, compared with its checksum when it is read.

use std::borrow::Cow;
use std::path::Path;

use blake3::Hasher;
use rusqlite::{OptionalExtension, Row, ToSql};

use super::Catalog;
use crate::gallery::store::record::{ContentHash, Entry, ImageRecord, Pixels, Rejected};
use crate::path_text::{path_text, text_path};
use crate::reference::Metadata;
use crate::{Error, Result};

const COLUMNS: &str = "id, hash, source, path, offset, length, license, author, origin, caption, \
                       width, height, json, checksum";

/// Stands for the gallery's folder in the paths that begin with it.
const BELOW: &str = "<gallery>";

impl Catalog {
    /// Up to `limit` images from number `first` on, in order.
    pub(crate) fn entries(&self, first: u64, limit: usize) -> Result<Vec<Entry>> {
        let rows = self.rows(first, limit)?.into_iter();
        rows.map(|row| row.map_err(|id| self.damaged(id))).collect()
    }

    /// As [`entries`](Self::entries); of one that is not as it was written, its number.
    pub(crate) fn rows(&self, first: u64, limit: usize) -> Result<Vec<Result<Entry, u64>>> {
        let sql = format!("SELECT {COLUMNS} FROM images WHERE id >= ?1 ORDER BY id LIMIT ?2");
        let rows = self.query(&sql, (first, limit), compared)?;
        Ok(rows.into_iter().map(|row| row.map(|entry| self.located(entry))).collect())
    }

    /// Image `id`, where there is one.
    pub(crate) fn entry(&self, id: u64) -> Result<Option<Entry>> {
        self.one("id", id)
    }

    /// The image with this content, where there is one.
    pub(crate) fn by_hash(&self, hash: &ContentHash) -> Result<Option<Entry>> {
        self.check_structure()?;
        self.one("hash", hash.as_bytes())
    }

    /// The image from this source, where there is one.
    pub(crate) fn by_source(&self, source: &str) -> Result<Option<Entry>> {
        self.check_structure()?;
        self.one("source", source)
    }

    fn one(&self, column: &str, value: impl ToSql) -> Result<Option<Entry>> {
        let sql = format!("SELECT {COLUMNS} FROM images WHERE {column} = ?1");
        let row = self.run(|c| c.prepare_cached(&sql)?.query_row([value], compared).optional())?;
        let intact = |row: Result<_, _>| row.map_err(|id| self.damaged(id));
        Ok(row.map(intact).transpose()?.map(|entry| self.located(entry)))
    }

    /// `entry` as it is written down: a path that begins with the gallery's folder goes where that
    /// goes.
    fn stored(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        if let Some(path) = entry.record.pixels.path_mut()
            && let Ok(below) = path.strip_prefix(self.folder())
        {
            *path = Path::new(BELOW).join(below);
        }
        entry
    }

    /// `entry` with the place where its picture is now.
    fn located(&self, mut entry: Entry) -> Entry {
        if let Some(path) = entry.record.pixels.path_mut()
            && let Ok(below) = path.strip_prefix(BELOW)
        {
            *path = self.folder().join(below);
        }
        entry
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// That image `id` is not as it was written.
    pub(crate) fn damaged(&self, id: u64) -> Error {
        self.broken(&format!("image {id}"), "a record that fits its checksum", "another")
    }

    /// The images that could not be added, by source.
    pub(crate) fn rejected(&self) -> Result<Vec<Rejected>> {
        let sql = "SELECT source, reason, checksum FROM rejected ORDER BY source, rowid";
        let rows = self.query(sql, [], |row| {
            let rejected = Rejected { source: row.get(0)?, reason: row.get(1)? };
            Ok((row.get::<_, [u8; 16]>(2)? == checksum_of(&rejected), rejected))
        })?;
        if let Some((_, rejected)) = rows.iter().find(|(intact, _)| !intact) {
            let what = format!("rejected image {}", rejected.source);
            return Err(self.broken(&what, "a record that fits its checksum", "another"));
        }
        Ok(rows.into_iter().map(|(_, rejected)| rejected).collect())
    }

    /// Writes that an image could not be added, with the number of the change that notes it.
    pub(crate) fn reject(&self, rejected: &Rejected, revision: u64) -> Result<()> {
        let sql = "INSERT INTO rejected VALUES (?1, ?2, ?3, ?4)";
        let Rejected { source, reason } = rejected;
        self.execute(sql, (source, reason, revision, checksum_of(rejected))).map(|_| ())
    }

    /// Writes `entry`, whose number, content and source are new.
    pub(crate) fn write(&self, entry: &Entry) -> Result<()> {
        let entry = &self.stored(entry);
        let ImageRecord { hash, source, pixels, metadata } = &entry.record;
        let (path, offset, length) = place(pixels);
        let sql = format!(
            "INSERT INTO images ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        );
        let values = rusqlite::params![
            entry.id,
            hash.as_bytes(),
            source,
            path,
            offset,
            length,
            metadata.license,
            metadata.author,
            metadata.origin,
            metadata.caption,
            metadata.width,
            metadata.height,
            metadata.json,
            checksum(entry)
        ];
        self.execute(&sql, values).map(|_| ())
    }
}

/// The first half of the BLAKE3 hash of what was `rejected`.
fn checksum_of(rejected: &Rejected) -> [u8; 16] {
    let mut hasher = Hasher::new();
    half(add_text(add_text(&mut hasher, Some(&rejected.source)), Some(&rejected.reason)))
}

/// An image, or the number of one that is not as it was written.
fn compared(row: &Row<'_>) -> rusqlite::Result<Result<Entry, u64>> {
    let id = row.get(0)?;
    let intact = read(id, row)
        .ok()
        .filter(|entry| row.get::<_, [u8; 16]>(13).is_ok_and(|found| found == checksum(entry)));
    Ok(intact.ok_or(id))
}

fn read(id: u64, row: &Row<'_>) -> rusqlite::Result<Entry> {
    let path = row.get::<_, Option<String>>(3)?.map(|text| text_path(&text));
    let member = row.get::<_, Option<u64>>(4)?.zip(row.get(5)?);
    let pixels = Pixels::from_parts(path, member).unwrap_or(Pixels::Remote);
    let metadata = Metadata {
        license: row.get(6)?,
        author: row.get(7)?,
        origin: row.get(8)?,
        caption: row.get(9)?,
        width: row.get(10)?,
        height: row.get(11)?,
        json: row.get(12)?,
    };
    let hash = ContentHash::from_bytes(row.get(1)?);
    Ok(Entry { id, record: ImageRecord { hash, source: row.get(2)?, pixels, metadata } })
}

/// The first half of the BLAKE3 hash of all fields.
fn checksum(entry: &Entry) -> [u8; 16] {
    let ImageRecord { hash, source, pixels, metadata } = &entry.record;
    let (path, offset, length) = place(pixels);
    let Metadata { license, author, origin, caption, width, height, json } = metadata;
    let mut hasher = Hasher::new();
    hasher.update(&entry.id.to_le_bytes()).update(hash.as_bytes());
    for number in [offset, length, width.map(u64::from), height.map(u64::from)] {
        hasher.update(&[u8::from(number.is_some())]);
        hasher.update(&number.unwrap_or(0).to_le_bytes());
    }
    let texts = [license, author, origin, caption, json].map(Option::as_deref);
    for text in [Some(source.as_str()), path.as_deref()].into_iter().chain(texts) {
        add_text(&mut hasher, text);
    }
    half(&hasher)
}

/// With its length, so that no two lists of texts are the same bytes.
fn add_text<'a>(hasher: &'a mut Hasher, text: Option<&str>) -> &'a mut Hasher {
    hasher.update(&[u8::from(text.is_some())]);
    let text = text.unwrap_or("");
    hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes())
}

fn half(hasher: &Hasher) -> [u8; 16] {
    let mut half = [0; 16];
    hasher.finalize_xof().fill(&mut half);
    half
}

/// The columns `path`, `offset` and `length` of `pixels`. A path that is not UTF-8 is written as a
/// URL.
fn place(pixels: &Pixels) -> (Option<Cow<'_, str>>, Option<u64>, Option<u64>) {
    let (path, member) = pixels.parts();
    let (offset, length) = member.unzip();
    (path.map(path_text), offset, length)
}

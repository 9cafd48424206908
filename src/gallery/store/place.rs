//! An image that is met to its place in the gallery: new, known, moved, a copy, or instead of another.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::change::Change;
use super::copies::{Copies, is_same};
use super::pixels::{IMAGES, read};
use super::record::{Added, ContentHash, Entry, ImageRecord, Pixels, Rejected};
use crate::path_text::{split_member, text_path};
use crate::reference::Metadata;
use crate::{Error, Result};

/// Before the hash, the source of an image whose own source has other content now.
const DISPLACED: &str = "<displaced> ";

impl Change<'_> {
    /// Finds a place for `record`, whose vector would be row `row`.
    ///
    /// An image whose source has other content now is not removed at once, for it may be met again
    /// under another name: see [`displace`](Self::displace).
    pub(crate) fn add(&mut self, row: u64, record: &ImageRecord) -> Result<Added> {
        self.touch("DELETE FROM rejected WHERE source = ?1", [&record.source])?;
        let known = self.catalog.by_hash(&record.hash)?;
        let prior = self.catalog.by_source(&record.source)?;
        let prior = prior.filter(|prior| prior.record.hash != record.hash);
        if let Some(prior) = &prior {
            self.displace(prior)?;
        }
        let Some(known) = known else {
            self.changed = true;
            self.met.ids.insert(row);
            self.catalog.write(&Entry { id: row, record: record.clone() })?;
            return Ok(
                prior.map_or(Added::New(row), |prior| Added::Updated { id: row, old: prior.id })
            );
        };
        let is_here = known.record.source == record.source
            || is_displaced(&known.record)
            || self.has_moved(&known, record);
        if is_here {
            self.take_over(&known, record)?;
        } else {
            self.note_copy(&known, record)?;
        }
        Ok(Added::Known(known.id))
    }

    /// Whether the image `known` is where `record` says, and no longer where it was.
    fn has_moved(&self, known: &Entry, record: &ImageRecord) -> bool {
        let old = &known.record.pixels;
        let is_there = match *old == record.pixels {
            true => !is_gone(old),
            false => holds(old, &record.hash),
        };
        if self.has_source_alone(old, record) {
            return !is_there || !self.met.ids.contains(&known.id);
        }
        // A place in an archive has one name, and a file in a folder too, however that is written.
        !is_there || is_same_place(old, &record.pixels)
    }

    /// Whether nothing but the sources tells where the picture, whose pixels were at `old`, is.
    fn has_source_alone(&self, old: &Pixels, record: &ImageRecord) -> bool {
        let is_member = matches!(old, Pixels::Member { .. });
        !self.is_on_disk(old) || (*old == record.pixels && !is_member)
    }

    /// Lets `known` be what `record` says: license, author, origin and JSON are absent where it says
    /// none. Captions, which a VLM may have written, and sizes stay where it says nothing new.
    fn take_over(&mut self, known: &Entry, record: &ImageRecord) -> Result<()> {
        let (old, new) = (&known.record.metadata, &record.metadata);
        let mut metadata = Metadata {
            caption: new.caption.as_ref().or(old.caption.as_ref()).cloned(),
            width: new.width.or(old.width),
            height: new.height.or(old.height),
            ..new.clone()
        };
        self.met.ids.insert(known.id);
        let mut copies = Copies::of(old);
        if let Some(license) = &old.license
            && self.has_source_alone(&known.record.pixels, record)
            && !is_displaced(&known.record)
        {
            // It may still be there too.
            copies.insert(&known.record.source, license);
        }
        copies.retain(|source| source != record.source && self.may_be_copy(source, record));
        copies.settle(&mut metadata, &record.source);
        let merged = Entry { id: known.id, record: ImageRecord { metadata, ..record.clone() } };
        if merged == *known { Ok(()) } else { self.rewrite(&merged) }
    }

    /// Notes that `record` is of a copy of the image `known`, which stays where it is. A license that
    /// the copy contradicts is none, and the copy is rejected by name.
    fn note_copy(&mut self, known: &Entry, copy: &ImageRecord) -> Result<()> {
        let mut known = known.clone();
        let ImageRecord { source, metadata, .. } = &mut known.record;
        let mut copies = Copies::of(metadata);
        metadata.license = metadata.license.take().or_else(|| copies.remove(source));
        copies.retain(|other| other != copy.source && self.may_be_copy(other, copy));
        if let (Some(own), Some(other)) = (&metadata.license, &copy.metadata.license)
            && !is_same(own, other)
        {
            let expected = format!("{own:?}, as for its copy {source}");
            let error = Error::invalid_input("license", expected, format!("{other:?}"));
            let reason = format!("{error}; the image has no license");
            let rejected = Rejected { source: copy.source.clone(), reason };
            self.changed = true;
            self.catalog.reject(&rejected, self.state.revision)?;
            self.met.contradictions += 1;
            copies.insert(&copy.source, other);
        }
        copies.settle(metadata, source);
        if self.catalog.entry(known.id)?.as_ref() == Some(&known) {
            Ok(())
        } else {
            self.rewrite(&known)
        }
    }

    /// Whether the picture is in a file that is not the gallery's own: what is there tells whether it
    /// still has its source.
    fn is_on_disk(&self, pixels: &Pixels) -> bool {
        pixels.parts().0.is_some_and(|path| !path.starts_with(self.folder.join(IMAGES)))
    }

    /// Whether there may still be a copy of `record` at `source`.
    fn may_be_copy(&self, source: &str, record: &ImageRecord) -> bool {
        let (path, member) = split_member(source);
        let path = self.folder.join(text_path(path));
        match (self.is_on_disk(&record.pixels), member) {
            (false, _) => true,
            (true, "") => holds(&Pixels::File(path), &record.hash),
            (true, _) => fs::exists(path).unwrap_or(true),
        }
    }

    /// Takes its source from `prior`, because other content is there now. It gets another where its
    /// content is met again, or goes with [`remove_displaced`](Self::remove_displaced).
    fn displace(&mut self, prior: &Entry) -> Result<()> {
        let source = format!("{DISPLACED}{}", prior.record.hash);
        let record = ImageRecord { source, ..prior.record.clone() };
        self.rewrite(&Entry { id: prior.id, record })
    }

    /// Removes the images whose sources have other content, and which were not met elsewhere.
    pub(crate) fn remove_displaced(&mut self) -> Result<()> {
        let sql = "SELECT id FROM images WHERE source >= ?1 AND source < ?1 || 'g'";
        let ids: Vec<u64> = self.catalog.query(sql, [DISPLACED], |row| row.get(0))?;
        ids.into_iter().try_for_each(|id| self.remove(id).map(|_| ()))
    }
}

/// Whether the source of the image has other content now.
fn is_displaced(record: &ImageRecord) -> bool {
    record.source.strip_prefix(DISPLACED).is_some_and(|hash| hash == record.hash.to_string())
}

/// Whether the file of these pixels is gone.
fn is_gone(pixels: &Pixels) -> bool {
    pixels.parts().0.is_some_and(|path| fs::exists(path).is_ok_and(|there| !there))
}

/// Whether both are the same file in one folder, or the same place in it, however the folder is
/// written.
fn is_same_place(one: &Pixels, other: &Pixels) -> bool {
    let ((Some(one), part), (Some(other), other_part)) = (one.parts(), other.parts()) else {
        return false;
    };
    let folder = |path: &Path| path.parent().and_then(|folder| folder.canonicalize().ok());
    let is_same_file = one.file_name() == other.file_name() && folder(one) == folder(other);
    part == other_part && (one == other || is_same_file)
}

/// Whether the picture file of this hash is at `pixels`, as far as that can be known.
fn holds(pixels: &Pixels, hash: &ContentHash) -> bool {
    match read(pixels, u64::MAX) {
        Ok(bytes) => bytes.is_none_or(|bytes| ContentHash::of(&bytes) == *hash),
        Err(Error::Io { source, .. }) => {
            !matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        }
        Err(_) => false,
    }
}

//! A folder tree to the picture files in it, one after the other.

use std::path::{Path, PathBuf};

use super::shards::{is_shard, successes};
use super::{Item, WebDataset, rejected, tally};
use crate::folder::{Found, LeftOut, LeftOutKind, Tree};
use crate::gallery::Rejected;
use crate::path_text::path_text;
use crate::{Error, Result};

/// Every picture file below a folder, in the order of their paths; those in folders that links lead
/// to come last. Nothing is decoded.
///
/// **A picture** is what an ending of PNG, JPEG, WebP, GIF, BMP or TIFF is on, such as `.jpg`, `.JPG`
/// or `.jfif`, and what is one of these by its first bytes, whatever it is called. Pictures in known
/// formats that are not read, such as AVIF, HEIC or SVG, are rejected by name, and so is what cannot
/// be opened without waiting: a FIFO, a socket, a device. Hidden files, what systems leave behind
/// (`Thumbs.db`, `__MACOSX`), and what is no picture are [left out](Self::left_out) and counted.
///
/// **What is known of `bee.jpg`** is read from `bee.jpg.json`, `bee.json`, `bee.txt` and
/// `bee.caption` beside it, as img2dataset, gallery-dl and kohya's scripts lay them out, and from the
/// `catalog.json` of the folder, a list of `{"file", "caption", "license", "author", "source", …}`.
/// `license` and `licence` are both read. A text that does not tell which picture it is about, such
/// as `bee.json` beside `bee.jpg` and `bee.png` or `bee.heic`, is about none, and is rejected by name.
/// So is metadata that is not understood; the picture comes without it. A picture whose licenses
/// contradict each other has none, and that is rejected by name too. A `catalog.json` in a sub-folder,
/// `metadata.jsonl` and `metadata.csv` are not read.
///
/// Sources are absolute paths unless the gallery is built
/// [with relative ones](super::Ingest::with_relative_paths). A path that is not UTF-8 is written as
/// a URL in which the other bytes are percent-encoded, such as `file:///photos/caf%E9.jpg`. Each
/// folder is entered once, however many links lead to it.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    tree: Tree,
    /// The shard that is being read.
    shard: Option<WebDataset>,
    with_shards: bool,
    /// Pictures that are still to come, where they were counted.
    left: Option<usize>,
    left_out: LeftOut,
}

impl Folder {
    /// The pictures below `root`.
    ///
    /// # Errors
    /// [`Error::Io`] when `root` cannot be read.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let absolute = std::path::absolute(root).map_err(|source| Error::io(root, source))?;
        let tree = Tree::open(&absolute).map_err(|error| match error {
            Error::Io { source, .. } => Error::io(root, source),
            other => other,
        })?;
        let (shard, left, left_out) = (None, None, LeftOut::default());
        Ok(Self { root: absolute, tree, shard, with_shards: false, left, left_out })
    }

    /// Also takes the pictures of [WebDataset shards](WebDataset) in the tree, which are left out
    /// otherwise.
    #[must_use]
    pub fn with_shards(mut self) -> Self {
        self.with_shards = true;
        if self.left.is_some() { self.counted() } else { self }
    }

    /// Goes through the tree once to count its pictures, so that the time that is left can be
    /// foretold. Of shards, img2dataset's statistics tell the number; without them it is not known.
    #[must_use]
    pub fn counted(mut self) -> Self {
        let with_shards = self.with_shards;
        self.left = Tree::count(&self.root, |path| match with_shards && is_shard(path) {
            true => successes(path),
            false => Some(0),
        });
        self
    }

    /// The files that were left out so far, by kind.
    pub const fn left_out(&self) -> &LeftOut {
        &self.left_out
    }
}

impl Iterator for Folder {
    type Item = Result<Item, Rejected>;

    fn next(&mut self) -> Option<Result<Item, Rejected>> {
        loop {
            if let Some(shard) = &mut self.shard {
                if let Some(found) = shard.next() {
                    return Some(found);
                }
                if let Some(shard) = self.shard.take() {
                    self.left_out.append(shard.into_left_out());
                }
            }
            let found = match self.tree.next()? {
                Found::LeftOut(LeftOutKind::Other, path) if self.with_shards && is_shard(&path) => {
                    self.shard = Some(WebDataset::of(vec![path]));
                    continue;
                }
                Found::LeftOut(kind, path) => {
                    tally::note(&mut self.left_out, kind, path_text(&path).into_owned());
                    continue;
                }
                Found::Picture(picture) => {
                    let read = picture.read.iter().map(|path| path_text(path).into_owned());
                    let read = read.collect();
                    Ok(Item::file(picture.path).with_metadata(picture.metadata).read_from(read))
                }
                Found::Rejected(path, problem) => Err(rejected(path_text(&path), problem)),
            };
            self.left = self.left.map(|left| left.saturating_sub(1));
            return Some(found);
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.left)
    }
}

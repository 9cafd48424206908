//! The output of clip-retrieval, embeddings and their metadata, to images that are embedded
//! already, one after the other.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::npy::NpyRows;
use super::table::TableRows;
use super::{Content, Item, list, rejected, web_dataset};
use crate::embedder::Embedding;
use crate::folder::fields::Fields;
use crate::gallery::{Pixels, Rejected};
use crate::path_text::path_text;
use crate::{Error, Result};

/// The images of a folder that `clip-retrieval inference` wrote: `img_emb/img_emb_N.npy` with
/// `f16` or `f32` `[n, dim]`, and `metadata/metadata_N.parquet` with a row for each, in the same
/// order. LAION publishes its embeddings in this form.
///
/// An image's pixels are at its `image_path` where there is such a file, or in
/// [shards](Self::with_shards); else they are not on this machine, and its source is its `url`, or
/// its `image_path` where it has none. Rows that are not finite are rejected one by one, and so are
/// those whose key several pictures of the shards have. An image whose licenses contradict each other
/// has none, and that is rejected by name. In memory is one row group of the metadata.
#[derive(Debug)]
pub struct ClipRetrieval {
    /// Pairs of files that are still to be opened.
    parts: VecDeque<Part>,
    open: Option<(Part, NpyRows, TableRows)>,
    pictures: Pictures,
    /// What of the row before is still to be told.
    rejected: Option<Rejected>,
    dim: usize,
    left: usize,
}

/// Pictures in shards, by key; nothing for a key that several have.
type Pictures = HashMap<String, Option<(String, Pixels)>>;

#[derive(Debug)]
struct Part {
    embeddings: PathBuf,
    metadata: PathBuf,
}

impl ClipRetrieval {
    /// The images of `folder`, all of whose files are opened once to see that they fit each other.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read or is missing; [`Error::InvalidFile`] when an
    /// `.npy` file has another type, shape or order, when its Parquet file has another number of
    /// rows or neither `image_path` nor `url`, and when dimensions differ between files.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let absolute = std::path::absolute(folder).map_err(|source| Error::io(folder, source))?;
        let missing =
            |file: String| Error::io(absolute.join(file), std::io::ErrorKind::NotFound.into());
        let embeddings = numbered(&absolute.join("img_emb"), "img_emb_", "npy")?;
        let mut metadata = numbered(&absolute.join("metadata"), "metadata_", "parquet")?;
        let (mut parts, mut left, mut dim) = (VecDeque::new(), 0_u64, None);
        for (number, embeddings) in embeddings {
            let Some(metadata) = metadata.remove(&number) else {
                return Err(missing(format!("metadata/metadata_{number}.parquet")));
            };
            let part = Part { embeddings, metadata };
            let (rows, table) = part.open()?;
            let dim = *dim.get_or_insert(rows.dim);
            if rows.dim != dim {
                let (path, expected) = (&part.embeddings, format!("{dim}, as in the other files"));
                return Err(Error::invalid_file(path, "dim", expected, rows.dim));
            }
            left = left.saturating_add(table.len());
            parts.push_back(part);
        }
        if let Some((number, _)) = metadata.pop_first() {
            return Err(missing(format!("img_emb/img_emb_{number}.npy")));
        }
        let Some(dim) = dim else {
            let found = format!("none in {}", folder.display());
            return Err(Error::invalid_input("embeddings", "img_emb/img_emb_N.npy", found));
        };
        let (pictures, left) = (HashMap::new(), usize::try_from(left).unwrap_or(usize::MAX));
        Ok(Self { parts, open: None, pictures, rejected: None, dim, left })
    }

    /// Takes the pixels from the WebDataset shards at `path` that the embeddings were made of: an
    /// `image_path` is then a key. The places of all their pictures are held in memory.
    ///
    /// # Errors
    /// Those of [`WebDataset::open`](super::WebDataset::open), and [`Error::Io`] when a shard cannot
    /// be read.
    pub fn with_shards(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.pictures = web_dataset::pictures(path.as_ref())?;
        Ok(self)
    }

    /// Values an embedding.
    pub const fn dim(&self) -> usize {
        self.dim
    }
}

impl Part {
    /// Opens both files, and sees that they fit each other.
    fn open(&self) -> Result<(NpyRows, TableRows)> {
        let rows = NpyRows::open(&self.embeddings)?;
        let table = TableRows::open(&self.metadata)?;
        if !table.columns.iter().any(|name| name == "image_path" || name == "url") {
            let found = table.columns.join(", ");
            return Err(Error::invalid_file(&self.metadata, "columns", "image_path or url", found));
        }
        if table.len() != rows.len() {
            let expected = format!("{}, as in {}", rows.len(), self.embeddings.display());
            return Err(Error::invalid_file(&self.metadata, "rows", expected, table.len()));
        }
        Ok((rows, table))
    }

    /// The image of one row, and what is wrong with its license.
    fn describe(
        &self,
        row: Vec<f32>,
        mut fields: Map<String, Value>,
        pictures: &Pictures,
    ) -> Result<(Item, Option<Rejected>), Rejected> {
        let path = fields.remove("image_path");
        let path = path.as_ref().and_then(Value::as_str).filter(|path| !path.is_empty());
        let (metadata, bad) = Fields::from(fields).metadata();
        let shard = match path.and_then(|key| Some((key, pictures.get(key)?))) {
            Some((key, None)) => {
                let (what, found) = (format!("picture {key} in the shards"), "several");
                return Err(self.lost(Error::invalid_file(&self.metadata, what, "one", found)));
            }
            Some((_, Some(picture))) => Some(picture.clone()),
            None => None,
        };
        let file = path.map(PathBuf::from).filter(|path| path.is_file());
        let url = metadata.origin.clone().or_else(|| path.map(str::to_owned));
        let (source, pixels) = match (shard, file, url) {
            (Some(shard), ..) => shard,
            (None, Some(file), _) => {
                let file = std::path::absolute(&file).unwrap_or(file);
                (path_text(&file).into_owned(), Pixels::File(file))
            }
            (None, None, Some(url)) => (url, Pixels::Remote),
            (None, None, None) => {
                let expected = "an image_path or a url";
                let reason = Error::invalid_file(&self.metadata, "row", expected, "neither");
                return Err(self.lost(reason));
            }
        };
        let row = Embedding::new(row).map_err(|reason| rejected(&*source, reason))?;
        let problem = bad.map(|bad| {
            let what = format!("license of {source}");
            self.lost(Error::invalid_file(&self.metadata, what, bad.expected, bad.found))
        });
        let item = Item::new(source, Content::At(pixels)).with_metadata(metadata);
        Ok((item.with_embedding(row), problem))
    }

    fn lost(&self, reason: Error) -> Rejected {
        rejected(path_text(&self.metadata), reason)
    }
}

impl Iterator for ClipRetrieval {
    type Item = Result<Item, Rejected>;

    fn next(&mut self) -> Option<Result<Item, Rejected>> {
        if let Some(rejected) = self.rejected.take() {
            return Some(Err(rejected));
        }
        loop {
            let Some((part, rows, table)) = &mut self.open else {
                let part = self.parts.pop_front()?;
                match part.open() {
                    Ok((rows, table)) => self.open = Some((part, rows, table)),
                    Err(reason) => return Some(Err(part.lost(reason))),
                }
                continue;
            };
            let (Some(row), Some(fields)) = (rows.next(), table.next()) else {
                self.open = None;
                continue;
            };
            self.left = self.left.saturating_sub(1);
            return Some(match (row, fields) {
                (Ok(row), Ok(fields)) => {
                    part.describe(row, fields, &self.pictures).map(|(item, rejected)| {
                        self.rejected = rejected;
                        item
                    })
                }
                (Err(reason), _) | (_, Err(reason)) => {
                    // Which row belongs to which is no longer known: the rest of the pair is lost.
                    let left = rows.len() + 1;
                    let source = format!("{} (last {left} rows)", part.metadata.display());
                    self.open = None;
                    Err(rejected(source, reason))
                }
            });
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

/// The files `prefixN.ending` of `folder` by what stands for `N`.
fn numbered(folder: &Path, prefix: &str, ending: &str) -> Result<BTreeMap<String, PathBuf>> {
    let numbered = |path: PathBuf| {
        let number = path.file_stem()?.to_str()?.strip_prefix(prefix)?.to_owned();
        path.extension().is_some_and(|found| found == ending).then_some((number, path))
    };
    Ok(list(folder)?.into_iter().filter_map(numbered).collect())
}

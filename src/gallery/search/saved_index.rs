//! A gallery's vectors to a FAISS index that is saved beside them, and that to faster searches.

use std::fs;
use std::sync::Arc;

use tempfile::NamedTempFile;

use super::index_note::{FOLDER, IndexNote};
use crate::gallery::Gallery;
use crate::index::{FaissBuilder, FaissIndex};
use crate::{Error, Result};

impl Gallery {
    /// Builds an index of all images and saves it in the gallery, replacing an earlier one. The
    /// returned index is mapped from its file.
    ///
    /// Images may be added and removed meanwhile and afterwards; see
    /// [`with_index`](Self::with_index).
    ///
    /// # Errors
    /// Those of [`FaissBuilder::train`] and [`search`](Self::search); [`Error::Io`] when the index
    /// cannot be written.
    pub fn build_index(&self, builder: FaissBuilder) -> Result<FaissIndex> {
        let snapshot = Arc::clone(&self.reader()?.snapshot);
        snapshot.vectors.check()?;
        let rows = snapshot.live.iter().map(|id| snapshot.vectors.row(id));
        // A row that is no vector is an error below, when it is added.
        let mut index = builder.train(rows.filter_map(Result::ok))?;
        let ids: Vec<u64> = snapshot.live.iter().collect();
        index.add_each(&ids, ids.iter().map(|&id| snapshot.vectors.row(id)))?;
        let folder = self.folder().join(FOLDER);
        let draft = fs::create_dir_all(&folder).and_then(|()| NamedTempFile::new_in(&folder));
        let draft = draft.map_err(|source| Error::io(&folder, source))?.into_temp_path();
        index.write(&draft)?;
        let note = IndexNote::new(index.to_string(), &snapshot, &draft)?;
        drop(index);
        let path = note.path(self.folder());
        draft.persist(&path).map_err(|error| Error::io(&path, error.error))?;
        note.write(self.folder())?;
        FaissIndex::open_mapped_unchecked(path)
    }

    /// The index that was saved last, mapped from its file.
    ///
    /// # Errors
    /// [`Error::Io`] when there is none; [`Error::InvalidFile`] when it is damaged, or when the
    /// gallery was compacted since: build it again.
    pub fn saved_index(&self) -> Result<FaissIndex> {
        let snapshot = Arc::clone(&self.reader()?.snapshot);
        let note = IndexNote::read(self.folder(), &snapshot)?;
        // Its file has just been compared with its checksum.
        let path = note.path(self.folder());
        let index = FaissIndex::open_mapped_unchecked(&path)?;
        if index.to_string() != note.index {
            return Err(Error::invalid_file(path, "index", note.index, index));
        }
        Ok(index)
    }

    /// This gallery, searched through `index`, which was built from its images; see
    /// [`with_index`](Self::with_index).
    ///
    /// ```no_run
    /// # use imagerag::{gallery::Gallery, index::FaissIndex};
    /// let gallery = Gallery::open("gallery")?;
    /// let builder = FaissIndex::builder(gallery.fingerprint().dim(), "IVF4096,Flat");
    /// gallery.build_index(builder.nprobe(32))?;
    /// // From then on, in any process:
    /// let gallery = gallery.with_faiss(gallery.saved_index()?)?;
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`with_index`](Self::with_index).
    pub fn with_faiss(&self, index: FaissIndex) -> Result<Self> {
        let held = index.ids().clone();
        self.with_index(index, held)
    }
}

//! The vectors of the images that are there to a new file, without those that were removed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};

use crate::atomic_file::sync_folder;
use crate::gallery::GalleryWriter;
use crate::gallery::search::index_note;
use crate::gallery::store::record::Entry;
use crate::gallery::store::snapshot::for_each_page;
use crate::gallery::store::vectors::{self, Segment, Vectors};
use crate::{Error, Result};

impl GalleryWriter {
    /// Frees the disk space of removed images; returns how many vectors were removed. The other
    /// images get new ids, in the same order. A saved index is deleted.
    ///
    /// The catalog switches to the new file of vectors in one transaction, after that file is
    /// complete. Searches that run meanwhile, in any process, finish on the old file or start again
    /// on the new one.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when a vector is damaged; [`Error::Io`] when the disk is full. The
    /// gallery is then unchanged.
    pub fn compact(&mut self) -> Result<u64> {
        let generation = self.state.generation + 1;
        let path = vectors::file(&self.folder, generation);
        let io = |source| Error::io(&path, source);
        let old = vectors::file(&self.folder, self.state.generation);
        let old = Vectors::map(old, self.dim, self.catalog.segments(0)?)?;
        old.check()?;
        let mut file = BufWriter::new(File::create(&path).map_err(io)?);
        // A page of rows under one checksum: it is what is read to look at a single one.
        let mut segments: Vec<Segment> = Vec::new();
        let mut rows = 0;
        for_each_page(&self.catalog, 0, |page| {
            let bytes: Vec<u8> =
                page.iter().flat_map(|entry| old.slice(entry.id, 1)).copied().collect();
            file.write_all(&bytes).map_err(io)?;
            let checksum = *blake3::hash(&bytes).as_bytes();
            segments.push(Segment { first: rows, rows: page.len() as u64, checksum });
            rows += page.len() as u64;
            Ok(())
        })?;
        let file = file.into_inner().map_err(|error| io(error.into_error()))?;
        let gone = self.rows - rows;
        if gone == 0 {
            drop(file);
            fs::remove_file(&path).map_err(io)?;
            return Ok(0);
        }
        file.sync_all().map_err(io)?;
        sync_folder(&self.folder)?;
        self.change(|change| {
            change.state.generation = generation;
            let (catalog, mut new) = (change.catalog, 0);
            for_each_page(catalog, 0, |page| {
                page.into_iter().try_for_each(|entry| {
                    change.touch("DELETE FROM images WHERE id = ?1", [entry.id])?;
                    new += 1;
                    catalog.write(&Entry { id: new - 1, ..entry })
                })
            })?;
            change.touch("DELETE FROM removed", [])?;
            change.touch("DELETE FROM segments", [])?;
            segments.iter().try_for_each(|segment| change.note(segment))
        })?;
        (self.vectors, self.rows) = (file, rows);
        self.met.ids.clear();
        // Where it stays, it is found to be of another generation.
        let _ = fs::remove_dir_all(self.folder.join(index_note::FOLDER));
        vectors::remove_others(&self.folder, generation)?;
        Ok(gone)
    }
}

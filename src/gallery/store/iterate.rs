//! A gallery to all its images with their embeddings, a page at a time.

use std::sync::Arc;

use super::snapshot::{PAGE, Snapshot};
use crate::embedder::Embedding;
use crate::gallery::{Entry, Gallery};
use crate::{Error, Result};

impl Gallery {
    /// All images with their embeddings, in the order of their ids, few of them in memory at a
    /// time. Images that are added meanwhile may or may not come.
    ///
    /// # Errors
    /// An item is [`Error::Unavailable`] when the gallery was compacted meanwhile, because images
    /// then have new ids: begin again. Otherwise those of [`open`](Self::open).
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<(Entry, Embedding)>> + use<>> {
        let gallery = self.clone();
        let snapshot = Arc::clone(&self.reader()?.snapshot);
        let mut next = Some(0);
        let pages = std::iter::from_fn(move || {
            let page = gallery.page(&snapshot, next?);
            next = page.as_ref().ok().and_then(|page| page.last()).map(|(last, _)| last.id + 1);
            match page {
                Ok(page) if page.is_empty() => None,
                Ok(page) => Some(page.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => Some(vec![Err(error)]),
            }
        });
        Ok(pages.flatten())
    }

    /// Images of `snapshot` from number `first` on.
    fn page(&self, snapshot: &Snapshot, first: u64) -> Result<Vec<(Entry, Embedding)>> {
        let reader = self.reader()?;
        if reader.snapshot.state.generation != snapshot.state.generation {
            let reason = "it was compacted while it was read; begin again";
            return Err(Error::unavailable(format!("the rest of {self}"), reason));
        }
        let mut page = reader.catalog.entries(first, PAGE)?;
        drop(reader);
        page.retain(|entry| entry.id < snapshot.vectors.rows());
        let row = |entry: Entry| snapshot.vectors.row(entry.id).map(|row| (entry, row));
        page.into_iter().map(row).collect()
    }
}

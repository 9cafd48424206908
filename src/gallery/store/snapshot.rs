//! [`Snapshot`]: the folder to what a search sees of it at one moment.

use std::path::Path;
use std::sync::Arc;

use super::acknowledged;
use super::catalog::{Catalog, State};
use super::record::Entry;
use super::vectors::{self, Vectors};
use crate::index::IdSet;
use crate::reference::Filter;
use crate::{Error, Result};

/// What was acknowledged at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    /// The rows whose image is there.
    pub(crate) live: Arc<IdSet>,
    pub(crate) vectors: Vectors,
}

/// Images that are read from the catalog together.
pub(crate) const PAGE: usize = 1024;

impl Snapshot {
    /// Reads the whole catalog, compares every image with its checksum, and finds that each row of
    /// the vectors is either an image's or one that was removed.
    pub(crate) fn load(folder: &Path, dim: usize, catalog: &Catalog) -> Result<Self> {
        loop {
            let before = catalog.state()?.generation;
            match Self::read(folder, dim, catalog) {
                // Compacted meanwhile: the vectors are in another file.
                Err(Error::Io { .. }) if catalog.state()?.generation != before => {}
                snapshot => return snapshot,
            }
        }
    }

    fn read(folder: &Path, dim: usize, catalog: &Catalog) -> Result<Self> {
        let last = acknowledged::read(folder)?;
        let moment = catalog.moment()?;
        let state = catalog.state()?;
        acknowledged::check(folder, last, state.revision)?;
        let segments = catalog.segments(0)?;
        let path = vectors::file(folder, state.generation);
        let live = accounted(catalog, 0, segments.last().map_or(0, |s| s.first + s.rows))?;
        drop(moment);
        follow_each_other(catalog, &segments)?;
        let vectors = Vectors::map(path, dim, segments)?;
        Ok(Self { state, live: Arc::new(live), vectors })
    }

    /// This snapshot where nothing has changed, else one of this moment; only what has changed is
    /// read.
    pub(crate) fn renewed(
        self: &Arc<Self>,
        folder: &Path,
        dim: usize,
        catalog: &Catalog,
    ) -> Result<Arc<Self>> {
        let moment = catalog.moment()?;
        let state = catalog.state()?;
        if state == self.state {
            return Ok(Arc::clone(self));
        }
        if state.generation != self.state.generation {
            drop(moment);
            return Self::load(folder, dim, catalog).map(Arc::new);
        }
        let known = self.vectors.rows();
        let mut segments = self.vectors.segments().to_vec();
        segments.extend(catalog.segments(known)?);
        follow_each_other(catalog, &segments)?;
        let rows = segments.last().map_or(0, |s| s.first + s.rows);
        let mut live = (*self.live).clone();
        live.extend(accounted(catalog, known, rows)?.iter());
        let gone = "SELECT id FROM removed WHERE revision > ?1";
        for id in catalog.query(gone, [self.state.revision], |row| row.get(0))? {
            live.remove(id);
        }
        drop(moment);
        let vectors = match Vectors::map(self.vectors.path().to_owned(), dim, segments) {
            // Perhaps compacted meanwhile.
            Err(Error::Io { .. }) => return Self::load(folder, dim, catalog).map(Arc::new),
            vectors => vectors?,
        };
        vectors.trust(&self.vectors);
        Ok(Arc::new(Self { state, live: Arc::new(live), vectors }))
    }

    /// The images that `filter` lets through.
    pub(crate) fn select(&self, catalog: &Catalog, filter: &Filter) -> Result<Arc<IdSet>> {
        if filter.is_all() {
            return Ok(Arc::clone(&self.live));
        }
        let mut ids = IdSet::new();
        for_each(catalog, 0, |entry| {
            if self.live.contains(entry.id) && filter.matches(&entry.record.metadata) {
                ids.insert(entry.id);
            }
        })?;
        Ok(Arc::new(ids))
    }
}

/// The images with rows from `first` to before `end`, where every other row is a removed one.
fn accounted(catalog: &Catalog, first: u64, end: u64) -> Result<IdSet> {
    let mut live = IdSet::new();
    for_each(catalog, first, |entry| live.extend([entry.id]))?;
    let gone = "SELECT id FROM removed WHERE id >= ?1";
    let removed = IdSet::from_iter(catalog.query(gone, [first], |row| row.get(0))?);
    let accounted = (first..end).all(|id| live.contains(id) != removed.contains(id));
    if accounted && (live.len() + removed.len()) as u64 == end - first {
        return Ok(live);
    }
    let expected = format!("one for each of {} vectors", end - first);
    let found = format!("{} and {}", live.len(), removed.len());
    Err(catalog.broken("images and removed images", &expected, &found))
}

/// Calls `visit` with every image from number `first` on, in order.
pub(crate) fn for_each(catalog: &Catalog, first: u64, mut visit: impl FnMut(Entry)) -> Result<()> {
    for_each_page(catalog, first, |page| {
        page.into_iter().for_each(&mut visit);
        Ok(())
    })
}

/// Calls `visit` with every [`PAGE`] images from number `first` on, in order.
pub(crate) fn for_each_page(
    catalog: &Catalog,
    mut first: u64,
    mut visit: impl FnMut(Vec<Entry>) -> Result<()>,
) -> Result<()> {
    loop {
        let page = catalog.entries(first, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        first = last.id + 1;
        visit(page)?;
    }
}

fn follow_each_other(catalog: &Catalog, segments: &[vectors::Segment]) -> Result<()> {
    let mut next = 0;
    for segment in segments {
        if segment.first != next || segment.rows == 0 {
            let expected = format!("the next from row {next}");
            let found = format!("{} rows from row {}", segment.rows, segment.first);
            return Err(catalog.broken("segments of the vectors", &expected, &found));
        }
        // SQLite's numbers have 63 bits: this does not overflow.
        next += segment.rows;
    }
    Ok(())
}

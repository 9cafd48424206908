//! A gallery to the groups of its images that are nearly the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::embedder::Embedding;
use crate::gallery::Gallery;
use crate::gallery::search::SearchOptions;
use crate::{Result, pool};

/// Images that are looked up together.
const BATCH: usize = 256;
/// What works beside the polling thread, for its errors.
const WORK: &str = "looking for near-duplicates";
/// Neighbors that are looked at first.
const NEIGHBORS: usize = 16;

impl Gallery {
    /// The groups of images that are nearly the same: the cosine similarity of each image to
    /// another one of its group is at least `threshold`, in (0, 1]. clip-retrieval takes 0.94. In
    /// each group the largest image comes first, and of equally large ones the earliest; keep the
    /// first and remove the rest, for example.
    ///
    /// Every image is compared with every other: 350,000 of them take minutes.
    ///
    /// ```
    /// # use imagerag::embedder::Embedding;
    /// # use imagerag::gallery::{ContentHash, Fingerprint, Gallery, ImageRecord, Pixels};
    /// # use imagerag::reference::Metadata;
    /// # let folder = std::env::temp_dir().join(format!("imagerag-doc-d-{}", std::process::id()));
    /// # let gallery = Gallery::create(&folder, &Fingerprint::named("CLIP ViT-B/32", 2)?)?;
    /// # let record = |source: &str| ImageRecord {
    /// #     hash: ContentHash::of(source.as_bytes()),
    /// #     source: source.into(),
    /// #     pixels: Pixels::File(source.into()),
    /// #     metadata: Metadata::default(),
    /// # };
    /// # let batch = [("a.jpg", 0.8), ("a-again.jpg", 0.801), ("b.jpg", -0.8)]
    /// #     .map(|(source, y)| (record(source), Embedding::new([0.6, y]).unwrap()));
    /// # gallery.writer()?.add(&batch)?;
    /// # futures::executor::block_on(async {
    /// // Keeps the first of each group.
    /// let groups = gallery.near_duplicates(0.94).await?;
    /// let rest: Vec<u64> = groups.iter().flat_map(|group| &group[1..]).copied().collect();
    /// gallery.writer()?.remove(&rest)?;
    /// assert_eq!((rest, gallery.count()?), (vec![1], 2));
    /// # Ok::<(), imagerag::Error>(()) })?;
    /// # std::fs::remove_dir_all(folder).unwrap();
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`search`](Self::search).
    pub async fn near_duplicates(&self, threshold: f32) -> Result<Vec<Vec<u64>>> {
        SearchOptions::new(0).without_near_duplicates(threshold).check()?;
        let gallery = self.clone();
        let snapshot = move || Ok(Arc::clone(&gallery.reader()?.snapshot));
        let snapshot = pool::run(WORK, snapshot).await?;
        let ids: Vec<u64> = snapshot.live.iter().collect();
        let mut groups = Groups::default();
        for ids in ids.chunks(BATCH) {
            let (ids, rows) = (ids.to_vec(), Arc::clone(&snapshot));
            let row = move |id| rows.vectors.row(id).map(|row| (id, row));
            let read = move || ids.into_iter().map(row).collect::<Result<Vec<_>>>();
            let mut open: Vec<(u64, Embedding)> = pool::run(WORK, read).await?;
            let mut wide = NEIGHBORS;
            while !open.is_empty() {
                let queries: Vec<Embedding> = open.iter().map(|(_, row)| row.clone()).collect();
                let found = self.nearest(&snapshot, &queries, &snapshot.live, wide).await?;
                let mut rest = Vec::new();
                for ((id, row), found) in open.into_iter().zip(found) {
                    let near = found.iter().take_while(|neighbor| neighbor.score >= threshold);
                    let count = near.map(|neighbor| groups.join(id, neighbor.id)).count();
                    if count == wide && wide < snapshot.live.len() {
                        rest.push((id, row));
                    }
                }
                (open, wide) = (rest, wide * 8);
            }
        }
        let (gallery, mut groups) = (self.clone(), groups.into_lists());
        pool::run(WORK, move || {
            groups.iter_mut().try_for_each(|group| gallery.sort_by_size(group))?;
            Ok(groups)
        })
        .await
    }

    /// Sorts images by falling number of pixels, then by rising id.
    fn sort_by_size(&self, ids: &mut Vec<u64>) -> Result<()> {
        let mut sized = Vec::with_capacity(ids.len());
        for &id in &*ids {
            let metadata = self.entry(id)?.map(|entry| entry.record.metadata);
            let side = |side: Option<u32>| u64::from(side.unwrap_or(0));
            let pixels = metadata.map_or(0, |m| side(m.width) * side(m.height));
            sized.push((std::cmp::Reverse(pixels), id));
        }
        sized.sort_unstable();
        *ids = sized.into_iter().map(|(_, id)| id).collect();
        Ok(())
    }
}

/// Images that belong together, each known by another of its group and in the end by the least.
#[derive(Default)]
struct Groups(BTreeMap<u64, u64>);

impl Groups {
    fn join(&mut self, a: u64, b: u64) {
        let (a, b) = (self.least(a), self.least(b));
        if a != b {
            self.0.insert(a.max(b), a.min(b));
        }
    }

    fn least(&mut self, id: u64) -> u64 {
        let mut least = id;
        while let Some(&lower) = self.0.get(&least) {
            least = lower;
        }
        if least != id {
            self.0.insert(id, least);
        }
        least
    }

    /// The groups of more than one, each rising.
    fn into_lists(mut self) -> Vec<Vec<u64>> {
        let members: Vec<u64> = self.0.keys().copied().collect();
        let mut lists: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for id in members {
            let least = self.least(id);
            lists.entry(least).or_insert_with(|| vec![least]).push(id);
        }
        lists.into_values().collect()
    }
}

//! An index that proposes images: the vectors decide, and one that proposes nonsense is named.

use futures::executor::block_on;
use imagerag::Error;
use imagerag::embedder::Embedding;
use imagerag::gallery::SearchOptions;
use imagerag::index::{FlatIndex, IdSet, Neighbor, Precision, VectorIndex};
use imagerag::reference::Filter;

use crate::support::{DIM, filled, vector};

/// An index that knows only some of the images, and of those only what f16 says.
#[test]
fn an_index_proposes_and_the_vectors_decide() {
    let (_folder, gallery) = filled(500, 100);
    let mut index = FlatIndex::with_precision(DIM, Precision::F16).unwrap();
    (0..400).for_each(|n| {
        index.add(&vector(n)).unwrap();
    });
    let indexed = gallery.with_index(index, IdSet::all(400)).unwrap();
    gallery.writer().unwrap().remove(&[7, 450]).unwrap();
    let queries: Vec<Embedding> = (0..500).map(vector).collect();
    let licensed = Filter::all().licenses(["CC0-1.0"]);
    for options in [
        SearchOptions::new(5),
        SearchOptions::new(1_000),
        SearchOptions::new(5).with_filter(licensed),
        SearchOptions::new(5).without_near_duplicates(0.9),
    ] {
        let exact = block_on(gallery.search(&queries, &options)).unwrap();
        assert!(block_on(indexed.search(&queries, &options)).unwrap() == exact, "{options:?}");
    }
    // Numbered anew, the images are no longer those of the index.
    gallery.writer().unwrap().compact().unwrap();
    let options = SearchOptions::new(3);
    let exact = block_on(gallery.search(&queries, &options)).unwrap();
    assert!(block_on(indexed.search(&queries, &options)).unwrap() == exact);
}

/// Finds one id for every query, whatever is asked for.
#[derive(Debug)]
struct Stubborn(u64);

impl std::fmt::Display for Stubborn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stubborn")
    }
}

#[async_trait::async_trait]
impl VectorIndex for Stubborn {
    fn dim(&self) -> usize {
        DIM
    }

    async fn count(&self) -> imagerag::Result<usize> {
        Ok(1)
    }

    async fn search(
        &self,
        queries: &[Embedding],
        _: usize,
    ) -> imagerag::Result<Vec<Vec<Neighbor>>> {
        Ok(queries.iter().map(|_| vec![Neighbor { id: self.0, score: 0.5 }]).collect())
    }

    async fn search_among(
        &self,
        queries: &[Embedding],
        limit: usize,
        _: &IdSet,
    ) -> imagerag::Result<Vec<Vec<Neighbor>>> {
        self.search(queries, limit).await
    }
}

#[test]
fn an_index_that_finds_what_was_not_asked_for_is_named() {
    let (_folder, gallery) = filled(30, 30);
    let licensed = Filter::all().licenses(["CC0-1.0"]);
    // Image 5 has no license; there is no image 99.
    for (id, filter) in [(5, licensed.clone()), (99, licensed), (99, Filter::all())] {
        let gallery = gallery.with_index(Stubborn(id), IdSet::all(30)).unwrap();
        let options = SearchOptions::new(3).with_filter(filter);
        let error = block_on(gallery.search(&[vector(1)], &options)).unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error}");
        let said = error.chain().to_string();
        assert!(said.starts_with(&format!("Stubborn failed: it found id {id}")), "{said}");
    }
}

#[test]
fn an_index_of_other_vectors_is_refused() {
    let (_folder, gallery) = filled(3, 3);
    let other = FlatIndex::new(DIM + 1).unwrap();
    let error = gallery.with_index(other, IdSet::new()).unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    let beyond = gallery.with_index(FlatIndex::new(DIM).unwrap(), IdSet::all(4)).unwrap_err();
    assert!(matches!(beyond, Error::Incompatible { .. }), "{beyond}");
}

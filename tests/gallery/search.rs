//! Every image is found, the filter and near-duplicates apart, and by its own encoder alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use imagerag::conditioner::InPrompt;
use imagerag::embedder::{Embedded, Embedder, Embedding};
use imagerag::gallery::ingest::Ingest;
use imagerag::gallery::{Fetch, Fingerprint, Gallery, GalleryRetriever, Pixels, SearchOptions};
use imagerag::pipeline::{Hit, RagConfig, Refusal};
use imagerag::reference::{Caption, Filter, Metadata};
use imagerag::retriever::RetrieveRequest;
use imagerag::testing::{FakeCritic, FakeGenerator};
use imagerag::testing::{FakeEmbedder, conformance, solid};
use imagerag::{Error, Image, RagPipeline, Retriever};

use crate::support::{empty, filled, picture, record, vector};

/// The sizes at which the paper's release loses images (official code, A.7 item 3).
#[test]
fn finds_every_image_whatever_the_number() {
    for count in [1, 3_000, 4_096, 5_000, 10_000] {
        let (_folder, gallery) = filled(count, 997);
        assert_eq!(gallery.count().unwrap(), count as usize);
        let reopened = Gallery::open(gallery.folder()).unwrap();
        let search = |n: u64, limit| {
            block_on(reopened.search(&[vector(n)], &SearchOptions::new(limit))).unwrap().remove(0)
        };
        let mut all = search(0, count as usize);
        all.sort_by_key(|found| found.entry.id);
        assert!(all.iter().map(|found| found.entry.id).eq(0..count), "of {count}");
        assert!(all.iter().all(|found| found.entry.record == record(found.entry.id)));
        // By its own vector: some of all, and the whole tail.
        for n in (0..count).filter(|n| n % 61 == 0 || n + 70 > count) {
            assert_eq!(search(n, 1)[0].entry.id, n, "of {count}");
        }
    }
}

#[test]
fn only_what_the_filter_lets_through_is_found() {
    let (_folder, gallery) = filled(300, 64);
    let filter = Filter::all().licenses(["CC0-1.0"]).field("even", true);
    let options = SearchOptions::new(300).with_filter(filter.clone());
    let found = block_on(gallery.search(&[vector(5)], &options)).unwrap().remove(0);
    let mut ids: Vec<u64> = found.iter().map(|found| found.entry.id).collect();
    ids.sort_unstable();
    let allowed = |n: &u64| filter.matches(&record(*n).metadata);
    assert_eq!(ids, (0..300).filter(allowed).collect::<Vec<_>>());
    assert!(!ids.is_empty());
    // What becomes of an image counts at once.
    let id = ids[0];
    gallery.writer().unwrap().describe(&[(id, Metadata::default())]).unwrap();
    let found = block_on(gallery.search(&[vector(id)], &options)).unwrap().remove(0);
    assert!(found.len() == ids.len() - 1 && found.iter().all(|found| found.entry.id != id));
}

#[test]
fn near_duplicates_of_a_better_image_are_left_out() {
    let (_folder, gallery) = filled(50, 50);
    let mut writer = gallery.writer().unwrap();
    let nearly = |n: u64, by: f32| {
        let mut values = vector(n).values().to_vec();
        values[0] += by;
        Embedding::new(values).unwrap()
    };
    let copies: Vec<_> =
        (0..30).map(|n| (record(100 + n), nearly(7, 0.001 * (n + 1) as f32))).collect();
    writer.add(&copies).unwrap();
    let options = SearchOptions::new(5).without_near_duplicates(0.99);
    let found = block_on(gallery.search(&[vector(7)], &options)).unwrap().remove(0);
    assert_eq!(found[0].entry.id, 7);
    assert_eq!(found.iter().filter(|found| found.entry.id >= 50).count(), 0);
    assert_eq!(found.len(), 5);
    for threshold in [0.0, 1.01, f32::NAN] {
        let options = SearchOptions::new(5).without_near_duplicates(threshold);
        assert!(matches!(
            block_on(gallery.search(&[vector(7)], &options)),
            Err(Error::InvalidInput { .. })
        ));
    }
}

#[test]
fn groups_of_near_duplicates_are_reported() {
    let (_folder, gallery) = filled(300, 300);
    assert!(block_on(gallery.near_duplicates(0.97)).unwrap().is_empty());
    // A chain of which each link is close to the next; one is a larger picture.
    let (from, to) = (vector(7), vector(8));
    let between = |part: f32| {
        let values = from.values().iter().zip(to.values()).map(|(a, b)| a + part * (b - a));
        Embedding::new(values.collect::<Vec<_>>()).unwrap()
    };
    let mut links: Vec<_> =
        (1..40).map(|n| (record(300 + n - 1), between(n as f32 / 40.0))).collect();
    links[4].0.metadata.width = Some(4_000);
    gallery.writer().unwrap().add(&links).unwrap();
    let groups = block_on(gallery.near_duplicates(0.97)).unwrap();
    assert_eq!(groups.len(), 1);
    let expected: Vec<u64> =
        [304, 7, 8].into_iter().chain((300..339).filter(|&n| n != 304)).collect();
    assert_eq!(groups[0], expected);
    assert!(block_on(gallery.near_duplicates(1.5)).is_err());
}

#[test]
fn nothing_and_too_much_may_be_asked_for() {
    let (_folder, gallery) = empty();
    let best = |limit| {
        block_on(gallery.search(&[vector(0)], &SearchOptions::new(limit))).unwrap().remove(0)
    };
    assert!(best(3).is_empty());
    gallery.writer().unwrap().add(&[(record(0), vector(0)), (record(1), vector(1))]).unwrap();
    assert!(best(0).is_empty());
    assert_eq!(best(1_000).len(), 2);
    assert!(block_on(gallery.search(&[], &SearchOptions::new(1))).unwrap().is_empty());
    let short = Embedding::new([1.0]).unwrap();
    let error = block_on(gallery.search(&[short], &SearchOptions::new(1))).unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
}

#[test]
fn another_encoder_is_refused_by_both_names() {
    let (_folder, gallery) = empty();
    let error = block_on(GalleryRetriever::new(FakeEmbedder, gallery)).unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    let said = error.chain().to_string();
    assert!(said.contains("a test") && said.contains("FakeEmbedder"), "{said}");
}

#[test]
fn retrieves_references_with_their_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let gallery = block_on(Gallery::open_or_create(&path, &FakeEmbedder)).unwrap();
    let mut writer = gallery.writer().unwrap();
    for (name, rgb) in [("red", [200, 0, 0]), ("green", [0, 200, 0]), ("blue", [0, 0, 200])] {
        let image = solid(8, 8, rgb);
        writer.add(&[picture(folder.path(), name, &image)]).unwrap();
    }
    let gallery = block_on(Gallery::open_or_create(&path, &FakeEmbedder)).unwrap();
    let retriever = block_on(GalleryRetriever::new(FakeEmbedder, gallery)).unwrap();
    let found =
        block_on(retriever.retrieve(&RetrieveRequest::new([Caption::concept("a green one")], 2)))
            .unwrap();
    assert_eq!(block_on(found[0][0].image()).unwrap(), solid(8, 8, [0, 200, 0]));
    assert_eq!(found[0][0].provenance.metadata.license.as_deref(), Some("CC0-1.0"));
    assert_eq!(found[0][0].provenance.retriever, "Gallery(FakeEmbedder, Flat)");
    let captions = ["a red one", "blue", "something else"].map(Caption::concept);
    block_on(conformance::retriever(&retriever, &captions));
    // A file that is another by now is not taken for the one that was added.
    solid(8, 8, [1, 1, 1]).save(folder.path().join("green.png")).unwrap();
    let request = RetrieveRequest::new([Caption::concept("green")], 1);
    let found = block_on(retriever.retrieve(&request)).unwrap();
    let error = block_on(found[0][0].image()).unwrap_err();
    assert!(matches!(error, Error::InvalidFile { .. }), "{error}");
}

/// The fake, which counts its calls.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<AtomicUsize>);

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counted")
    }
}

#[async_trait::async_trait]
impl Embedder for Counted {
    fn dim(&self) -> usize {
        FakeEmbedder.dim()
    }

    async fn embed_texts(&self, texts: &[&str]) -> imagerag::Result<Embedded> {
        self.0.fetch_add(1, Ordering::Relaxed);
        FakeEmbedder.embed_texts(texts).await
    }

    async fn embed_images(&self, images: &[Image]) -> imagerag::Result<Embedded> {
        self.0.fetch_add(1, Ordering::Relaxed);
        FakeEmbedder.embed_images(images).await
    }
}

#[test]
fn an_embedder_is_asked_once_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let embedder = Counted::default();
    let calls = || embedder.0.load(Ordering::Relaxed);
    let gallery = block_on(Gallery::open_or_create(&path, &embedder)).unwrap();
    assert_eq!(calls(), 2, "a text and a picture");
    let ingest = Ingest::into(&gallery).with_embedder(embedder.clone());
    block_on(ingest.run(std::iter::empty(), |_| {})).unwrap();
    let retriever = GalleryRetriever::new(Arc::new(embedder.clone()), gallery.clone());
    block_on(retriever).unwrap();
    assert_eq!(calls(), 2);
    // Another opening asks for itself, and all of its clones know the answer.
    let gallery = Gallery::open(&path).unwrap();
    for _ in 0..2 {
        block_on(GalleryRetriever::new(embedder.clone(), gallery.clone())).unwrap();
    }
    assert_eq!(calls(), 4);
    // One of another name is asked too, each time until it is the right one.
    for _ in 0..2 {
        let error = block_on(gallery.check_embedder(&Exchanged)).unwrap_err();
        assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    }
}

/// Embeds as the fake does, under the same name, with red and blue exchanged: other weights.
#[derive(Debug)]
struct Exchanged;

impl std::fmt::Display for Exchanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeEmbedder")
    }
}

#[async_trait::async_trait]
impl Embedder for Exchanged {
    fn dim(&self) -> usize {
        FakeEmbedder.dim()
    }

    async fn embed_texts(&self, texts: &[&str]) -> imagerag::Result<Embedded> {
        FakeEmbedder.embed_texts(texts).await
    }

    async fn embed_images(&self, images: &[Image]) -> imagerag::Result<Embedded> {
        let embeddings = FakeEmbedder.embed_images(images).await?;
        let exchange = |e: Embedding| {
            let [r, g, b] = [0, 1, 2].map(|at| e.values()[at]);
            Embedding::new([b, g, r])
        };
        embeddings.into_iter().map(exchange).collect()
    }
}

#[test]
fn an_encoder_is_known_by_what_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    block_on(Gallery::open_or_create(&path, &FakeEmbedder)).unwrap();
    block_on(Gallery::open_or_create(&path, &FakeEmbedder)).unwrap();
    let error = block_on(Gallery::open_or_create(&path, &Exchanged)).unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    assert!(error.chain().to_string().contains("probe picture"), "{error}");
    // By their names alone, two encoders of one name are the same, and of two names are not.
    let named = |name| Fingerprint::named(name, 3).unwrap();
    assert!(named("a").check(&named("a")).is_ok() && named("a").check(&named("b")).is_err());
    assert!(Fingerprint::named("a", 4).unwrap().check(&named("a")).is_err());
    assert!(Fingerprint::named("a", 0).is_err());
}

/// Knows one address.
#[derive(Debug)]
struct Web(&'static str, Image);

#[async_trait::async_trait]
impl Fetch for Web {
    async fn fetch(&self, address: &str) -> imagerag::Result<Vec<u8>> {
        if address == self.0 {
            return self.1.encode_png();
        }
        Err(Error::Unavailable { what: address.to_owned(), reason: "it is gone".to_owned() })
    }
}

#[test]
fn pictures_elsewhere_are_fetched_and_dead_links_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let gallery = block_on(Gallery::open_or_create(&path, &FakeEmbedder)).unwrap();
    let mut images = Vec::new();
    for n in 0..20 {
        let (mut record, embedding) =
            picture(folder.path(), "x", &solid(4, 4, [200 - 10 * n, 10, n]));
        record.source = format!("https://example.org/{n}.png");
        record.pixels = Pixels::Remote;
        images.push((record, embedding));
    }
    gallery.writer().unwrap().add(&images).unwrap();
    let retriever = block_on(GalleryRetriever::new(FakeEmbedder, gallery)).unwrap();
    let first = |retriever: &GalleryRetriever<_>| {
        let request = RetrieveRequest::new([Caption::concept("red")], 1);
        let found = block_on(retriever.retrieve(&request)).unwrap();
        block_on(found[0][0].image()).unwrap_err().chain().to_string()
    };
    let error = first(&retriever);
    assert!(error.contains("`Fetch`"), "{error}");
    let retriever = retriever.with_fetch(Web("https://example.org/17.png", solid(4, 4, [9, 9, 9])));
    let error = first(&retriever);
    assert!(error.contains("it is gone"), "{error}");
    let pipeline = |retriever: GalleryRetriever<FakeEmbedder>, candidates| {
        let mut config = RagConfig::default();
        config.candidates = candidates;
        let pipeline = RagPipeline::builder()
            .generator(FakeGenerator::new())
            .critic(FakeCritic::new().missing(["red"]))
            .retriever(retriever)
            .conditioner(InPrompt::new(1).unwrap())
            .config(config);
        block_on(pipeline.build().unwrap().run("a red bird"))
    };
    let error = pipeline(retriever.clone(), 8).unwrap_err();
    assert!(error.chain().to_string().contains("it is gone"), "{error}");
    let retriever = retriever.skipping_unreadable();
    for candidates in [1, 2, 50] {
        let outcome = pipeline(retriever.clone(), candidates).unwrap();
        let [found] = outcome.references.as_slice() else { panic!("one can be read") };
        assert_eq!(found.picture.loaded(), Some(&solid(4, 4, [9, 9, 9])));
        let unread = |hit: &&Hit| matches!(hit.refused, Some(Refusal::Unreadable { .. }));
        assert_eq!(outcome.trace.hits().filter(unread).count(), 17, "those that come before it");
    }
    let none = RetrieveRequest::new([Caption::concept("red")], 0);
    assert!(block_on(retriever.retrieve(&none)).unwrap()[0].is_empty());
}

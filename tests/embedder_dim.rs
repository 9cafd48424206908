//! An embedder that gives embeddings of another dimension than it says, to every part that asks it:
//! an error that names the embedder.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::executor::block_on;
use imagerag::critic::{Critic, CritiqueRequest, ZeroShotCritic};
use imagerag::embedder::{Embedded, Embedder, EmbedderExt, Embedding};
use imagerag::reference::Caption;
use imagerag::retriever::{
    Catalog, CatalogEntry, EmbeddingRetriever, Mmr, Rerank, RetrieveRequest, Retriever,
};
use imagerag::testing::{FakeRetriever, solid};
use imagerag::{Error, Image, Result, async_trait};

const SAID: &str = "Changing failed: expected 2 values an embedding, found 3";

/// Gives embeddings of 2 values, as it says, until it is changed; then of 3.
#[derive(Clone, Debug, Default)]
struct Changing {
    texts: Arc<AtomicBool>,
    images: Arc<AtomicBool>,
}

impl Changing {
    fn texts_changed() -> Self {
        let changing = Self::default();
        changing.texts.store(true, Ordering::Relaxed);
        changing
    }

    fn images_changed() -> Self {
        let changing = Self::default();
        changing.images.store(true, Ordering::Relaxed);
        changing
    }
}

impl fmt::Display for Changing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changing")
    }
}

fn embedded(count: usize, is_changed: &AtomicBool) -> Result<Embedded> {
    let dim = if is_changed.load(Ordering::Relaxed) { 3 } else { 2 };
    (0..count).map(|_| Embedding::new(vec![1.0; dim])).collect()
}

#[async_trait]
impl Embedder for Changing {
    fn dim(&self) -> usize {
        2
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        embedded(texts.len(), &self.texts)
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        embedded(images.len(), &self.images)
    }
}

fn assert_named<T: fmt::Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error:?}");
    assert_eq!(error.chain().to_string(), SAID);
}

fn picture() -> Image {
    solid(8, 8, [200, 0, 0])
}

#[test]
fn one_text_and_one_image() {
    assert_named(block_on(Changing::texts_changed().embed_text("a car")));
    assert_named(block_on(Changing::images_changed().embed_image(&picture())));
    assert_eq!(block_on(Changing::texts_changed().embed_image(&picture())).unwrap().dim(), 2);
}

#[test]
fn a_retriever_by_embeddings() {
    let catalog = Catalog::new([CatalogEntry::new("a", picture())]);
    let build =
        |embedder| block_on(EmbeddingRetriever::build(embedder, catalog.clone(), |_, _| {}));
    assert_named(build(Changing::images_changed()));
    let (retriever, _) = build(Changing::texts_changed()).unwrap();
    let request = RetrieveRequest::new([Caption::concept("a car")], 1);
    assert_named(block_on(retriever.retrieve(&request)));
}

#[test]
fn a_reranker_by_embeddings() {
    let request = RetrieveRequest::new([Caption::concept("a car")], 1);
    for embedder in [Changing::texts_changed(), Changing::images_changed()] {
        let shelf = FakeRetriever::new([("a car", picture()), ("a red car", picture())]);
        let rerank = Rerank::new(shelf, Mmr::new(embedder, 0.5).unwrap(), 2).unwrap();
        assert_named(block_on(rerank.retrieve(&request)));
    }
}

#[test]
fn a_critic_by_embeddings() {
    let concepts = ["car", "bus"];
    assert_named(block_on(ZeroShotCritic::new(Changing::texts_changed(), &concepts)));
    let critic = block_on(ZeroShotCritic::new(Changing::images_changed(), &concepts)).unwrap();
    assert_named(block_on(critic.critique(&CritiqueRequest::new("a car", Some(picture())))));
}

#[cfg(feature = "gallery")]
#[test]
fn a_gallery() {
    use imagerag::gallery::ingest::{Content, Ingest, Item};
    use imagerag::gallery::{Fingerprint, Gallery};

    assert_named(block_on(Fingerprint::of(&Changing::texts_changed())));
    assert_named(block_on(Fingerprint::of(&Changing::images_changed())));
    let folder = tempfile::tempdir().unwrap();
    let embedder = Changing::default();
    let gallery = Gallery::open_or_create(folder.path().join("gallery"), &embedder);
    let gallery = block_on(gallery).unwrap();
    embedder.images.store(true, Ordering::Relaxed);
    let items = vec![Ok(Item::new("red", Content::Image(picture())))];
    let ingest = Ingest::into(&gallery).with_embedder(embedder);
    assert_named(block_on(ingest.run(items, |_| {})));
    assert_eq!(gallery.count().unwrap(), 0);
}

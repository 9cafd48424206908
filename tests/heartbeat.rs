//! Many runs polled by one thread, beside a heartbeat on the same thread: neither a search among
//! 350,000 vectors nor the decoding of 20 megapixels makes it late.

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::executor::block_on;
use futures::future::{Either, select};
use futures_timer::Delay;
use imagerag::conditioner::{
    ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind, ImageTokens,
};
use imagerag::embedder::{Embedded, Embedding};
use imagerag::index::FlatIndex;
use imagerag::reference::Picture;
use imagerag::retriever::{Catalog, CatalogEntry, EmbeddingRetriever};
use imagerag::testing::{FakeCritic, FakeGenerator};
use imagerag::{Embedder, Image, RagPipeline, Result};

const VECTORS: usize = 350_000;
const DIM: usize = 64;
const RUNS: usize = 3;
const BEAT: Duration = Duration::from_millis(5);
/// The latest that a beat may be.
const LATEST: Duration = Duration::from_millis(50);
/// The other tests of the machine may take its cores for a while; nobody can hold up every try.
const TRIES: usize = 5;

/// Embeds everything to one vector, and makes one token of any reference.
#[derive(Debug)]
struct One;

impl fmt::Display for One {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("One")
    }
}

#[async_trait]
impl Embedder for One {
    fn dim(&self) -> usize {
        DIM
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        texts.iter().map(|_| Embedding::new([1.0; DIM])).collect()
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        images.iter().map(|_| Embedding::new([1.0; DIM])).collect()
    }
}

#[async_trait]
impl Conditioner for One {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Tokens { space: "one".into() }
    }

    fn capacity(&self) -> usize {
        1
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        assert_eq!(request.references[0].image().await?.width(), 5_000);
        let tokens = ImageTokens::new("one", 1, 1, [0.0], [0.0])?;
        Ok(Conditioned {
            prompt: request.prompt.clone(),
            conditioning: Conditioning::Tokens(tokens),
        })
    }
}

/// A black picture of 5,000 x 4,000 pixels, uncompressed.
fn bitmap(path: &Path) {
    let (width, height): (u32, u32) = (5_000, 4_000);
    let pixels = 3 * width * height;
    let mut bytes = b"BM".to_vec();
    for field in [54 + pixels, 0, 54, 40, width, height, 1 | 24 << 16, 0, pixels, 0, 0, 0, 0] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.resize(bytes.len() + pixels as usize, 0);
    std::fs::write(path, bytes).unwrap();
}

/// How late the latest beat came while all runs went on.
fn latest(retriever: &Arc<EmbeddingRetriever<One>>) -> Duration {
    let critic = (0..RUNS).fold(FakeCritic::new(), |critic, _| critic.missing(["a quetzal"]));
    let kind = Conditioner::produces(&One);
    let pipeline = RagPipeline::builder()
        .generator(FakeGenerator::new().accepting(kind))
        .critic(critic)
        .retriever(Arc::clone(retriever))
        .conditioner(One)
        .build()
        .unwrap();
    let late = Cell::new(Duration::ZERO);
    let heartbeat = pin!(async {
        loop {
            let due = Instant::now() + BEAT;
            Delay::new(BEAT).await;
            late.set(late.get().max(due.elapsed()));
        }
    });
    let runs = pipeline.run_many(["a quetzal"; RUNS], RUNS).collect::<Vec<_>>();
    let outcomes = match block_on(select(runs, heartbeat)) {
        Either::Left((outcomes, _)) => outcomes,
        Either::Right((never, _)) => never,
    };
    assert_eq!(outcomes.len(), RUNS);
    for (_, outcome) in outcomes {
        assert_eq!(outcome.unwrap().references.len(), 1);
    }
    late.get()
}

#[test]
fn retrieval_does_not_hold_up_the_thread_that_polls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("black.bmp");
    bitmap(&path);
    let mut index = FlatIndex::new(DIM).unwrap();
    for n in 0..VECTORS {
        let mut values = [1.0; DIM];
        values[n % DIM] = n as f32 / VECTORS as f32;
        index.add(&Embedding::new(values).unwrap()).unwrap();
    }
    let entry = |n| CatalogEntry::new(format!("{n}"), Picture::file(&path));
    let catalog = Catalog::new((0..VECTORS).map(entry));
    let retriever = Arc::new(block_on(EmbeddingRetriever::new(One, index, catalog)).unwrap());
    let mut tries = Vec::new();
    while tries.len() < TRIES && !tries.iter().any(|late| *late <= LATEST) {
        tries.push(latest(&retriever));
    }
    println!("latest beats: {tries:?}");
    assert!(tries.iter().any(|late| *late <= LATEST), "beats came late by {tries:?}");
}

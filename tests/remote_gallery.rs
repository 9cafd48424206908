//! A gallery that a service embeds: nothing is lost, nothing is paid for twice, and the service works all
//! the time, whatever interrupts the build.

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/embeddings.rs"]
mod embeddings;
mod support;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use embeddings::{DIM, Fake, Input, error};
use futures::FutureExt;
use futures::executor::block_on;
use imagerag::Result;
use imagerag::embedder::{Batching, Embedded, Embedder, EmbeddingApi, RemoteEmbedder};
use imagerag::gallery::ingest::{Content, Ingest, IngestProgress, Item};
use imagerag::gallery::{Fingerprint, Gallery, Rejected};
use imagerag::testing::FakeEmbedder;
use imagerag::{Error, Image};
use tempfile::{TempDir, tempdir};

/// The size of the fingerprint's picture, which is no image of a gallery.
const PROBE: (u32, u32) = (96, 64);

/// A picture of its own for each number below 20,000, also as JPEG.
fn picture(n: usize) -> Image {
    let (width, height) = (4 + n / 200, 4 + n % 200);
    Image::new(width as u32, height as u32, vec![(n % 251) as u8; 3 * width * height]).unwrap()
}

fn items(count: usize) -> impl Iterator<Item = Result<Item, Rejected>> + Send + 'static {
    (0..count).map(|n| Ok(Item::new(format!("{n}"), Content::Image(picture(n)))))
}

fn gallery(embedder: &RemoteEmbedder) -> (TempDir, Gallery) {
    let folder = tempdir().unwrap();
    let gallery = block_on(Gallery::open_or_create(folder.path().join("g"), embedder)).unwrap();
    (folder, gallery)
}

fn run(gallery: &Gallery, embedder: &RemoteEmbedder, count: usize) -> Result<IngestProgress> {
    block_on(Ingest::into(gallery).with_embedder(embedder.clone()).run(items(count), |_| {}))
}

/// How often the images were embedded: as many as there are, and at most so often.
fn embedded(fake: &Fake) -> (usize, usize) {
    let images = fake.images(PROBE);
    (images.len(), images.values().copied().max().unwrap_or(0))
}

#[test]
fn a_build_that_is_dropped_goes_on_without_paying_twice_but_for_what_was_under_way() {
    for stop_at in [1, 40, 73] {
        let fake = Fake::new(EmbeddingApi::Jina);
        let embedder = fake.builder().max_batch(4).max_concurrency(3).dim(DIM).build().unwrap();
        let (_folder, gallery) = gallery(&embedder);
        let ingest = Ingest::into(&gallery).with_embedder(embedder.clone());
        {
            let done = AtomicUsize::new(0);
            let mut build =
                pin!(ingest.run(items(100), |p| done.store(p.seen() as usize, Ordering::SeqCst)));
            while done.load(Ordering::SeqCst) < stop_at {
                let _ = build.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                std::thread::yield_now();
            }
        }
        let kept = gallery.count().unwrap();
        assert!((stop_at..=100).contains(&kept), "{kept}");
        let done = run(&gallery, &embedder, 100).unwrap();
        assert_eq!((done.added, done.known), (100 - kept as u64, kept as u64));
        assert_eq!(gallery.count().unwrap(), 100);
        let images = fake.images(PROBE);
        assert_eq!(images.len(), 100);
        let twice = images.values().filter(|times| **times > 1).count();
        // Three batches at the service, and what of them was not yet written.
        assert!(twice <= 2 * 3 * 4, "{twice} were paid for twice");
        assert!(images.values().all(|times| *times <= 2), "{images:?}");
    }
}

#[test]
fn a_service_that_dies_costs_nothing_that_it_answered() {
    for dies_after in [1, 5, 12] {
        for with in [500, 503, 429, 401] {
            let (is_dead, answered) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
            let dead = Arc::clone(&is_dead);
            let fake = Fake::faulty(EmbeddingApi::Infinity, move |_, asked| {
                let is_image =
                    |input: &Input| matches!(input, Input::Image(_, w, h) if (*w, *h) != PROBE);
                if asked.inputs.iter().any(is_image) {
                    let before = answered.fetch_add(1, Ordering::SeqCst);
                    dead.fetch_or(before == dies_after, Ordering::SeqCst);
                }
                dead.load(Ordering::SeqCst).then(|| error(with, "no more"))
            });
            let embedder = fake.builder().max_batch(4).max_retries(0).dim(DIM).build().unwrap();
            let (_folder, gallery) = gallery(&embedder);
            let told = run(&gallery, &embedder, 80).unwrap_err();
            assert!(matches!(told, Error::Service { status, .. } if status == with), "{told}");
            // What was answered, also after another one failed, is in the gallery.
            let kept = gallery.count().unwrap();
            assert_eq!(kept, embedded(&fake).0);
            assert_eq!((gallery.rejected().unwrap().len(), kept), (0, 4 * dies_after));
            is_dead.store(false, Ordering::SeqCst);
            let done = run(&gallery, &embedder, 80);
            // The counter of the fault is past its number.
            assert_eq!(done.unwrap().added as usize, 80 - kept, "dies after {dies_after}");
            assert_eq!(embedded(&fake), (80, 1), "{with} after {dies_after}");
        }
    }
}

#[test]
fn pictures_that_a_service_refuses_are_rejected_by_name_and_the_others_taken_in_once() {
    let bad = |input: &Input| matches!(input, Input::Image(_, 4, 21 | 27 | 34));
    // Refused, beyond the service, and answered with nothing of use.
    for (status, body) in [
        (400, r#"{"detail": "cannot identify image file"}"#),
        (500, r#"{"detail": "division by zero"}"#),
        (400, r#"{"error": {"code": "content_policy_violation", "message": "not allowed"}}"#),
    ] {
        for api in [EmbeddingApi::Vllm, EmbeddingApi::Cohere] {
            let fake = Fake::faulty(api, move |_, asked| {
                asked.inputs.iter().any(bad).then(|| error(status, body))
            });
            let embedder = fake.builder().max_retries(0).dim(DIM).build().unwrap();
            let (_folder, gallery) = gallery(&embedder);
            let done = run(&gallery, &embedder, 60).unwrap();
            assert_eq!((done.added, done.rejected), (57, 3), "{status} {api}");
            assert!(done.adds_up(), "{done}");
            let rejected = gallery.rejected().unwrap();
            let sources: Vec<_> = rejected.iter().map(|one| &*one.source).collect();
            assert_eq!(sources, ["17", "23", "30"]);
            assert!(rejected[0].reason.contains(&status.to_string()) || body.contains("policy"));
            assert_eq!(embedded(&fake), (57, 1), "{status} {api}");
            // Each of ours is another picture than the probe, which is asked for after failures.
            assert_eq!(done.usage.prompt_tokens, 570);
        }
    }
    // The caller's own batches are larger than the service's.
    let fake = Fake::faulty(EmbeddingApi::Jina, move |_, asked| {
        asked.inputs.iter().any(bad).then(|| error(400, "no"))
    });
    let embedder = fake.builder().max_batch(4).dim(DIM).build().unwrap();
    let (_folder, gallery) = gallery(&embedder);
    let ingest = Ingest::into(&gallery).with_embedder(embedder).with_batch(64);
    let done = block_on(ingest.run(items(60), |_| {})).unwrap();
    assert_eq!((done.added, done.rejected), (57, 3));
    assert_eq!(embedded(&fake), (57, 1));
}

#[test]
fn the_service_is_given_as_many_requests_at_a_time_as_it_takes() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let fake = Fake::faulty(EmbeddingApi::Vllm, move |_, _| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        None
    });
    let embedder = fake.builder().max_concurrency(8).dim(DIM).build().unwrap();
    let (_folder, gallery) = gallery(&embedder);
    let ingest = Ingest::into(&gallery).with_embedder(embedder.clone());
    assert_eq!(ingest.in_flight(), 9 + std::thread::available_parallelism().unwrap().get());
    let done = block_on(ingest.run(items(120), |_| {})).unwrap();
    assert_eq!((done.added, most.load(Ordering::SeqCst)), (120, 8));
    assert!(done.most_in_flight <= ingest.in_flight(), "{}", done.most_in_flight);
    // Images are in the order of the reader, however the service answers.
    for (n, found) in gallery.iter().unwrap().enumerate() {
        assert_eq!(found.unwrap().0.record.source, n.to_string());
    }
    // The settings of the ingest come first.
    let one = Ingest::into(&gallery).with_embedder(embedder).with_batch(5).with_concurrency(2);
    assert_eq!(one.with_threads(1).in_flight(), 16);
    let none = Ingest::into(&gallery).with_embedder(FakeEmbedder).with_concurrency(0);
    let told = block_on(none.run(items(1), |_| {})).unwrap_err().to_string();
    assert_eq!(told, "batches at a time: expected at least 1, found 0");
}

#[test]
fn thousands_of_images_are_embedded_over_http_exactly_once() {
    let fake = Fake::new(EmbeddingApi::Voyage);
    let embedder = fake.builder().dim(DIM).build().unwrap();
    let (_folder, gallery) = gallery(&embedder);
    let done = run(&gallery, &embedder, 5_000).unwrap();
    assert_eq!((done.added, gallery.count().unwrap()), (5_000, 5_000));
    assert_eq!(embedded(&fake), (5_000, 1));
    assert_eq!(done.usage.prompt_tokens, 50_000);
    let again = run(&gallery, &embedder, 5_000).unwrap();
    assert_eq!((again.known, embedded(&fake)), (5_000, (5_000, 1)));
}

/// An embedder in this process that works on several batches at a time, and is interrupted.
#[derive(Clone, Debug)]
struct Counting {
    embedded: Arc<AtomicUsize>,
    dies_at: usize,
}

impl std::fmt::Display for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counting")
    }
}

#[imagerag::async_trait]
impl Embedder for Counting {
    fn dim(&self) -> usize {
        FakeEmbedder.dim()
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        if self.embedded.load(Ordering::SeqCst) >= self.dies_at {
            return Err(Error::service(self, 503, "no more"));
        }
        FakeEmbedder.embed_texts(texts).await
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        if self.embedded.fetch_add(images.len(), Ordering::SeqCst) >= self.dies_at {
            self.embedded.fetch_sub(images.len(), Ordering::SeqCst);
            return Err(Error::service(self, 503, "no more"));
        }
        FakeEmbedder.embed_images(images).await
    }

    fn batching(&self) -> Batching {
        Batching::new(32, 4)
    }
}

/// `cargo test --release --features gallery,testing --test remote_gallery -- --ignored` runs it.
#[test]
#[ignore = "takes a minute or more"]
fn a_hundred_thousand_images_survive_ten_interruptions() {
    let folder = tempdir().unwrap();
    let embedded = Arc::new(AtomicUsize::new(0));
    let gallery = Fingerprint::named("Counting", FakeEmbedder.dim()).unwrap();
    let gallery = Gallery::create(folder.path().join("g"), &gallery).unwrap();
    let pictures = || {
        (0..100_000_u32).map(|n| {
            let [_, r, g, b] = n.to_be_bytes();
            let image = Image::new(2, 1, [r, g, b].repeat(2)).unwrap();
            Ok(Item::new(format!("{n}"), Content::Bytes(image.encode_png().unwrap())))
        })
    };
    for tenth in 1..=11 {
        let dies_at = if tenth == 11 { usize::MAX } else { tenth * 9_000 };
        let embedder = Counting { embedded: Arc::clone(&embedded), dies_at };
        let outcome = block_on(
            Ingest::into(&gallery).with_embedder(embedder).run(pictures(), |_| {}).boxed(),
        );
        assert_eq!(outcome.is_err(), tenth < 11);
    }
    assert_eq!(gallery.count().unwrap(), 100_000);
    let probes = embedded.load(Ordering::SeqCst) - 100_000;
    assert!(probes <= 22, "{probes} images were embedded twice, or are the probe");
}

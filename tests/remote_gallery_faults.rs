//! A gallery whose service fails now and then: no good picture is rejected, nothing is paid for twice, and
//! a service that does not work is noticed at once.

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/embeddings.rs"]
mod embeddings;
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embeddings::{Asked, DIM, Fake, Input, error, reply, vector};
use futures::executor::block_on;
use imagerag::embedder::{EmbeddingApi, RemoteEmbedder};
use imagerag::gallery::Gallery;
use imagerag::gallery::ingest::{Content, Ingest, IngestProgress, Item};
use imagerag::middleware::{Balance, Limit, Retry};
use imagerag::{Embedder, Error, Image, Result};
use tempfile::tempdir;

const COUNT: usize = 200;

/// The size of the fingerprint's picture, which is no image of a gallery.
const PROBE: (u32, u32) = (96, 64);

fn picture(n: usize) -> Image {
    let (width, height) = (4 + n / 200, 4 + n % 200);
    Image::new(width as u32, height as u32, vec![(n % 251) as u8; 3 * width * height]).unwrap()
}

/// Whether an input is the picture with this number.
fn is_number(input: &Input, n: usize) -> bool {
    matches!(input, Input::Image(_, 4, height) if *height as usize == 4 + n)
}

/// Whether a request is for images of the gallery.
fn is_of_gallery(asked: &Asked) -> bool {
    asked.inputs.iter().any(|input| matches!(input, Input::Image(_, w, h) if (*w, *h) != PROBE))
}

fn run(
    folder: &Path,
    embedder: impl Embedder + Clone,
    batch: Option<usize>,
) -> Result<IngestProgress> {
    let gallery = block_on(Gallery::open_or_create(folder, &embedder))?;
    let mut ingest = Ingest::into(&gallery).with_embedder(embedder);
    if let Some(batch) = batch {
        ingest = ingest.with_batch(batch);
    }
    let items = (0..COUNT).map(|n| Ok(Item::new(format!("{n}"), Content::Image(picture(n)))));
    block_on(ingest.run(items, |_| {}))
}

fn rejected(folder: &Path) -> Vec<String> {
    let rejected = Gallery::open(folder).unwrap().rejected().unwrap();
    rejected.iter().map(ToString::to_string).collect()
}

/// How many images were embedded, and how often at most.
fn embedded(fake: &Fake) -> (usize, usize) {
    let images = fake.images(PROBE);
    (images.len(), images.values().copied().max().unwrap_or(0))
}

#[test]
fn no_outage_rejects_a_picture_or_has_one_paid_for_twice() {
    let faults: [(u16, &str); 9] = [
        (429, r#"{"detail": "slow down"}"#),
        (503, r#"{"detail": "busy"}"#),
        (500, r#"{"detail": "internal"}"#),
        (502, "<html><title>Bad Gateway</title></html>"),
        (401, r#"{"detail": "no such key"}"#),
        (402, r#"{"detail": "pay"}"#),
        (403, r#"{"detail": "not for you"}"#),
        (400, r#"{"error": {"message": "API key not valid. Please pass a valid API key."}}"#),
        (200, "<html><title>Log in</title></html>"),
    ];
    for (status, body) in faults {
        for (api, every, batch) in [
            (EmbeddingApi::Jina, 3, None),
            (EmbeddingApi::Jina, 2, Some(64)),
            (EmbeddingApi::Vllm, 5, None),
        ] {
            let count = AtomicUsize::new(0);
            let fake = Fake::faulty(api, move |_, asked| {
                let fails = is_of_gallery(asked)
                    && count.fetch_add(1, Ordering::SeqCst) % every == every - 1;
                fails.then(|| error(status, body))
            });
            let folder = tempdir().unwrap();
            let folder = folder.path().join("g");
            let (mut runs, mut ended) = (0, false);
            while !ended && runs < 100 {
                // As after a restart: nothing is remembered but the gallery.
                let embedder = fake.builder().max_retries(0).dim(DIM).build().unwrap();
                ended = run(&folder, embedder, batch).is_ok();
                assert_eq!(rejected(&folder), [""; 0], "{status} {api}");
                assert_eq!(Gallery::open(&folder).unwrap().count().unwrap(), embedded(&fake).0);
                runs += 1;
            }
            assert!(ended, "{status} {api}");
            assert_eq!(embedded(&fake), (COUNT, 1), "{status} {api}");
        }
    }
}

#[test]
fn one_refused_picture_costs_the_others_nothing_and_few_requests() {
    for (batch, most) in [(None, 30), (Some(64), 30), (Some(7), 45)] {
        for wrapped in [false, true] {
            let fake = Fake::faulty(EmbeddingApi::Jina, |_, asked| {
                let is_bad = asked.inputs.iter().any(|input| is_number(input, 77));
                is_bad.then(|| error(400, r#"{"detail": "cannot identify image file"}"#))
            });
            let embedder = fake.builder().dim(DIM).build().unwrap();
            let folder = tempdir().unwrap();
            let folder = folder.path().join("g");
            let done = if wrapped {
                let members = [embedder.clone(), embedder].map(|one| Retry::new(one, 1));
                let limited = Limit::new(Balance::embedders(members).unwrap(), 2).unwrap();
                run(&folder, Arc::new(limited), batch)
            } else {
                run(&folder, embedder, batch)
            };
            let done = done.unwrap();
            assert_eq!((done.added, done.rejected), (199, 1), "{batch:?}");
            assert!(rejected(&folder)[0].starts_with("77: "), "{:?}", rejected(&folder));
            assert_eq!(embedded(&fake), (199, 1));
            assert_eq!(done.usage.prompt_tokens, 1990);
            let requests = fake.asked().iter().filter(|asked| is_of_gallery(asked)).count();
            assert!(wrapped || requests <= most, "{requests} requests with batches of {batch:?}");
        }
    }
}

#[test]
fn two_neighbours_and_a_whole_batch_of_refused_pictures_are_rejected() {
    for bad in [16..18, 0..1, 199..200, 0..16, 30..50] {
        for api in [EmbeddingApi::Jina, EmbeddingApi::Vllm] {
            let refused = bad.clone();
            let fake = Fake::faulty(api, move |_, asked| {
                let is_bad = |input: &Input| refused.clone().any(|n| is_number(input, n));
                asked.inputs.iter().any(is_bad).then(|| error(422, r#"{"detail": "no"}"#))
            });
            let embedder = fake.builder().dim(DIM).build().unwrap();
            let folder = tempdir().unwrap();
            let folder = folder.path().join("g");
            let done = run(&folder, embedder, None).unwrap();
            assert_eq!(done.rejected as usize, bad.len(), "{bad:?} {api}");
            assert_eq!(embedded(&fake), (COUNT - bad.len(), 1), "{bad:?} {api}");
            assert!(done.adds_up());
        }
    }
}

/// A service that gives what is no vector for picture 77, and what it was paid for.
#[test]
fn what_is_no_vector_costs_the_others_nothing() {
    for nothing in ["null", "[]", "[0, 0, 0, 0, 0, 0]", "[1, 2]"] {
        let paid = Arc::<Mutex<Vec<Input>>>::default();
        let log = Arc::clone(&paid);
        let fake = Fake::faulty(EmbeddingApi::Jina, move |_, asked| {
            if is_of_gallery(asked) {
                log.lock().unwrap().extend(asked.inputs.clone());
            }
            let at = asked.inputs.iter().position(|input| is_number(input, 77))?;
            let vectors: Vec<_> = asked.inputs.iter().map(vector).collect();
            let mut body = reply(EmbeddingApi::Jina, &vectors);
            body["data"][at]["embedding"] = serde_json::from_str(nothing).unwrap();
            Some((200, String::new(), body.to_string()))
        });
        let folder = tempdir().unwrap();
        let folder = folder.path().join("g");
        let done = run(&folder, fake.builder().dim(DIM).build().unwrap(), None).unwrap();
        assert_eq!((done.added, done.rejected), (199, 1), "{nothing}");
        assert!(rejected(&folder)[0].starts_with("77: "));
        assert_eq!(paid.lock().unwrap().len(), COUNT, "{nothing}");
        assert_eq!(done.usage.prompt_tokens, 2000, "all that was paid for");
    }
}

#[test]
fn a_service_that_hangs_or_knows_the_key_no_more_is_noticed_at_once() {
    for hangs in [true, false] {
        for api in [EmbeddingApi::Jina, EmbeddingApi::Vllm] {
            let fake = Fake::faulty(api, move |_, asked| {
                if hangs && is_of_gallery(asked) {
                    std::thread::sleep(Duration::from_millis(700));
                }
                is_of_gallery(asked).then(|| error(401, "revoked"))
            });
            let embedder = fake.builder().max_retries(0).timeout(Duration::from_millis(300));
            let embedder = embedder.dim(DIM).build().unwrap();
            let calls = embedder.batching().calls;
            let folder = tempdir().unwrap();
            let folder = folder.path().join("g");
            let told = run(&folder, embedder, None).unwrap_err();
            assert!(matches!(told, Error::Timeout { .. } | Error::Service { status: 401, .. }));
            assert_eq!(rejected(&folder), [""; 0]);
            // Two for the gallery's fingerprint, and what was under way.
            let requests = fake.asked().len();
            assert!(requests <= 2 + calls, "{requests} requests, {calls} at a time");
        }
    }
}

#[test]
fn a_model_that_changes_behind_its_name_is_found_at_the_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let fake = Fake::faulty(EmbeddingApi::Jina, move |_, asked| {
        let images = if is_of_gallery(asked) { asked.inputs.len() } else { 0 };
        let before = count.fetch_add(images, Ordering::SeqCst);
        (before >= COUNT / 2).then(|| {
            let vectors: Vec<Vec<f32>> = asked
                .inputs
                .iter()
                .map(|input| vector(input).into_iter().rev().collect())
                .collect();
            (200, String::new(), reply(EmbeddingApi::Jina, &vectors).to_string())
        })
    });
    let folder = tempdir().unwrap();
    let folder = folder.path().join("g");
    let embedder = || fake.builder().dim(DIM).build().unwrap();
    let told = run(&folder, embedder(), None).unwrap_err();
    assert!(matches!(told, Error::Incompatible { .. }), "{told}");
    let told = told.to_string();
    assert!(told.contains("images 0 to 199") && told.contains("some-clip"), "{told}");
    assert_eq!(Gallery::open(&folder).unwrap().count().unwrap(), COUNT);
    // What was found once is found again, also by who has the gallery open.
    assert!(matches!(run(&folder, embedder(), None), Err(Error::Incompatible { .. })));
}

#[test]
fn a_run_that_embeds_nothing_asks_for_nothing_at_its_end() {
    let fake = Fake::new(EmbeddingApi::Jina);
    let embedder: RemoteEmbedder = fake.builder().dim(DIM).build().unwrap();
    let folder = tempdir().unwrap();
    let folder = folder.path().join("g");
    run(&folder, embedder.clone(), None).unwrap();
    let before = fake.asked().len();
    assert_eq!(run(&folder, embedder, None).unwrap().known as usize, COUNT);
    assert_eq!(fake.asked().len(), before + 2, "the two probes when the gallery is opened");
}

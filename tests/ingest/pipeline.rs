//! The pipeline: coverage is exact, memory bounded, and an interrupted build goes on.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;
use imagerag::embedder::{Embedded, Embedder, Embedding};
use imagerag::gallery::ingest::{
    ClipRetrieval, Content, Folder, Ingest, IngestProgress, Item, WebDataset,
};
use imagerag::gallery::{Depth, Fingerprint, Gallery, Pixels, Rejected, SearchOptions};
use imagerag::reference::Metadata;
use imagerag::testing::FakeEmbedder;
use imagerag::{Error, Image, Result};
use tempfile::{TempDir, tempdir};

use super::support::*;

/// The fake's gallery in a folder of its own.
fn gallery() -> (TempDir, Gallery) {
    let folder = tempdir().unwrap();
    let gallery = block_on(Gallery::open_or_create(folder.path().join("g"), &FakeEmbedder));
    (folder, gallery.unwrap())
}

fn run<I>(ingest: &Ingest, items: I) -> Result<IngestProgress>
where
    I: IntoIterator<Item = Result<Item, Rejected>> + Send,
    I::IntoIter: Send + 'static,
{
    block_on(ingest.run(items, |_| {}).boxed()) // `boxed` sees that it can be spawned.
}

fn fake(gallery: &Gallery) -> Ingest {
    Ingest::into(gallery).with_embedder(FakeEmbedder)
}

/// Added, updated, known and rejected.
fn counts(done: &IngestProgress) -> [u64; 4] {
    [done.added, done.updated, done.known, done.rejected]
}

/// One shard of `n` pictures that all differ.
fn shard(folder: &Path, n: u32) {
    let mut archive = tar::Builder::new(Vec::new());
    for i in 0..n {
        append(&mut archive, &format!("{i:06}.png"), &png(i), tar::EntryType::Regular);
    }
    fs::write(folder.join("00000.tar"), archive.into_inner().unwrap()).unwrap();
}

/// The fake, with a count of what it embeds and something that happens before.
#[derive(Clone)]
struct Watched {
    embedded: Arc<AtomicUsize>,
    before: Arc<Before>,
}

type Before = dyn Fn(&[Image]) -> Result<()> + Send + Sync;

impl Watched {
    fn new(before: impl Fn(&[Image]) -> Result<()> + Send + Sync + 'static) -> Self {
        Self { embedded: Arc::default(), before: Arc::new(before) }
    }

    fn embedded(&self) -> usize {
        self.embedded.load(Ordering::SeqCst)
    }
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeEmbedder")
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// The size of the fingerprint's picture, which is no image of a gallery.
const PROBE: (u32, u32) = (96, 64);

#[async_trait]
impl Embedder for Watched {
    fn dim(&self) -> usize {
        FakeEmbedder.dim()
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        FakeEmbedder.embed_texts(texts).await
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        if images.iter().all(|image| (image.width(), image.height()) != PROBE) {
            (self.before)(images)?;
            self.embedded.fetch_add(images.len(), Ordering::SeqCst);
        }
        FakeEmbedder.embed_images(images).await
    }
}

/// Sizes at which the paper's own release loses up to half of the images.
#[test]
fn no_image_is_lost_at_any_size() {
    for n in [1, 63, 64, 65, 3_000, 4_096, 5_000, 10_000] {
        let (folder, gallery) = gallery();
        shard(folder.path(), n);
        let mut heard = 0;
        let done = block_on(
            fake(&gallery)
                .with_batch(if n < 100 { 64 } else { 1000 })
                .run(WebDataset::open(folder.path()).unwrap(), |progress| heard = progress.seen()),
        )
        .unwrap();
        assert_eq!(counts(&done), [n.into(), 0, 0, 0]);
        assert_eq!((done.seen(), heard), (n.into(), n.into()), "the end is heard of too");
        assert_eq!(gallery.count().unwrap(), n as usize);
        let query = Embedding::new([1.0, 1.0, 1.0]).unwrap();
        let found = block_on(gallery.search(&[query], &SearchOptions::new(n as usize))).unwrap();
        let mut sources: Vec<_> = found[0].iter().map(|f| f.entry.record.source.clone()).collect();
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(sources.len(), n as usize, "every image is findable");
        // They are numbered in the order of the reader, however many threads there are.
        for (i, found) in gallery.iter().unwrap().enumerate().step_by(97) {
            let (entry, _) = found.unwrap();
            assert!(entry.record.source.ends_with(&format!("#{i:06}.png")), "{entry:?} is {i}");
        }
    }
}

#[test]
fn no_more_images_than_promised_are_in_memory() {
    let (_folder, gallery) = gallery();
    let read = Arc::new(AtomicUsize::new(0));
    let bound = fake(&gallery).with_batch(4).with_threads(3).in_flight();
    assert_eq!(bound, 11);
    let seen = Arc::clone(&read);
    // Images whose pixels are gone, and those of the batch that was embedded last.
    let (settled, latest) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let embedder = Watched::new(move |images| {
        assert!(images.len() <= 4);
        settled.fetch_add(latest.swap(images.len(), Ordering::SeqCst), Ordering::SeqCst);
        // Time for the threads to run ahead as far as they may.
        let ahead = || seen.load(Ordering::SeqCst) - settled.load(Ordering::SeqCst);
        for _ in 0..200 {
            if ahead() >= bound {
                break;
            }
            std::thread::yield_now();
        }
        assert!(ahead() <= bound, "{} images", ahead());
        Ok(())
    });
    let items = (0..200).map(move |i| {
        if i % 10 == 9 {
            return Err(Rejected { source: format!("{i}"), reason: "it is a tenth".into() });
        }
        read.fetch_add(1, Ordering::SeqCst);
        Ok(Item::new(format!("{i}"), Content::Image(picture(i))))
    });
    let ingest = Ingest::into(&gallery).with_embedder(embedder).with_batch(4).with_threads(3);
    let done = block_on(ingest.run(items, |_| {})).unwrap();
    assert_eq!(counts(&done), [180, 0, 0, 20]);
    assert_eq!(done.total, Some(200));
    assert!((4..=bound).contains(&done.most_in_flight), "{}", done.most_in_flight);
}

#[test]
fn a_build_that_fails_goes_on_where_it_stopped() {
    let (folder, gallery) = gallery();
    shard(folder.path(), 100);
    let broken = Watched::new({
        let left = AtomicUsize::new(5);
        move |_| {
            let went = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            went.map(|_| ()).map_err(|_| Error::Cancelled)
        }
    });
    // An embedder that no longer works at all, not even on the probe.
    #[derive(Clone, Debug)]
    struct Dead(Watched);
    impl std::fmt::Display for Dead {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{}", self.0)
        }
    }
    #[async_trait]
    impl Embedder for Dead {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
            self.0.embed_texts(texts).await
        }
        async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
            if self.0.embedded() == 50 {
                return Err(Error::backend("graphics card", "out of memory"));
            }
            self.0.embed_images(images).await
        }
    }
    let items = || WebDataset::open(folder.path()).unwrap();
    let ingest = Ingest::into(&gallery).with_embedder(Dead(broken.clone())).with_batch(10);
    let error = run(&ingest, items()).unwrap_err().chain().to_string();
    assert_eq!(error, "graphics card failed: out of memory");
    assert_eq!(gallery.count().unwrap(), 50);

    let sound = Watched::new(|_| Ok(()));
    let ingest = Ingest::into(&gallery).with_embedder(sound.clone()).with_batch(10);
    let done = run(&ingest, items()).unwrap();
    assert_eq!((counts(&done), sound.embedded()), ([50, 0, 50, 0], 50));
    let done = run(&ingest, items()).unwrap();
    assert_eq!((counts(&done), sound.embedded()), ([0, 0, 100, 0], 50));
    assert_eq!(gallery.count().unwrap(), 100);
}

#[test]
fn dropping_the_future_keeps_what_was_acknowledged() {
    let (folder, gallery) = gallery();
    shard(folder.path(), 100);
    let ingest = fake(&gallery).with_batch(10);
    let acknowledged = AtomicUsize::new(0);
    {
        let items = WebDataset::open(folder.path()).unwrap();
        let mut build = pin!(ingest.run(items, |progress| {
            acknowledged.store(progress.seen() as usize, Ordering::SeqCst);
        }));
        while acknowledged.load(Ordering::SeqCst) < 30 {
            let _ = build.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            std::thread::yield_now();
        }
    }
    let kept = gallery.count().unwrap();
    assert!(kept >= 30 && kept % 10 == 0, "{kept}");
    // The writer is free again.
    let done = run(&ingest, WebDataset::open(folder.path()).unwrap()).unwrap();
    assert_eq!(counts(&done), [100 - kept as u64, 0, kept as u64, 0]);
}

#[test]
fn bad_images_cost_the_good_ones_nothing() {
    let (folder, gallery) = gallery();
    let root = folder.path().join("photos");
    fs::create_dir(&root).unwrap();
    let good = ["a.png", "b.webp", "c.gif", "d.bmp", "e.tiff"];
    for (n, name) in good.iter().enumerate() {
        picture(n as u32 + 1).save(root.join(name)).unwrap();
    }
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    for name in ["cmyk.jpg", "grey.jpg", "palette.png", "rgba.png", "bilevel.png"] {
        fs::copy(images.join(name), root.join(name)).unwrap();
    }
    // A PNG that is called JPEG is good; a copy is known.
    fs::write(root.join("wrong.jpg"), png(77)).unwrap();
    fs::copy(root.join("a.png"), root.join("z-copy.png")).unwrap();
    let mut huge = fs::read(root.join("d.bmp")).unwrap();
    huge[18..26].copy_from_slice(&[0, 0x40, 0, 0, 0, 0x40, 0, 0]);
    let mut torn = fs::read(images.join("rgba.png")).unwrap();
    torn.truncate(torn.len() / 2);
    let bad: [(&str, &[u8], &str); 5] = [
        ("bad-empty.png", b"", "found an empty file"),
        ("bad-huge.bmp", &huge, "at most 1000000 pixels, found 16384x16384, 268435456 pixels"),
        ("bad-long.png", &[0; 5000], "picture file: expected at most 4096 bytes, found 5000 bytes"),
        ("bad-text.jpg", b"a text, no picture", "picture: expected PNG, JPEG"),
        ("bad-torn.png", &torn, "picture: expected PNG, JPEG"),
    ];
    for (name, bytes, _) in bad {
        fs::write(root.join(name), bytes).unwrap();
    }
    let ingest = fake(&gallery).with_max_pixels(1_000_000).with_max_bytes(4096).with_batch(3);
    let done = run(&ingest, Folder::open(&root).unwrap().counted()).unwrap();
    assert_eq!((counts(&done), done.total), ([11, 0, 1, 5], Some(17)));
    let rejected = gallery.rejected().unwrap();
    assert_eq!(rejected.len(), bad.len());
    for (rejected, (name, _, said)) in rejected.iter().zip(bad) {
        assert!(rejected.source.ends_with(name), "{rejected:?}");
        assert!(rejected.reason.contains(said), "{rejected:?}");
    }
    // Sizes are those of the pixels, and the pixels are where they were.
    let grey = gallery.by_source(root.join("grey.jpg").to_str().unwrap()).unwrap().unwrap();
    assert_eq!((grey.record.metadata.width, grey.record.metadata.height), (Some(24), Some(16)));
    assert_eq!(grey.record.pixels, Pixels::File(root.join("grey.jpg")));
    assert_eq!(grey.record.image().unwrap(), Image::open(root.join("grey.jpg")).unwrap());
    // What was repaired is taken in, and no longer listed.
    fs::write(root.join("bad-empty.png"), png(500)).unwrap();
    let done = run(&ingest, Folder::open(&root).unwrap()).unwrap();
    assert_eq!(counts(&done), [1, 0, 12, 4]);
    assert_eq!(gallery.rejected().unwrap().len(), 4);
}

#[test]
fn an_image_that_the_embedder_fails_on_is_rejected_alone() {
    let (folder, gallery) = gallery();
    shard(folder.path(), 20);
    let bad = picture(7);
    let embedder = Watched::new(move |images| match images.contains(&bad) {
        true => Err(Error::backend("model", "not a number")),
        false => Ok(()),
    });
    let ingest = Ingest::into(&gallery).with_embedder(embedder);
    let done = run(&ingest, WebDataset::open(folder.path()).unwrap()).unwrap();
    assert_eq!(counts(&done), [19, 0, 0, 1]);
    let rejected = gallery.rejected().unwrap();
    assert!(rejected[0].source.ends_with("#000007.png"));
    assert_eq!(rejected[0].reason, "model failed: not a number");
    // Alone in its batch it is the image too, as long as the embedder works otherwise.
    let (_folder, gallery) = self::gallery();
    let ingest = Ingest::into(&gallery)
        .with_embedder(Watched::new(|_| Err(Error::backend("model", "not a number"))));
    let items = vec![Ok(Item::new("only", Content::Image(picture(7))))];
    assert_eq!(counts(&run(&ingest, items).unwrap()), [0, 0, 0, 1]);
}

#[test]
fn known_images_are_described_anew_and_changed_files_replaced() {
    let (folder, gallery) = gallery();
    let root = folder.path().join("photos");
    fs::create_dir(&root).unwrap();
    for n in 0..3 {
        fs::write(root.join(format!("{n}.png")), png(n)).unwrap();
    }
    let embedder = Watched::new(|_| Ok(()));
    let ingest = Ingest::into(&gallery).with_embedder(embedder.clone());
    assert_eq!(counts(&run(&ingest, Folder::open(&root).unwrap()).unwrap()), [3, 0, 0, 0]);
    fs::write(root.join("0.txt"), "a new caption").unwrap();
    fs::write(root.join("1.png"), png(100)).unwrap();
    assert_eq!(counts(&run(&ingest, Folder::open(&root).unwrap()).unwrap()), [0, 1, 2, 0]);
    assert_eq!((gallery.count().unwrap(), embedder.embedded()), (3, 4));
    let named = |name: &str| gallery.by_source(root.join(name).to_str().unwrap()).unwrap().unwrap();
    assert_eq!(named("0.png").record.metadata.caption.as_deref(), Some("a new caption"));
    assert_eq!(named("1.png").record.image().unwrap(), picture(100));
    // A tree that was moved is known, and its pixels are found where they are now.
    let moved = folder.path().join("moved");
    fs::rename(&root, &moved).unwrap();
    assert_eq!(counts(&run(&ingest, Folder::open(&moved).unwrap()).unwrap()), [0, 0, 3, 0]);
    for entry in gallery.iter().unwrap() {
        assert!(entry.unwrap().0.record.image().is_ok());
    }
}

#[test]
fn a_callers_images_are_kept_by_the_gallery() {
    let (folder, gallery) = gallery();
    let license = Some("CC0-1.0".to_owned());
    let items = || {
        let metadata = Metadata { license: license.clone(), ..Metadata::default() };
        vec![
            Ok(Item::new("image", Content::Image(picture(1))).with_metadata(metadata)),
            Ok(Item::new("bytes", Content::Bytes(png(2)))),
            Ok(Item::new("broken", Content::Bytes(b"no picture".to_vec()))),
            Ok(Item::new("again", Content::Image(picture(1)))),
            Ok(Item::new("", Content::Image(picture(3)))),
            Ok(Item::new("json", Content::Image(picture(4)))
                .with_metadata(Metadata { json: Some("[]".to_owned()), ..Metadata::default() })),
        ]
    };
    let done = run(&fake(&gallery), items()).unwrap();
    assert_eq!(counts(&done), [2, 0, 1, 3]);
    for (source, n) in [("image", 1), ("bytes", 2)] {
        let record = gallery.by_source(source).unwrap().unwrap().record;
        assert_eq!(record.image().unwrap(), picture(n));
    }
    assert_eq!(gallery.by_source("image").unwrap().unwrap().record.metadata.license, license);
    assert_eq!(counts(&run(&fake(&gallery), items()).unwrap()), [0, 0, 3, 3]);
    // They go where the gallery goes, also when their description changes there.
    drop(gallery);
    let moved = folder.path().join("moved");
    fs::rename(folder.path().join("g"), &moved).unwrap();
    let gallery = Gallery::open(&moved).unwrap();
    let entry = gallery.by_source("image").unwrap().unwrap();
    gallery.writer().unwrap().set_captions(&[(entry.id, "one")]).unwrap();
    let entry = gallery.by_source("image").unwrap().unwrap();
    assert_eq!(entry.record.image().unwrap(), picture(1));
    assert!(Gallery::verify(&moved, Depth::Pictures).is_whole());
}

#[test]
fn embeddings_that_people_have_are_not_computed_again() {
    let folder = tempdir().unwrap();
    let named = Fingerprint::named("CLIP ViT-B/32", 8).unwrap();
    let gallery = Gallery::create(folder.path().join("g"), &named).unwrap();
    let ingest = Ingest::into(&gallery).with_batch(5);
    let items = || ClipRetrieval::open(fixture("clip_retrieval")).unwrap();
    assert_eq!(counts(&run(&ingest, items()).unwrap()), [12, 0, 0, 0]);
    let (ours, theirs) = (gallery.iter().unwrap(), items());
    for (ours, theirs) in ours.zip(theirs) {
        let ((entry, embedding), item) = (ours.unwrap(), theirs.unwrap());
        assert_eq!(entry.record.source, item.source);
        assert_eq!(entry.record.pixels, Pixels::Remote);
        assert_eq!(embedding, item.embedding.unwrap());
    }
    assert_eq!(counts(&run(&ingest, items()).unwrap()), [0, 0, 12, 0]);
    // Without an embedder, what brings no embedding is rejected.
    let items = vec![Ok(Item::new("x", Content::Image(picture(1))))];
    assert_eq!(counts(&run(&ingest, items).unwrap()), [0, 0, 0, 1]);
    assert!(gallery.rejected().unwrap()[0].reason.contains("there is no embedder"));
}

#[test]
fn what_cannot_work_is_an_error_before_anything_is_read() {
    let (_folder, gallery) = gallery();
    let none = || std::iter::empty::<Result<Item, Rejected>>();
    for (ingest, said) in [
        (fake(&gallery).with_batch(0), "batch: expected at least 1, found 0"),
        (fake(&gallery).with_threads(0), "threads: expected at least 1, found 0"),
    ] {
        assert_eq!(run(&ingest, none()).unwrap_err().chain().to_string(), said);
    }
    assert_eq!(counts(&run(&fake(&gallery), none()).unwrap()), [0; 4]);
    // Vectors of another dimension.
    let items = ClipRetrieval::open(fixture("clip_retrieval")).unwrap();
    let error = run(&fake(&gallery), items).unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    assert!(error.chain().to_string().ends_with("expected 3 values, found 8 values"), "{error}");
    // Another encoder.
    let named = Fingerprint::named("another", 3).unwrap();
    let other = tempdir().unwrap();
    let other = Gallery::create(other.path().join("g"), &named).unwrap();
    let error = run(&fake(&other), none()).unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    // Another writer.
    let writer = gallery.writer().unwrap();
    assert!(matches!(run(&fake(&gallery), none()), Err(Error::Unavailable { .. })));
    drop(writer);
    // A reader that panics ends it; what came before and was acknowledged stays.
    let items = (0..10).map(|i| {
        assert!(i < 7, "the reader's own mistake");
        Ok(Item::new(format!("{i}"), Content::Image(picture(i))))
    });
    let error = run(&fake(&gallery).with_batch(2), items).unwrap_err().chain().to_string();
    assert_eq!(error, "reader of images failed: it panicked");
    assert_eq!(gallery.count().unwrap(), 6);
}

//! Pictures that are stored lying on their side, as they come to the embedder and out of a gallery.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::executor::block_on;
use imagerag::embedder::{Embedded, Embedder};
use imagerag::gallery::ingest::{Folder, Ingest};
use imagerag::gallery::{Gallery, GalleryRetriever};
use imagerag::reference::Caption;
use imagerag::retriever::{RetrieveRequest, Retriever};
use imagerag::testing::FakeEmbedder;
use imagerag::{Image, Result};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name)
}

/// The fake, and the images that it was shown.
#[derive(Clone, Debug, Default)]
struct Shown(Arc<Mutex<Vec<Image>>>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FakeEmbedder.fmt(f)
    }
}

#[async_trait]
impl Embedder for Shown {
    fn dim(&self) -> usize {
        FakeEmbedder.dim()
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        FakeEmbedder.embed_texts(texts).await
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        self.0.lock().unwrap().extend_from_slice(images);
        FakeEmbedder.embed_images(images).await
    }
}

#[test]
fn references_embeddings_and_sizes_are_those_of_the_upright_picture() {
    let names =
        ["upright/exif_6.jpg", "upright/exif_3.png", "upright/exif_8.webp", "upright/tag_5.tif"];
    let upright = Image::open(fixture("upright/upright.png")).unwrap();
    for name in names {
        let folder = tempfile::tempdir().unwrap();
        let path = fixture(name);
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        let shown = Shown::default();
        let found = block_on(async {
            let at = folder.path().join("gallery");
            let gallery = Gallery::open_or_create(at, &shown).await.unwrap();
            let ingest = Ingest::into(&gallery).with_embedder(shown.clone());
            let done = ingest.run(Folder::open(folder.path()).unwrap(), |_| {}).await.unwrap();
            assert_eq!(done.added, 1, "{name}");
            let retriever = GalleryRetriever::new(FakeEmbedder, gallery).await.unwrap();
            let request = RetrieveRequest::new([Caption::concept("a bee")], 1);
            retriever.retrieve(&request).await.unwrap().remove(0).remove(0)
        });
        let metadata = &found.provenance.metadata;
        assert_eq!((metadata.width, metadata.height), (Some(12), Some(8)), "{name}");
        let reference = block_on(found.picture.load()).unwrap();
        assert_eq!(shown.0.lock().unwrap().last(), Some(&reference), "{name}");
        let differences = reference.pixels().iter().zip(upright.pixels());
        let worst = differences.map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(6), "{name} differs by {worst:?}");
    }
}

#[test]
fn a_long_picture_is_taken_in_and_a_cut_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let long = Image::new(18_000, 40, vec![9; 18_000 * 40 * 3]).unwrap();
    long.save(folder.path().join("long.png")).unwrap();
    for name in ["baseline.jpg", "progressive.jpg", "lossy.webp", "whole.gif", "jpeg.tif"] {
        let whole = fs::read(fixture("cut").join(name)).unwrap();
        fs::write(folder.path().join(name), &whole[..whole.len() * 45 / 100]).unwrap();
    }
    block_on(async {
        let at = folder.path().join("gallery");
        let gallery = Gallery::open_or_create(at, &FakeEmbedder).await.unwrap();
        let ingest = Ingest::into(&gallery).with_embedder(FakeEmbedder);
        let done = ingest.run(Folder::open(folder.path()).unwrap(), |_| {}).await.unwrap();
        assert_eq!((done.added, done.rejected), (1, 5));
        let rejected = gallery.rejected().unwrap();
        let jpeg = rejected.iter().find(|r| r.source.ends_with("baseline.jpg")).unwrap();
        assert!(jpeg.reason.contains("a JPEG file that is cut off"), "{}", jpeg.reason);
        let (entry, _) = gallery.iter().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.record.image().unwrap(), long);
    });
}

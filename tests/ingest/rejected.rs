//! Why an image is not in the gallery: who failed, with every cause, to read and as data.

use std::fmt;

use async_trait::async_trait;
use futures::executor::block_on;
use imagerag::embedder::{Embedded, Embedder};
use imagerag::gallery::ingest::{Content, Folder, Ingest, Item};
use imagerag::gallery::{Gallery, Rejected, SearchOptions};
use imagerag::testing::FakeEmbedder;
use imagerag::{Error, Image, Result};
use tempfile::tempdir;

use super::support::*;

/// The fake, which has trouble with one picture.
#[derive(Debug)]
struct Troubled(Image, Trouble);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Panics,
    IsNotReached,
}

impl fmt::Display for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Troubled")
    }
}

#[async_trait]
impl Embedder for Troubled {
    fn dim(&self) -> usize {
        FakeEmbedder.dim()
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        FakeEmbedder.embed_texts(texts).await
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        if self.1 == Trouble::IsNotReached && images.contains(&self.0) {
            let refused = std::io::Error::other("connection\n refused");
            return Err(Error::Connection { service: self.to_string(), source: refused.into() });
        }
        FakeEmbedder.embed_images(images).await
    }

    fn preprocess(&self, image: &Image) -> Image {
        assert!(self.1 != Trouble::Panics || *image != self.0, "the embedder's own mistake");
        image.clone()
    }
}

/// What is rejected of two pictures, of which the embedder has `trouble` with one.
fn rejected(trouble: Trouble) -> Vec<Rejected> {
    let folder = tempdir().unwrap();
    let gallery = Gallery::open_or_create(folder.path().join("g"), &FakeEmbedder);
    let gallery = block_on(gallery).unwrap();
    let embedder = Troubled(picture(1), trouble);
    let items = [1, 2].map(|n| Ok(Item::new(format!("{n}"), Content::Image(picture(n)))));
    let done = block_on(Ingest::into(&gallery).with_embedder(embedder).run(items, |_| {}));
    assert_eq!(done.unwrap().added, 1);
    gallery.rejected().unwrap()
}

#[test]
fn an_embedder_that_panics_is_named_and_not_the_decoder() {
    let reason = "Troubled failed: its `preprocess` panicked".to_owned();
    assert_eq!(rejected(Trouble::Panics), [Rejected { source: "1".to_owned(), reason }]);
}

#[test]
fn a_reason_holds_every_cause_in_one_line() {
    let rejected = rejected(Trouble::IsNotReached);
    let told = "1: Troubled could not be reached: connection refused";
    assert_eq!(rejected[0].to_string(), told);
    let json = serde_json::to_value(&rejected[0]).unwrap();
    assert_eq!(json["source"], "1");
    assert_eq!(json["reason"], "Troubled could not be reached: connection refused");
}

#[test]
fn what_is_found_is_told_in_a_line_and_as_data() {
    let folder = tempdir().unwrap();
    let gallery = Gallery::open_or_create(folder.path().join("g"), &FakeEmbedder);
    let gallery = block_on(gallery).unwrap();
    let items = [Ok(Item::new("red", Content::Image(picture(0xff_00_00))))];
    block_on(Ingest::into(&gallery).with_embedder(FakeEmbedder).run(items, |_| {})).unwrap();
    let red = block_on(FakeEmbedder.embed_texts(&["red"])).unwrap();
    let found = block_on(gallery.search(&red, &SearchOptions::new(1))).unwrap().remove(0);
    assert_eq!(found[0].to_string(), "1.000 image 0: red (license unknown)");
    let json = serde_json::to_value(&found[0]).unwrap();
    assert_eq!(json["entry"]["record"]["hash"], found[0].entry.record.hash.to_string());
    assert_eq!(json["entry"]["id"], 0);
    assert!(json["entry"]["record"]["pixels"]["file"].is_string(), "{json}");
}

#[test]
fn a_file_is_named_once() {
    let folder = tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    let files =
        [("cut.png", &b"\x89PNG\r\n\x1a\n"[..]), ("x.svg", b"<svg/>"), ("y.txt", b"\xff\xfe")];
    for (name, bytes) in files {
        std::fs::write(pictures.join(name), bytes).unwrap();
    }
    let gallery = Gallery::open_or_create(folder.path().join("g"), &FakeEmbedder);
    let gallery = block_on(gallery).unwrap();
    let found = Folder::open(&pictures).unwrap();
    block_on(Ingest::into(&gallery).with_embedder(FakeEmbedder).run(found, |_| {})).unwrap();
    let all = gallery.rejected().unwrap();
    let of = |name: &str| all.iter().find(|one| one.source.ends_with(name)).unwrap().to_string();
    let drawing = of("x.svg");
    assert!(
        drawing.ends_with("x.svg: picture: expected PNG, JPEG, WebP, GIF, BMP or TIFF, found SVG"),
        "{drawing}"
    );
    for one in &all {
        let said = one.to_string();
        assert_eq!(said.matches(one.source.as_str()).count(), 1, "{said}");
    }
}

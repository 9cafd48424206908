//! Galleries for tests: image `n` has a record and a vector that depend on `n` alone.

use std::path::Path;

use futures::executor::block_on;
use imagerag::Image;
use imagerag::embedder::{EmbedderExt, Embedding};
use imagerag::gallery::{ContentHash, Fingerprint, Gallery, ImageRecord, Pixels};
use imagerag::reference::Metadata;
use imagerag::testing::FakeEmbedder;
use tempfile::TempDir;

pub(crate) const DIM: usize = 24;

/// The vector of image `n`: no two are close.
pub(crate) fn vector(n: u64) -> Embedding {
    let hash = *ContentHash::of(&n.to_le_bytes()).as_bytes();
    let values: Vec<f32> = hash[..DIM].iter().map(|&byte| f32::from(byte) - 127.5).collect();
    Embedding::new(values).unwrap()
}

/// The record of image `n`.
pub(crate) fn record(n: u64) -> ImageRecord {
    let source = format!("nowhere/{n}.png");
    ImageRecord {
        hash: ContentHash::of(&n.to_be_bytes()),
        pixels: match n % 3 {
            0 => Pixels::File(source.clone().into()),
            1 => Pixels::Member { archive: "nowhere.tar".into(), offset: 512 * n, length: n },
            _ => Pixels::Remote,
        },
        source,
        metadata: Metadata {
            license: (!n.is_multiple_of(5)).then(|| "CC0-1.0".to_owned()),
            caption: Some(format!("image {n}")),
            width: Some(640),
            height: Some(480),
            json: Some(format!(r#"{{"even": {}}}"#, n.is_multiple_of(2))),
            ..Metadata::default()
        },
    }
}

/// An empty gallery, with the folder that is deleted after it.
pub(crate) fn empty() -> (TempDir, Gallery) {
    let folder = tempfile::tempdir().unwrap();
    let fingerprint = Fingerprint::named("a test", DIM).unwrap();
    let gallery = Gallery::create(folder.path().join("gallery"), &fingerprint).unwrap();
    (folder, gallery)
}

/// A gallery of the images below `count`, added `batch` at a time.
pub(crate) fn filled(count: u64, batch: usize) -> (TempDir, Gallery) {
    let (folder, gallery) = empty();
    let images: Vec<_> = (0..count).map(|n| (record(n), vector(n))).collect();
    let mut writer = gallery.writer().unwrap();
    for images in images.chunks(batch) {
        writer.add(images).unwrap();
    }
    (folder, gallery)
}

/// A picture file in `folder`, embedded.
pub(crate) fn picture(folder: &Path, name: &str, image: &Image) -> (ImageRecord, Embedding) {
    let path = folder.join(format!("{name}.png"));
    image.save(&path).unwrap();
    let record = ImageRecord {
        hash: ContentHash::of(&std::fs::read(&path).unwrap()),
        source: path.display().to_string(),
        pixels: Pixels::File(path),
        metadata: Metadata { license: Some("CC0-1.0".into()), ..Metadata::default() },
    };
    let embedding = block_on(FakeEmbedder.embed_image(image)).unwrap();
    (record, embedding)
}

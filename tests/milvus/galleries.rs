//! A gallery moves to Milvus and back.

use futures::executor::block_on;
use imagerag::embedder::Embedding;
use imagerag::gallery::{ContentHash, Fingerprint, Gallery, ImageRecord, Pixels};
use imagerag::index::VectorIndex;
use imagerag::reference::{Caption, Metadata};
use imagerag::retriever::{MilvusIndexType, MilvusRetriever, RetrieveRequest};
use imagerag::testing::{FakeEmbedder, solid};
use imagerag::{EmbedderExt, Error, Retriever};

use std::path::Path;

use super::server::{Name, milvus};
use super::{ids, vectors};

fn record(n: usize) -> ImageRecord {
    let pixels = match n % 3 {
        0 => Pixels::File(format!("{n}.png").into()),
        1 => Pixels::Member { archive: "é.tar".into(), offset: n as u64, length: 7 },
        _ => Pixels::Remote,
    };
    let metadata = Metadata {
        license: n.is_multiple_of(2).then(|| "CC0-1.0".to_owned()),
        json: Some(format!(r#"{{"n":{n}}}"#)),
        width: Some(n as u32 + 1),
        ..Metadata::default()
    };
    let hash = ContentHash::of(&n.to_le_bytes());
    ImageRecord { hash, source: format!("https://x.org/{n}"), pixels, metadata }
}

fn gallery(folder: &Path, vectors: &[Embedding]) -> Gallery {
    let fingerprint = Fingerprint::named("E", vectors[0].dim()).unwrap();
    let gallery = Gallery::create(folder, &fingerprint).unwrap();
    let rows: Vec<_> = vectors.iter().cloned().enumerate().map(|(n, v)| (record(n), v)).collect();
    gallery.writer().unwrap().add(&rows).unwrap();
    gallery
}

fn contents(gallery: &Gallery) -> Vec<(ImageRecord, Embedding)> {
    let images = gallery.iter().unwrap().map(Result::unwrap);
    images.map(|(entry, embedding)| (entry.record, embedding)).collect()
}

#[test]
fn a_gallery_moves_to_milvus_and_back() {
    let Some(milvus) = milvus() else { return };
    let (folder, name) = (tempfile::tempdir().unwrap(), Name::of(&milvus, "moved"));
    let vectors = vectors(2_500, 16);
    let there = gallery(&folder.path().join("there"), &vectors);
    there.writer().unwrap().remove(&[0, 1_234]).unwrap();

    let heard = std::sync::Mutex::new(Vec::new());
    let progress = |done, of| heard.lock().unwrap().push((done, of));
    let index = block_on(there.to_milvus(&milvus, &name, MilvusIndexType::Flat, progress)).unwrap();
    assert_eq!(heard.lock().unwrap().last(), Some(&(2_498, 2_498)));
    assert_eq!(block_on(index.count()).unwrap(), 2_498);
    assert_eq!(
        ids(&block_on(index.search(&vectors[7..8], 1)).unwrap()[0]),
        [7],
        "the gallery's numbers"
    );

    let back = folder.path().join("back");
    let back =
        block_on(Gallery::from_milvus(&back, &block_on(milvus.open(&name)).unwrap(), progress))
            .unwrap();
    assert_eq!(heard.lock().unwrap().last(), Some(&(2_498, 2_498)));
    assert_eq!(back.fingerprint(), there.fingerprint());
    let (found, expected) = (contents(&back), contents(&there));
    assert_eq!(found.len(), expected.len());
    for ((found, vector), (record, embedding)) in found.iter().zip(&expected) {
        assert_eq!(found, record);
        assert!(vector.similarity(embedding) > 1.0 - 1e-6);
    }
}

#[test]
fn moving_again_adds_what_is_new_and_removes_what_is_gone() {
    let Some(milvus) = milvus() else { return };
    let (folder, name) = (tempfile::tempdir().unwrap(), Name::of(&milvus, "again"));
    let vectors = vectors(30, 8);
    let there = gallery(&folder.path().join("there"), &vectors[..20]);
    let send =
        || block_on(there.to_milvus(&milvus, &name, MilvusIndexType::Flat, |_, _| {})).unwrap();
    let back =
        || block_on(Gallery::from_milvus(folder.path().join("back"), &send(), |_, _| {})).unwrap();
    assert_eq!(back().count().unwrap(), 20);
    let mut writer = there.writer().unwrap();
    writer.remove(&[3, 4]).unwrap();
    writer.add(&[(record(25), vectors[25].clone())]).unwrap();
    drop(writer);
    let index = send();
    assert_eq!(block_on(index.count()).unwrap(), 19);
    assert!(block_on(index.images(&[3, 4])).unwrap().is_empty());
    assert_eq!(back().count().unwrap(), 21, "nothing is removed from a gallery");
}

#[test]
fn what_does_not_belong_together_is_named() {
    let Some(milvus) = milvus() else { return };
    let (folder, name) = (tempfile::tempdir().unwrap(), Name::of(&milvus, "differ"));
    let vectors = vectors(3, 8);
    let there = gallery(&folder.path().join("there"), &vectors);
    let plain = block_on(milvus.create(&name, 8, MilvusIndexType::Flat)).unwrap();
    let incompatible = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::Incompatible { .. })), "{result:?}");
    };
    let send = |gallery: &Gallery| {
        block_on(gallery.to_milvus(&milvus, &name, MilvusIndexType::Flat, |_, _| {})).map(drop)
    };
    incompatible(send(&there));
    incompatible(
        block_on(Gallery::from_milvus(folder.path().join("back"), &plain, |_, _| {})).map(drop),
    );
    incompatible(block_on(MilvusRetriever::of_gallery(FakeEmbedder, plain)).map(drop));
    block_on(milvus.drop_collection(&name)).unwrap();
    send(&there).unwrap();
    let other = Fingerprint::named("another encoder", 8).unwrap();
    let other = Gallery::create(folder.path().join("other"), &other).unwrap();
    incompatible(send(&other));
    let into_other = block_on(Gallery::from_milvus(
        other.folder(),
        &block_on(milvus.open(&name)).unwrap(),
        |_, _| {},
    ));
    incompatible(into_other.map(drop));
}

#[test]
fn retrieves_pixels_from_where_the_gallery_has_them() {
    let Some(milvus) = milvus() else { return };
    let (folder, name) = (tempfile::tempdir().unwrap(), Name::of(&milvus, "pixels"));
    let red = solid(8, 8, [255, 0, 0]);
    let path = folder.path().join("red.png");
    red.save(&path).unwrap();
    let there = folder.path().join("there");
    let there = block_on(Gallery::open_or_create(there, &FakeEmbedder)).unwrap();
    let hash = ContentHash::of(&std::fs::read(&path).unwrap());
    let record = ImageRecord { hash, pixels: Pixels::File(path.clone()), ..record(0) };
    let embedding = block_on(FakeEmbedder.embed_image(&red)).unwrap();
    there.writer().unwrap().add(&[(record, embedding)]).unwrap();
    let index =
        block_on(there.to_milvus(&milvus, &name, MilvusIndexType::Flat, |_, _| {})).unwrap();
    let retriever = block_on(MilvusRetriever::of_gallery(FakeEmbedder, index)).unwrap();
    let found =
        block_on(retriever.retrieve(&RetrieveRequest::new([Caption::concept("a red bird")], 3)))
            .unwrap();
    assert_eq!(found[0].len(), 1);
    assert_eq!(block_on(found[0][0].image()).unwrap().pixels(), red.pixels());
    // Another picture under the same name is not what was embedded.
    solid(8, 8, [0, 255, 0]).save(&path).unwrap();
    let request = RetrieveRequest::new([Caption::concept("a red bird")], 3);
    let changed = block_on(block_on(retriever.retrieve(&request)).unwrap()[0][0].image());
    assert!(matches!(changed, Err(Error::InvalidFile { .. })), "{changed:?}");
}

//! A gallery's retriever keeps its contract: sources, metadata, pixels, filters.

use futures::executor::block_on;
use imagerag::gallery::{Gallery, GalleryRetriever};
use imagerag::reference::Caption;
use imagerag::retriever::CatalogEntry;
use imagerag::testing::{FakeEmbedder, conformance, solid};

use crate::support::picture;

#[test]
fn keeps_the_contract_of_a_retriever_over_known_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let gallery = block_on(Gallery::open_or_create(&path, &FakeEmbedder)).unwrap();
    let mut known = Vec::new();
    let images = [
        ("red", [200, 0, 0], Some("CC0-1.0")),
        ("pink", [200, 0, 90], Some("CC-BY-4.0")),
        ("green", [0, 200, 0], Some("CC0-1.0")),
        ("blue", [0, 0, 200], None),
    ];
    for (name, rgb, license) in images {
        let image = solid(8, 8, rgb);
        let (mut record, embedding) = picture(folder.path(), name, &image);
        record.metadata.license = license.map(str::to_owned);
        record.metadata.author = license.map(|_| "Ada \"the\" O'Neil".to_owned());
        record.metadata.caption = Some(format!("something {name} \u{1f426}"));
        let mut entry = CatalogEntry::new(record.source.clone(), image);
        entry.metadata = record.metadata.clone();
        known.push(entry);
        gallery.writer().unwrap().add(&[(record, embedding)]).unwrap();
    }
    let retriever = block_on(GalleryRetriever::new(FakeEmbedder, gallery)).unwrap();
    let captions = ["a red one", "blue", "something else"].map(Caption::concept);
    let filtered = |filter| Ok(retriever.clone().with_filter(filter));
    block_on(conformance::retriever_over(&known, filtered, &captions));
}

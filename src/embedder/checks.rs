//! What the tests of [`ClipEmbedder`](super::ClipEmbedder) and
//! [`SiglipEmbedder`](super::SiglipEmbedder) share: recorded vectors, and the properties of both.

use futures::executor::block_on;

use super::two_towers::{BATCH, embedding};
use super::{Embedder, Embedding};
use crate::models::common::golden::{fixture, pictures, recorded, texts, tolerance};

/// The vectors that were recorded as `name` in the fixture `folder`.
pub(super) fn expected(folder: &str, name: &str) -> Vec<Embedding> {
    let features = recorded(&fixture(folder).join("io.safetensors"), name);
    let rows = Vec::<Vec<f32>>::try_from(features).unwrap();
    rows.into_iter().map(|row| embedding("expected", row).unwrap()).collect()
}

#[track_caller]
pub(super) fn assert_same(found: &[Embedding], expected: &[Embedding]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        for (a, b) in found.values().iter().zip(expected.values()) {
            assert!(f64::from((a - b).abs()) < tolerance(1e-5), "{found:?} {expected:?}");
        }
    }
}

/// Texts alone and in more than a batch, pictures as they are and preprocessed: all have the vectors
/// that were recorded in the fixture `folder`.
pub(super) fn assert_recorded(embedder: &dyn Embedder, folder: &str) {
    let (texts, features) = (texts(&fixture(folder)), expected(folder, "text_features"));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_same(&block_on(embedder.embed_texts(&texts)).unwrap(), &features);
    let many: Vec<&str> = texts.into_iter().cycle().take(BATCH * 2 + 1).collect();
    let cycled: Vec<Embedding> = features.into_iter().cycle().take(many.len()).collect();
    assert_same(&block_on(embedder.embed_texts(&many)).unwrap(), &cycled);

    let (images, features) = (pictures(&fixture(folder)), expected(folder, "image_features"));
    assert_same(&block_on(embedder.embed_images(&images)).unwrap(), &features);
    let prepared = images.map(|image| embedder.preprocess(&image));
    assert_same(&block_on(embedder.embed_images(&prepared)).unwrap(), &features);
}

/// In 16 bits, texts and pictures point where those do that were recorded in the fixture `folder`.
pub(super) fn assert_near(embedder: &dyn Embedder, folder: &str) {
    let texts = block_on(embedder.embed_texts(&["a photo of a bird"])).unwrap();
    assert!(texts[0].similarity(&expected(folder, "text_features")[0]) > 0.995);
    let images = block_on(embedder.embed_images(&pictures(&fixture(folder)))).unwrap();
    for (found, expected) in images.iter().zip(expected(folder, "image_features")) {
        assert!(found.similarity(&expected) > 0.995);
    }
}

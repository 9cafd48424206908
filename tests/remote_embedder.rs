//! `RemoteEmbedder` in the form of every service, against servers of this process: what arrives, what is
//! made of answers, and what becomes of services that misbehave.

#[path = "support/embeddings.rs"]
mod embeddings;
mod support;

use std::time::Duration;

use embeddings::{APIS, Fake, KEY};
use futures::executor::block_on;
use imagerag::embedder::{Embedder, EmbedderExt, EmbeddingApi, RemoteEmbedder};
use imagerag::testing::{conformance, solid};

#[test]
fn every_form_keeps_the_contract() {
    for api in APIS {
        let fake = Fake::new(api);
        let embedder = block_on(fake.builder().connect()).unwrap();
        assert_eq!(embedder.dim(), embeddings::DIM, "{api}");
        block_on(conformance::embedder(&embedder));
    }
}

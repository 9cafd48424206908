//! Every part that needs no native library keeps its contract.

use futures::executor::block_on;
use imagerag::conditioner::InPrompt;
use imagerag::critic::{GuidedCot, ZeroShotCritic};
use imagerag::reference::Caption;
use imagerag::retriever::{Catalog, CatalogEntry, EmbeddingRetriever, RetrieveRequest};
use imagerag::testing::{
    FakeConditioner, FakeCritic, FakeEmbedder, FakeGenerator, FakeRetriever, FakeVlm, conformance,
    solid,
};
use imagerag::{Conditioner, Critic, Embedder, Generator, Retriever, Vlm};

use std::sync::Arc;

#[test]
fn fakes_keep_their_contracts() {
    let generator: Arc<dyn Generator> = Arc::new(FakeGenerator::new());
    block_on(conformance::generator(&generator));
    let vlm: Box<dyn Vlm> = Box::new(FakeVlm::new(["yes", "yes"]));
    block_on(conformance::vlm(&vlm));
    let critic: Arc<dyn Critic> = Arc::new(FakeCritic::new().missing(["a cat"]));
    block_on(conformance::critic(&critic, "a cat", &solid(8, 8, [0; 3])));
    let retriever: Box<dyn Retriever> = Box::new(FakeRetriever::new([
        ("a cat", solid(8, 8, [9; 3])),
        ("a dog", solid(8, 8, [5; 3])),
    ]));
    block_on(conformance::retriever(&retriever, &[Caption::concept("a cat")]));
    let conditioner: Arc<dyn Conditioner> = Arc::new(FakeConditioner::new("colours", 2));
    block_on(conformance::conditioner(&conditioner));
    block_on(conformance::conditioner(&FakeConditioner::condition_image("subject")));
    let embedder: Arc<dyn Embedder> = Arc::new(FakeEmbedder);
    block_on(conformance::embedder(&embedder));
}

#[test]
fn images_in_the_prompt() {
    block_on(conformance::conditioner(&InPrompt::new(3).unwrap()));
    assert!(InPrompt::new(0).is_err());
}

#[test]
fn critics() {
    let black = solid(8, 8, [0; 3]);
    let replies = ["no", "a cat", "a photo of a cat"];
    // Each is asked twice: for one concept, and for three with the caller's own images.
    let each = [&replies[..], &replies[1..], &replies[..2], &replies[1..2], &replies[..1]];
    let all: Vec<&str> = each.into_iter().flat_map(|one| [one, one].concat()).collect();
    let vlm = FakeVlm::new(all);
    block_on(conformance::critic(&GuidedCot::new(vlm.clone()), "a cat", &black));
    assert_eq!(vlm.requests().len(), 18);

    let zero_shot = block_on(ZeroShotCritic::new(FakeEmbedder, &["red", "green", "blue"])).unwrap();
    let green = solid(8, 8, [0, 255, 0]);
    block_on(conformance::critic(&zero_shot, "something red", &green));
}

#[test]
fn retrieval_by_embedding() {
    let colours = [("red", [255, 0, 0]), ("green", [0, 255, 0]), ("blue", [0, 0, 255])];
    let catalog =
        Catalog::new(colours.map(|(name, rgb)| CatalogEntry::new(name, solid(8, 8, rgb))));
    let (retriever, skipped) =
        block_on(EmbeddingRetriever::build(FakeEmbedder, catalog, |_, _| {})).unwrap();
    assert!(skipped.is_empty());
    assert_eq!(retriever.to_string(), "Embedding(FakeEmbedder, Flat)");
    let captions = [Caption::concept("a blue thing"), Caption::concept("a red thing")];
    block_on(conformance::retriever(&retriever, &captions));
    let found = block_on(retriever.retrieve(&RetrieveRequest::new(&captions, 1))).unwrap();
    let names: Vec<_> = found.iter().map(|list| list[0].provenance.source.to_string()).collect();
    assert_eq!(names, ["blue", "red"]);
}

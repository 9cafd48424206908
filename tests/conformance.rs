//! Every part that needs no native library keeps its contract.

#[cfg(feature = "openai")]
#[allow(dead_code, reason = "shared with other tests")]
mod support;

use futures::executor::block_on;
use imagerag::conditioner::{ConditioningKind, InPrompt};
use imagerag::critic::{GuidedCot, ZeroShotCritic};
use imagerag::embedder::Embedding;
use imagerag::index::{FlatIndex, Precision, Refine};
use imagerag::middleware::{Balance, Limit, Retry};
use imagerag::reference::{Caption, Reference};
use imagerag::retriever::{
    Bm25, CaptionWriter, Catalog, CatalogEntry, EmbeddingRetriever, Fuse, Mmr, Rerank,
    RetrieveRequest, Threshold, VlmReranker,
};
use imagerag::testing::{
    FakeConditioner, FakeCritic, FakeEmbedder, FakeGenerator, FakeRetriever, FakeVlm, conformance,
    solid,
};
use imagerag::{Conditioner, Critic, Embedder, Generator, Retriever, Vlm};

use std::sync::Arc;

/// Runs a suite over a part, and over each wrapper of it.
macro_rules! in_every_wrapper {
    ($suite:ident($part:expr $(, $with:expr)*)) => {
        block_on(conformance::$suite(&$part $(, $with)*));
        block_on(conformance::$suite(&Arc::new($part) $(, $with)*));
        block_on(conformance::$suite(&Box::new($part) $(, $with)*));
        block_on(conformance::$suite(&Retry::new($part, 1) $(, $with)*));
        block_on(conformance::$suite(&Limit::new($part, 1).unwrap() $(, $with)*));
    };
}

/// What a shelf of three images finds for two captions.
fn lists() -> Vec<Vec<Reference>> {
    let captions = ["a red car", "a blue house"].map(Caption::concept);
    block_on(shelf().retrieve(&RetrieveRequest::new(captions, 3))).unwrap()
}

fn shelf() -> FakeRetriever {
    let images = [("a red car", [200, 0, 0]), ("a red house", [90, 0, 0]), ("a lake", [0, 0, 200])];
    FakeRetriever::new(images.map(|(label, rgb)| (label, solid(8, 8, rgb))))
}

fn vectors() -> Vec<Embedding> {
    let turns = (0..60).map(|n| (n as f32 * 2.399_963).sin_cos());
    turns.map(|(y, x)| Embedding::new([x, y]).unwrap()).collect()
}

fn flat(precision: Precision) -> FlatIndex {
    let mut index = FlatIndex::with_precision(2, precision).unwrap();
    for vector in vectors() {
        index.add(&vector).unwrap();
    }
    index
}

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

#[test]
fn every_wrapper_keeps_the_contract_of_its_part() {
    let black = solid(8, 8, [0; 3]);
    let captions = ["a red car", "a blue house"].map(Caption::concept);
    let space = ConditioningKind::Tokens { space: "colours".into() };
    let generator = || FakeGenerator::new().accepting(space.clone());
    in_every_wrapper!(generator_with(generator(), &FakeConditioner::new("colours", 1)));
    in_every_wrapper!(generator_with(FakeGenerator::new(), &InPrompt::new(2).unwrap()));
    let restless = FakeGenerator::new().never_repeating();
    in_every_wrapper!(generator_with(restless.clone(), &InPrompt::new(2).unwrap()));
    in_every_wrapper!(vlm(FakeVlm::new(["yes", "no"])));
    in_every_wrapper!(critic(FakeCritic::new().missing(["a cat"]), "a cat", &black));
    in_every_wrapper!(embedder(FakeEmbedder));
    in_every_wrapper!(retriever(shelf(), &captions));
    in_every_wrapper!(reranker(Bm25::new(), &lists()));
    in_every_wrapper!(conditioner(InPrompt::new(3).unwrap()));
    in_every_wrapper!(vector_index(flat(Precision::F32), &vectors(), 1.0));
}

#[test]
fn several_keep_the_contract_of_one() {
    let captions = ["a red car", "a blue house"].map(Caption::concept);
    let generators = [FakeGenerator::new(), FakeGenerator::new(), FakeGenerator::new()];
    let generators = Balance::generators(generators).unwrap().with_limit(1).unwrap();
    block_on(conformance::generator_with(&generators, &InPrompt::new(2).unwrap()));
    block_on(conformance::generator(&generators.without_splitting()));
    let mixed: [Arc<dyn Generator>; 2] =
        [Arc::new(FakeGenerator::new()), Arc::new(FakeGenerator::new().never_repeating())];
    block_on(conformance::generator(&Balance::generators(mixed).unwrap()));
    block_on(conformance::embedder(&Balance::embedders([FakeEmbedder; 3]).unwrap()));
    let vlms = || Balance::vlms([FakeVlm::new(["yes"]), FakeVlm::new(["no"])]).unwrap();
    block_on(conformance::vlm(&vlms()));
    block_on(conformance::vlm(&Retry::new(vlms(), 1)));
    let critic = FakeCritic::new().missing(["a cat"]);
    let critics = Balance::critics([critic.clone(), critic]).unwrap();
    block_on(conformance::critic(&critics, "a cat", &solid(8, 8, [0; 3])));
    let retrievers = Balance::retrievers([shelf(), shelf()]).unwrap();
    block_on(conformance::retriever(&retrievers, &captions));
    let rerankers = Balance::rerankers([Bm25::new(), Bm25::new()]).unwrap();
    block_on(conformance::reranker(&rerankers, &lists()));
    let vlm = FakeVlm::new(["1", "1, 0", "a red car", "a house"]);
    let asking = |vlm| VlmReranker::new(Balance::vlms([vlm]).unwrap());
    block_on(conformance::reranker_over(vlm, asking, &lists()));
}

#[test]
fn critics_that_ask_write_their_questions_down() {
    let replies = ["no", "a cat, a hat", "a photo of a cat, a photo of a hat"];
    let each = [&replies[..], &replies[1..], &replies[..2], &replies[1..2], &replies[..1]];
    let all: Vec<&str> = each.into_iter().flat_map(|one| [one, one].concat()).collect();
    let black = solid(8, 8, [0; 3]);
    let prompt = "a cat with a hat";
    let vlm = FakeVlm::new(all.clone());
    block_on(conformance::critic_over(vlm.clone(), GuidedCot::new, prompt, &black));
    assert_eq!(vlm.requests().len(), 18);
    let wrapped = |vlm| Retry::new(GuidedCot::new(Limit::new(vlm, 1).unwrap()), 1);
    block_on(conformance::critic_over(FakeVlm::new(all), wrapped, prompt, &black));
    // One whose replies never make sense.
    let silent = FakeVlm::new(["perhaps"; 48]);
    block_on(conformance::critic_over(silent, GuidedCot::new, prompt, &black));
}

#[test]
fn rerankers() {
    let lists = lists();
    assert!(lists.iter().all(|list| list.len() > 1), "{lists:?}");
    block_on(conformance::reranker(&Bm25::new(), &lists));
    block_on(conformance::reranker(&Mmr::new(FakeEmbedder, 0.5).unwrap(), &lists));
    let vlm = || FakeVlm::new(["1", "1, 0", "a red car", "a house"]);
    block_on(conformance::reranker_over(vlm(), VlmReranker::new, &lists));
    let writing = |vlm| Bm25::new().with_writer(CaptionWriter::new(vlm));
    block_on(conformance::reranker_over(vlm(), writing, &lists));
}

#[test]
fn retrievers_around_retrievers() {
    let captions = ["a red car", "a blue house"].map(Caption::concept);
    let both = || [Arc::new(shelf()) as Arc<dyn Retriever>, Arc::new(shelf())];
    let by_vlm = VlmReranker::new(FakeVlm::new(["1", "1, 0"]));
    let retrievers: [Box<dyn Retriever>; 6] = [
        Box::new(Fuse::by_rank(both(), 3).unwrap()),
        Box::new(Fuse::by_score(both(), 3).unwrap()),
        Box::new(Threshold::new(shelf(), 0.1).unwrap()),
        Box::new(Rerank::new(shelf(), Bm25::new(), 3).unwrap()),
        Box::new(Rerank::new(shelf(), by_vlm, 3).unwrap()),
        Box::new(Rerank::new(shelf(), Mmr::new(FakeEmbedder, 0.5).unwrap(), 3).unwrap()),
    ];
    for retriever in &retrievers {
        block_on(conformance::retriever(retriever, &captions));
    }
}

#[test]
fn indexes() {
    let vectors = vectors();
    block_on(conformance::vector_index(&flat(Precision::F32), &vectors, 1.0));
    block_on(conformance::vector_index(&flat(Precision::F16), &vectors, 0.95));
    block_on(conformance::vector_index(&FlatIndex::new(2).unwrap(), &[], 1.0));
    let refined = block_on(Refine::new(flat(Precision::F16), flat(Precision::F32))).unwrap();
    block_on(conformance::vector_index(&refined, &vectors, 1.0));
}

/// A server that says yes to everything, and one that is not there.
#[cfg(feature = "openai")]
#[test]
fn a_vlm_behind_http() {
    use imagerag::vlm::OpenAiVlm;

    let says = |word: &str| {
        let body = format!(r#"{{"choices": [{{"message": {{"content": "{word}"}}}}]}}"#);
        let json = "content-type: application/json\r\n";
        let serve = move |_, _: &support::Request, stream| {
            support::answer(stream, "200 OK", json, &body);
        };
        support::raw_server(serve).0
    };
    let vlm = |origin: &str| {
        OpenAiVlm::builder("stub").base_url(origin).api_key("none").max_retries(0).build().unwrap()
    };
    let (yes, no) = (says("yes"), says("no"));
    in_every_wrapper!(vlm(vlm(&yes)));
    let black = solid(8, 8, [0; 3]);
    block_on(conformance::critic_over(vlm(&no), GuidedCot::new, "a cat", &black));
    block_on(conformance::reranker_over(vlm(&yes), VlmReranker::new, &lists()));

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = vlm(&format!("http://{gone}"));
    let suite = std::panic::AssertUnwindSafe(|| block_on(conformance::vlm(&gone)));
    let panic = std::panic::catch_unwind(suite).unwrap_err();
    let words = panic.downcast::<String>().unwrap();
    let begins = "stub: the service could not be reached, so nothing was checked: ";
    assert!(words.starts_with(begins) && words.to_lowercase().contains("refused"), "{words}");
}

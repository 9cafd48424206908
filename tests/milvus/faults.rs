//! What goes wrong: wrong input, servers that are away, restart, or never answer.

use futures::executor::block_on;
use imagerag::embedder::Embedding;
use imagerag::index::{FlatIndex, IdSet, VectorIndex};
use imagerag::retriever::{Milvus, MilvusImage, MilvusIndexType, MilvusRetriever};
use imagerag::testing::FakeEmbedder;
use imagerag::{Error, Result};

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::server::{Collection, Server, milvus};
use super::{ids, numbered, vectors};

fn is_invalid<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(Error::InvalidInput { .. })), "{result:?}");
}

#[test]
fn wrong_input_is_refused_before_anything_is_written() {
    let Some(milvus) = milvus() else { return };
    let collection = Collection::of(&milvus, "wrong", 4, MilvusIndexType::Flat);
    let index = &collection.index;
    let good = || numbered(&vectors(3, 4));
    let with = |change: fn(&mut (MilvusImage, Embedding))| {
        let mut images = good();
        change(&mut images[2]);
        block_on(index.add(&images, |_, _| {}))
    };
    is_invalid(with(|(_, embedding)| *embedding = vectors(1, 5).remove(0)));
    is_invalid(with(|(image, _)| image.id = u64::MAX));
    is_invalid(with(|(image, _)| image.source = "x".repeat(65_536)));
    is_invalid(with(|(image, _)| image.metadata.caption = Some("é".repeat(40_000))));
    is_invalid(with(|(image, _)| image.metadata.json = Some("[1]".into())));
    is_invalid(with(|(image, _)| image.metadata.json = Some("{".into())));
    assert_eq!(block_on(index.count()).unwrap(), 0);
    is_invalid(Embedding::new([f32::NAN, 1.0, 0.0, 0.0]));

    block_on(index.add(&good(), |_, _| {})).unwrap();
    is_invalid(block_on(index.search(&vectors(1, 3), 1)));
    is_invalid(block_on(index.search_among(&vectors(1, 3), 1, &IdSet::all(2))));
    is_invalid(block_on(index.remove(&[u64::MAX])));
    assert_eq!(block_on(index.search(&vectors(1, 4), 0)).unwrap(), [[]]);
    assert_eq!(block_on(index.search(&vectors(1, 4), 1_000_000)).unwrap()[0].len(), 3);
}

#[test]
fn names_and_dimensions_are_checked() {
    let Some(milvus) = milvus() else { return };
    for name in ["", "a b", "a-b", "é", "1a", "x\"; drop", "a/../b", &"x".repeat(256)] {
        is_invalid(block_on(milvus.create(name, 4, MilvusIndexType::Flat)));
        is_invalid(block_on(milvus.open(name)));
        is_invalid(block_on(milvus.drop_collection(name)));
    }
    is_invalid(block_on(milvus.create("imagerag_test_dim", 1, MilvusIndexType::Flat)));
    let collection = Collection::of(&milvus, "twice", 4, MilvusIndexType::Flat);
    let name = collection.index.name();
    is_invalid(block_on(milvus.create(name, 4, MilvusIndexType::Flat)));
    assert!(block_on(milvus.has(name)).unwrap());
    let none = block_on(milvus.open("imagerag_test_no_such_collection")).unwrap_err();
    assert!(matches!(none, Error::Service { .. }), "{none:?}");
    assert!(none.to_string().contains("imagerag_test_no_such_collection"), "{none}");
    block_on(milvus.drop_collection("imagerag_test_no_such_collection")).unwrap();
    assert!(!block_on(milvus.has("imagerag_test_no_such_collection")).unwrap());
}

#[test]
fn another_dimension_than_the_embedders_is_named() {
    let Some(milvus) = milvus() else { return };
    let collection = Collection::of(&milvus, "dim", 4, MilvusIndexType::Flat);
    let error = MilvusRetriever::new(FakeEmbedder, collection.index.clone()).unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error:?}");
    let said = error.chain().to_string();
    assert!(said.contains("4 values an embedding, found 3"), "{said}");
}

#[test]
fn more_neighbors_than_milvus_gives_are_refused() {
    let Some(milvus) = milvus() else { return };
    let collection = Collection::of(&milvus, "many", 2, MilvusIndexType::Flat);
    block_on(collection.index.add(&numbered(&vectors(16_385, 2)), |_, _| {})).unwrap();
    let query = vectors(1, 2);
    assert_eq!(block_on(collection.index.search(&query, 16_384)).unwrap()[0].len(), 16_384);
    is_invalid(block_on(collection.index.search(&query, 16_385)));
    // Among fewer, or in parts, there is no limit.
    let all = block_on(collection.index.search_among(&query, 16_385, &IdSet::all(16_385))).unwrap();
    assert_eq!(all[0].len(), 16_385);
}

#[test]
fn a_server_that_is_away_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = block_on(Milvus::connect(format!("http://127.0.0.1:{port}"))).unwrap_err();
    assert!(matches!(error, Error::Connection { .. }) && error.is_transient(), "{error:?}");
    let said = error.to_string();
    assert_eq!(said, format!("Milvus at http://127.0.0.1:{port} could not be reached"));
    let nowhere = block_on(Milvus::connect("http://no-such-host.invalid:19530")).unwrap_err();
    assert!(matches!(nowhere, Error::Connection { .. } | Error::Timeout { .. }), "{nowhere:?}");
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let limit = Duration::from_millis(300);
    let start = Instant::now();
    let error = block_on(Milvus::builder(&address).connect_timeout(limit).connect()).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(matches!(error, Error::Timeout { limit: l, .. } if l == limit), "{error:?}");
    assert!(error.chain().to_string().contains(&address), "{error}");
}

#[test]
fn a_restarted_server_is_found_again() {
    let Some(mut server) = Server::start() else { return };
    let milvus = block_on(server.builder().patience(Duration::from_secs(90)).connect()).unwrap();
    let vectors = vectors(500, 8);
    let mut flat = FlatIndex::new(8).unwrap();
    vectors.iter().for_each(|vector| flat.add(vector).map(drop).unwrap());
    let index = block_on(milvus.create("birds", 8, MilvusIndexType::Flat)).unwrap();
    block_on(index.add(&numbered(&vectors[..400]), |_, _| {})).unwrap();

    server.kill();
    server.again();
    // The server is still starting: the call waits for it.
    block_on(index.add(&numbered(&vectors)[400..], |_, _| {})).unwrap();
    assert_eq!(block_on(index.count()).unwrap(), 500, "nothing that was acknowledged is lost");
    let found = block_on(index.search(&vectors[..20], 5)).unwrap();
    for (found, expected) in found.iter().zip(block_on(flat.search(&vectors[..20], 5)).unwrap()) {
        assert_eq!(ids(found), ids(&expected));
    }

    server.kill();
    server.again();
    server.wait();
    assert_eq!(ids(&block_on(index.search(&vectors[..1], 1)).unwrap()[0]), [0]);
    assert_eq!(block_on(block_on(milvus.open("birds")).unwrap().count()).unwrap(), 500);
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let Some(mut server) = Server::start() else { return };
    let patience = Duration::from_secs(1);
    let milvus = block_on(server.builder().patience(patience).connect()).unwrap();
    let index = block_on(milvus.create("birds", 4, MilvusIndexType::Flat)).unwrap();
    block_on(index.add(&numbered(&vectors(3, 4)), |_, _| {})).unwrap();
    assert_eq!(block_on(index.count()).unwrap(), 3);
    server.kill();
    let error = block_on(index.search(&vectors(1, 4), 1)).unwrap_err();
    // A time-out where another program has taken the port meanwhile, and does not answer.
    assert!(matches!(error, Error::Connection { .. } | Error::Timeout { .. }), "{error:?}");
    assert!(error.chain().to_string().contains(&server.address()), "{error}");
    assert!(block_on(index.count()).is_err(), "nobody knows");
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_hangs_is_given_up() {
    let Some(server) = Server::start() else { return };
    let limit = Duration::from_secs(2);
    let milvus = block_on(server.builder().timeout(limit).connect()).unwrap();
    let index = block_on(milvus.create("birds", 4, MilvusIndexType::Flat)).unwrap();
    server.stop();
    let error = block_on(index.search(&vectors(1, 4), 1)).unwrap_err();
    server.go_on();
    assert!(matches!(error, Error::Timeout { limit: l, .. } if l == limit), "{error:?}");
    assert!(error.chain().to_string().contains(&server.address()), "{error}");
}

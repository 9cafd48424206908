//! [`FaissIndex`] of each type against exhaustive search; its file; bad input.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::thread;

use futures::executor::block_on;
use imagerag::embedder::Embedding;
use imagerag::index::{FaissIndex, FlatIndex, IdSet, Neighbor, VectorIndex};
use imagerag::{Error, Result};

use crate::random::values;

/// `count` vectors of 32 values in clusters.
fn vectors(count: usize) -> Vec<Embedding> {
    let mut next = values();
    let centres: Vec<[f32; 32]> = (0..20).map(|_| std::array::from_fn(|_| next())).collect();
    (0..count)
        .map(|n| centres[n % centres.len()].map(|value| value + 0.5 * next()))
        .map(|values| Embedding::new(values).unwrap())
        .collect()
}

fn index_of(factory: &str, vectors: &[Embedding]) -> FaissIndex {
    let mut index = FaissIndex::builder(32, factory).train(vectors).unwrap();
    assert_eq!(index.add(vectors).unwrap(), 0..vectors.len() as u64);
    index
}

fn ids(list: &[Neighbor]) -> Vec<u64> {
    list.iter().map(|neighbor| neighbor.id).collect()
}

fn message<T: fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().chain().to_string()
}

/// Every family, and the least recall of each with the parameters that it starts with.
const FACTORIES: [(&str, f64); 11] = [
    ("Flat", 1.0),
    ("IDMap,Flat", 1.0),
    ("IVF16,Flat", 0.7),
    ("HNSW16", 0.9),
    ("SQ8", 0.9),
    ("PQ16np", 0.6),
    ("IVF16,PQ16np", 0.5),
    ("IVF16,PQ16x4fs", 0.3),
    ("OPQ16,IVF16,PQ16np", 0.5),
    ("IVF16,PQ16np,RFlat", 0.6),
    ("PCA16,IVF16,SQ8", 0.4),
];

#[cfg(feature = "testing")]
#[test]
fn every_type_keeps_the_contract() {
    let vectors = vectors(1_200);
    for (factory, recall) in FACTORIES {
        let index = index_of(factory, &vectors);
        block_on(imagerag::testing::conformance::vector_index(&index, &vectors, recall));
    }
}

#[test]
fn finds_what_exact_search_finds_score_by_score() {
    let vectors = vectors(700);
    let mut exact = FlatIndex::new(32).unwrap();
    vectors.iter().for_each(|vector| {
        exact.add(vector).unwrap();
    });
    let mut lists = index_of("IVF16,Flat", &vectors);
    lists.set_nprobe(16).unwrap();
    let odd: IdSet = (1..700).step_by(2).collect();
    for index in [index_of("Flat", &vectors), lists] {
        let blocking = index.blocking_search(&vectors[..40], 12, None).unwrap();
        assert_eq!(blocking, block_on(index.search(&vectors[..40], 12)).unwrap());
        let blocking = exact.blocking_search(&vectors[..40], 12, Some(&odd)).unwrap();
        assert_eq!(blocking, block_on(exact.search_among(&vectors[..40], 12, &odd)).unwrap());
        let pairs = [
            (
                block_on(exact.search(&vectors[..40], 12)),
                block_on(index.search(&vectors[..40], 12)),
            ),
            (
                block_on(exact.search_among(&vectors[..40], 12, &odd)),
                block_on(index.search_among(&vectors[..40], 12, &odd)),
            ),
        ];
        for (exact, found) in pairs {
            for (exact, found) in exact.unwrap().iter().zip(found.unwrap()) {
                for (exact, found) in exact.iter().zip(found) {
                    assert!((exact.score - found.score).abs() < 1e-6, "{index}");
                }
            }
        }
    }
}

#[test]
fn more_probes_and_wider_searches_find_more() {
    let vectors = vectors(2_000);
    let flat = index_of("Flat", &vectors);
    let truth = block_on(flat.search(&vectors[..50], 10)).unwrap();
    let hits = |index: &FaissIndex| {
        let found = block_on(index.search(&vectors[..50], 10)).unwrap();
        let pairs = truth.iter().zip(&found);
        pairs
            .flat_map(|(truth, found)| ids(found).into_iter().map(|id| ids(truth).contains(&id)))
            .filter(|hit| *hit)
            .count()
    };
    let mut lists = FaissIndex::builder(32, "IVF64,Flat").nprobe(1).train(&vectors).unwrap();
    lists.add(&vectors).unwrap();
    let few = hits(&lists);
    lists.set_nprobe(64).unwrap();
    assert!(few < 500 && hits(&lists) == 500, "{few} of 500 with one probe");
    let mut graph = FaissIndex::builder(32, "HNSW4").ef_search(1).build().unwrap();
    graph.add(&vectors).unwrap();
    let few = hits(&graph);
    graph.set_ef_search(400).unwrap();
    assert!(hits(&graph) > few, "{few} with efSearch 1");
}

/// FAISS builds NSG's graph from the vectors of one call, and takes no others.
#[test]
fn a_graph_is_built_of_all_vectors_at_once() {
    let vectors = vectors(9_000);
    let mut index = index_of("NSG32", &vectors);
    let found = block_on(index.search(&vectors[8_900..], 2)).unwrap();
    let hits = (8_900..).zip(&found).filter(|(id, list)| list[0].id == *id).count();
    assert!(hits > 50, "{hits} of 100 find themselves");
    let all = block_on(index.search(&vectors[..1], 9_000)).unwrap().remove(0);
    let distinct: IdSet = all.iter().map(|neighbor| neighbor.id).collect();
    assert_eq!((all.len(), distinct.len()), (9_000, 9_000), "none twice, none left out");
    let again = message(index.add(&vectors[..1]));
    assert!(again.contains("NSG does not support incremental addition"), "{again}");
    assert_eq!(block_on(index.count()).unwrap(), 9_000);
}

#[test]
fn ties_go_to_the_lower_id_also_where_the_list_is_cut() {
    let one = &vectors(1)[0];
    let mut many = vectors(300);
    many.extend(std::iter::repeat_n(one.clone(), 40));
    for factory in ["Flat", "IVF4,Flat", "HNSW16", "SQ8"] {
        let mut index = FaissIndex::builder(32, factory).train(&many).unwrap();
        // Added from the highest id down, so that FAISS' own order is the wrong one.
        let numbers: Vec<u64> = (0..many.len() as u64).rev().map(|n| 3 * n).collect();
        index.add_with_ids(&numbers, &many).unwrap();
        let found = block_on(index.search(std::slice::from_ref(one), 5)).unwrap();
        assert_eq!(ids(&found[0]), [0, 3, 6, 9, 12], "{factory}");
        assert_eq!(index.add(&many[..1]).unwrap(), 1_018..1_019);
    }
}

#[test]
fn ids_survive_removal_in_every_type() {
    let vectors = vectors(600);
    let numbers: Vec<u64> = (0..600).map(|n| n * 1_000_000_007).collect();
    for (factory, _) in FACTORIES {
        let mut index = FaissIndex::builder(32, factory).train(&vectors).unwrap();
        index.add_with_ids(&numbers, &vectors).unwrap();
        let gone: IdSet = numbers.iter().copied().step_by(3).chain([5]).collect();
        assert_eq!(index.remove(&gone).unwrap(), 200, "{factory}");
        assert_eq!(index.remove(&gone).unwrap(), 0, "{factory}");
        assert_eq!((block_on(index.count()).unwrap(), index.ids().len()), (400, 400));
        for list in block_on(index.search(&vectors[..30], 600)).unwrap() {
            assert!(list.iter().all(|n| !gone.contains(n.id)), "{factory}");
            assert!(list.iter().all(|n| index.ids().contains(n.id)), "{factory}");
        }
        let all =
            block_on(index.search_among(&vectors[..1], 600, &numbers.iter().copied().collect()));
        assert_eq!(all.unwrap()[0].len(), 400, "{factory}: all that are left are found");
    }
    let mut graph = index_of("HNSW16", &vectors);
    graph.remove(&IdSet::from_iter([7])).unwrap();
    let again = message(graph.add_with_ids(&[7], &vectors[7..8]));
    assert_eq!(
        again,
        "ids for Faiss(HNSW16): expected ids that were never removed from it, found 7"
    );
    let mut flat = index_of("Flat", &vectors);
    flat.remove(&IdSet::from_iter([7])).unwrap();
    flat.add_with_ids(&[7], &vectors[9..10]).unwrap();
    assert_eq!(ids(&block_on(flat.search(&vectors[9..10], 2)).unwrap()[0]), [7, 9]);
}

#[test]
fn many_threads_search_at_once_and_agree() {
    let vectors = vectors(1_500);
    for factory in ["Flat", "IVF16,PQ16np", "HNSW16"] {
        let index = index_of(factory, &vectors);
        let search =
            |chunk: usize| block_on(index.search(&vectors[16 * chunk..][..16], 10)).unwrap();
        let alone: Vec<_> = (0..4).map(search).collect();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for (chunk, expected) in alone.iter().enumerate() {
                        assert!(search(chunk) == *expected, "{factory}");
                    }
                });
            }
        });
    }
}

/// A file of its own in a folder that is gone when dropped.
fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.faiss");
    (folder, path)
}

#[test]
fn comes_back_from_its_file_in_memory_and_mapped() {
    let vectors = vectors(900);
    for (factory, _) in FACTORIES {
        let mut index = index_of(factory, &vectors);
        index.remove(&IdSet::from_iter([0, 450, 899])).unwrap();
        let (_folder, path) = file();
        index.write(&path).unwrap();
        index.write(&path).unwrap();
        let found = block_on(index.search(&vectors[..20], 10)).unwrap();
        for open in [FaissIndex::open, FaissIndex::open_mapped, FaissIndex::open_mapped_unchecked] {
            let again = open(path.as_path()).unwrap_or_else(|error| panic!("{factory}: {error}"));
            assert_eq!((again.to_string(), again.ids()), (index.to_string(), index.ids()));
            assert_eq!(block_on(again.search(&vectors[..20], 10)).unwrap(), found, "{factory}");
        }
        let mut again = FaissIndex::open(&path).unwrap();
        let next = again.add(&vectors[..1]).unwrap().start;
        assert_eq!(
            block_on(again.search_among(&vectors[..1], 1, &(next..=next).collect())).unwrap()[0]
                .len(),
            1
        );
    }
}

#[test]
fn a_mapped_index_is_not_changed() {
    let vectors = vectors(50);
    let (_folder, path) = file();
    index_of("Flat", &vectors).write(&path).unwrap();
    let mut index = FaissIndex::open_mapped(&path).unwrap();
    let expected =
        "index to change: expected one that is read into memory, found Faiss(Flat), mapped";
    assert_eq!(message(index.add(&vectors)), expected);
    assert_eq!(message(index.remove(&IdSet::all(3))), expected);
}

#[test]
fn a_file_cut_anywhere_or_with_any_bit_flipped_is_named_and_not_read() {
    let vectors = vectors(60);
    let (_folder, path) = file();
    index_of("IVF4,Flat", &vectors).write(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        for open in [FaissIndex::open, FaissIndex::open_mapped] {
            match open(path.as_path()) {
                Err(Error::InvalidFile { path: named, .. }) => assert_eq!(named, path),
                other => panic!("{what}: {other:?}"),
            }
        }
    };
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        refused(&whole[..length], &format!("cut to {length} bytes"));
    }
    refused(&[&whole[..], b"\n"].concat(), "a byte more");
    for at in (0..whole.len()).step_by(53).chain(whole.len() - 200..whole.len()) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        refused(&flipped, &format!("a bit of byte {at}"));
    }
    fs::write(&path, b"not an index").unwrap();
    let text = message(FaissIndex::open(&path));
    assert!(text.contains("images.faiss: content: expected a FAISS index"), "{text}");
    assert!(matches!(FaissIndex::open(path.with_extension("gone")), Err(Error::Io { .. })));
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_one_before() {
    let vectors = vectors(20);
    let (folder, path) = file();
    let index = index_of("Flat", &vectors);
    assert!(index.write(folder.path().join("no/such/folder.faiss")).is_err());
    index.write(&path).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn wrong_factory_strings_are_named() {
    for (factory, part) in [
        ("Flatt", "\"Flatt\""),
        ("", "\"\""),
        ("IVF,Flat", "\"IVF,Flat\""),
        ("PQ7", "\"PQ7\""),
        ("IVF0,Flat", "where a number is 0"),
        ("PQ0", "where a number is 0"),
        ("HNSW0", "where a number is 0"),
        ("LSH", "\"LSH\""),
        ("Fl\0at", "Fl\\0at"),
        ("IVF99999999999999999999,Flat", "IVF99999999999999999999"),
    ] {
        let text = message(FaissIndex::builder(32, factory).build());
        assert!(text.starts_with("FAISS factory string: expected one that FAISS knows"), "{text}");
        assert!(text.contains(part), "{text}");
    }
    let text = message(FaissIndex::builder(0, "Flat").build());
    assert_eq!(text, "dimension: expected at least 1, found 0");
    assert!(FaissIndex::builder(usize::MAX, "Flat").build().is_err());
}

#[test]
fn too_few_vectors_to_train_on_are_named_with_the_number_needed() {
    let vectors = vectors(100);
    for (factory, needed) in [("IVF128,Flat", 128), ("PQ8", 256), ("IVF16,PQ8", 256)] {
        let text = message(FaissIndex::builder(32, factory).train(&vectors));
        let expected = format!(
            "vectors to train Faiss({factory}): expected at least {needed}, one a centroid, found 100"
        );
        assert_eq!(text, expected);
    }
    let sampled = FaissIndex::builder(32, "IVF64,Flat").sample(63).train(&vectors);
    assert!(message(sampled).ends_with("expected at least 64, one a centroid, found 63"));
    assert!(message(FaissIndex::builder(32, "SQ8").build()).contains("at least 1"));
    let text = message(FaissIndex::builder(16, "IVF4,Flat").train(&vectors));
    assert_eq!(text, "vector 0 to train on: expected 16 values, found 32 values");
}

#[test]
fn parameters_that_do_not_fit_are_named() {
    let text = message(FaissIndex::builder(32, "Flat").nprobe(4).build());
    assert_eq!(text, "nprobe: expected an index with such a parameter, found Flat");
    let text = message(FaissIndex::builder(32, "HNSW16").ef_search(0).build());
    assert_eq!(text, "efSearch: expected at least 1, found 0");
    let mut lists = index_of("IVF4,Flat", &vectors(40));
    assert!(lists.set_ef_search(16).is_err() && lists.set_nprobe(0).is_err());
    lists.set_nprobe(usize::MAX).unwrap();
    assert_eq!(block_on(lists.search(&vectors(1), 40)).unwrap()[0].len(), 40);
}

#[test]
fn ids_that_do_not_fit_add_nothing() {
    let vectors = vectors(3);
    let mut index = index_of("Flat", &vectors);
    for (numbers, part) in [
        (vec![3, 4], "expected 3, one a vector, found 2"),
        (vec![3, 4, 1 << 63], "expected ids below 2^63, found 9223372036854775808"),
        (vec![3, 4, 2], "expected ids that no vector has, found 2"),
        (vec![3, 4, 3], "expected ids that no vector has, found 3"),
    ] {
        let text = message(index.add_with_ids(&numbers, &vectors));
        assert!(text.ends_with(part), "{text}");
    }
    let narrow = [Embedding::new([1.0; 31]).unwrap()];
    assert_eq!(
        message(index.add(&narrow)),
        "embedding for Faiss(Flat): expected 32 values, found 31 values"
    );
    assert_eq!(block_on(index.count()).unwrap(), 3);
    index.add_with_ids(&[i64::MAX as u64], &vectors[..1]).unwrap();
    let found =
        block_on(index.search_among(&vectors[..1], 5, &IdSet::from_iter([i64::MAX as u64, 2])));
    assert_eq!(ids(&found.unwrap()[0]), [i64::MAX as u64, 2]);
}

#[test]
fn an_index_that_is_shared_is_copied_before_it_is_changed() {
    let vectors = vectors(300);
    for (factory, _) in FACTORIES {
        let mut index = index_of(factory, &vectors);
        let shared = index.clone();
        let before = block_on(shared.count()).unwrap();
        match index.add(&vectors[..1]) {
            Ok(ids) => assert_eq!(ids, 300..301),
            // FAISS copies neither of these.
            Err(error) => {
                assert!(error.chain().to_string().contains("clone"), "{error}");
                assert!(factory.contains("RFlat"), "{factory}: {error}");
            }
        }
        assert_eq!(block_on(shared.count()).unwrap(), before, "{factory}");
    }
}

#[cfg(feature = "faiss-gpu")]
mod on_gpu {
    use imagerag::index::Sharding;

    use super::*;

    /// The index on a GPU; none, and a line, where there is none.
    fn to_gpu(index: &FaissIndex) -> Option<FaissIndex> {
        if FaissIndex::gpu_count() == 0 {
            eprintln!("skipped the GPU: set CUDA_VISIBLE_DEVICES to one that FAISS can use");
            return None;
        }
        Some(index.to_gpu(0).unwrap())
    }

    fn assert_alike(there: &[Vec<Neighbor>], here: &[Vec<Neighbor>], within: f32) {
        assert_eq!(there.len(), here.len());
        for (there, here) in there.iter().zip(here) {
            assert_eq!(there.len(), here.len());
            assert!(there.iter().zip(here).all(|(a, b)| (a.score - b.score).abs() < within));
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_named_and_the_cpu_searches_on() {
        let vectors = vectors(800);
        let index = index_of("IVF4,Flat", &vectors);
        let gpus = FaissIndex::gpu_count();
        let text = message(index.to_gpu(gpus));
        let start = format!("GPU {gpus} is not available: FAISS finds {gpus} GPUs");
        assert!(text.starts_with(&start), "{text}");
        assert_eq!(gpus == 0, text.contains("CUDA says: "), "{text}");
        assert!(text.ends_with("Faiss(IVF4,Flat) stays on the CPU"), "{text}");
        let text = message(index.to_gpus(&[], Sharding::Shards));
        assert_eq!(text, "devices: expected at least 1 GPU, found 0");
        assert_eq!(block_on(index.search(&vectors[..1], 1)).unwrap()[0][0].id, 0);
    }

    #[test]
    fn finds_there_what_it_finds_here() {
        let vectors = vectors(3_000);
        for factory in ["Flat", "IVF16,Flat", "IVF16,PQ16np", "IVF16,SQ8", "OPQ16,IVF16,PQ16np"] {
            let here = index_of(factory, &vectors);
            let Some(mut there) = to_gpu(&here) else { return };
            let queries = &vectors[..30];
            for limit in [10, 2_047, 2_048, 3_000] {
                let found = block_on(there.search(queries, limit)).unwrap();
                assert_alike(&found, &block_on(here.search(queries, limit)).unwrap(), 1e-4);
            }
            for step in [2, 100, 1_500] {
                let some = (0..3_000).step_by(step).collect();
                let found = block_on(there.search_among(queries, 10, &some)).unwrap();
                assert!(found.iter().flatten().all(|neighbor| some.contains(neighbor.id)));
                let expected = block_on(here.search_among(queries, 10, &some)).unwrap();
                assert_alike(&found, &expected, 1e-4);
            }
            if factory.contains("IVF") {
                there.set_nprobe(16).unwrap();
                let (back, mut wide) = (there.to_cpu().unwrap(), here.clone());
                wide.set_nprobe(16).unwrap();
                let expected = block_on(wide.search(queries, 10)).unwrap();
                assert_alike(&block_on(back.search(queries, 10)).unwrap(), &expected, 1e-6);
                assert_alike(&block_on(there.search(queries, 10)).unwrap(), &expected, 1e-4);
            }
            let text = message(there.add(&vectors[..1]));
            assert!(text.ends_with(&format!("found Faiss({factory}), on GPU 0")), "{text}");
        }
    }

    #[test]
    fn replicas_and_shards_find_the_same() {
        let vectors = vectors(3_000);
        for factory in ["Flat", "IVF16,Flat"] {
            let here = index_of(factory, &vectors);
            if to_gpu(&here).is_none() {
                return;
            }
            let second = usize::from(FaissIndex::gpu_count() > 1);
            for sharding in [Sharding::Replicas, Sharding::Shards] {
                let there = here.to_gpus(&[0, second], sharding).unwrap();
                let found = block_on(there.search(&vectors[..40], 10)).unwrap();
                assert_alike(&found, &block_on(here.search(&vectors[..40], 10)).unwrap(), 1e-4);
            }
        }
    }
}

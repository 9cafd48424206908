//! [`FlatIndex`] against exhaustive search, and bad input.

use std::ops::Range;
use std::sync::Arc;

use futures::executor::block_on;
use half::f16;
use imagerag::embedder::Embedding;
use imagerag::index::{FlatIndex, IdSet, Precision, SharedRows, VectorIndex};

use crate::random::vectors;

fn index_of(vectors: &[Embedding]) -> FlatIndex {
    let mut index = FlatIndex::new(vectors[0].dim()).unwrap();
    for (n, vector) in vectors.iter().enumerate() {
        assert_eq!(index.add(vector).unwrap(), n as u64);
    }
    index
}

/// The galleries whose tails the paper's release loses (official code, A.7 item 3).
#[test]
fn finds_every_vector_whatever_the_number() {
    for count in [1, 63, 64, 65, 2_049, 3_000, 4_096, 5_000] {
        let vectors = vectors(count, 8);
        let index = index_of(&vectors);
        // Some of all, and the whole tail.
        for n in (0..count).filter(|n| n % 61 == 0 || n + 70 > count) {
            let found = block_on(index.search(&vectors[n..=n], 1)).unwrap();
            assert_eq!(found[0][0].id, n as u64, "of {count}");
        }
    }
}

#[test]
fn ties_go_to_the_lower_id() {
    let mut twice = vectors(40, 24);
    twice.extend(twice.clone());
    let found = block_on(index_of(&twice).search(&twice[..1], 2)).unwrap();
    assert_eq!(found[0].iter().map(|n| n.id).collect::<Vec<_>>(), [0, 40]);
}

/// Memory like a mapped file's: 8 unused bytes, so that it starts where values may.
struct Memory(Vec<u64>, Range<usize>);

impl Memory {
    fn shared(bytes: &[u8]) -> SharedRows {
        let words = bytes.chunks(8).map(|word| {
            let mut whole = [0; 8];
            whole[..word.len()].copy_from_slice(word);
            u64::from_ne_bytes(whole)
        });
        Arc::new(Self(std::iter::once(0).chain(words).collect(), 8..8 + bytes.len()))
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: any bytes are valid bytes.
        &unsafe { self.0.align_to::<u8>() }.1[self.1.clone()]
    }
}

fn f32_bytes(vectors: &[Embedding]) -> Vec<u8> {
    vectors.iter().flat_map(|v| v.values()).flat_map(|value| value.to_ne_bytes()).collect()
}

fn f16_bytes(vectors: &[Embedding]) -> Vec<u8> {
    let halves = vectors.iter().flat_map(|v| v.values()).map(|&value| f16::from_f32(value));
    halves.flat_map(|value| value.to_ne_bytes()).collect()
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_on_one_thread_and_on_many() {
    use imagerag::testing::conformance::vector_index;
    for (count, dim) in [(1, 3), (300, 19), (2_000, 48)] {
        let vectors = vectors(count, dim);
        block_on(vector_index(&index_of(&vectors), &vectors, 1.0));
        block_on(vector_index(
            &index_of(&vectors).with_threads(std::num::NonZero::<usize>::MIN),
            &vectors,
            1.0,
        ));
        let shared = Memory::shared(&f32_bytes(&vectors));
        block_on(vector_index(
            &FlatIndex::over(dim, Precision::F32, shared).unwrap(),
            &vectors,
            1.0,
        ));
        let shared = Memory::shared(&f16_bytes(&vectors));
        block_on(vector_index(
            &FlatIndex::over(dim, Precision::F16, shared).unwrap(),
            &vectors,
            0.95,
        ));
    }
}

#[test]
fn a_score_depends_on_nothing_but_query_and_vector() {
    let vectors = vectors(133, 83);
    let index = index_of(&vectors);
    let together = block_on(index.search(&vectors, 133)).unwrap();
    let odd: IdSet = (1..133).step_by(2).collect();
    for (n, query) in vectors.iter().enumerate() {
        let alone = block_on(index.search(std::slice::from_ref(query), 133)).unwrap();
        assert_eq!(alone[0], together[n], "bit for bit, alone and in a batch");
        let of_odd: Vec<_> = alone[0].iter().copied().filter(|n| odd.contains(n.id)).collect();
        let among = block_on(index.search_among(std::slice::from_ref(query), 133, &odd)).unwrap();
        assert_eq!(among[0], of_odd, "and among some");
    }
}

#[test]
fn half_precision_is_the_same_owned_and_shared() {
    let vectors = vectors(500, 40);
    let mut owned = FlatIndex::with_precision(40, Precision::F16).unwrap();
    vectors.iter().for_each(|vector| {
        owned.add(vector).unwrap();
    });
    let shared = FlatIndex::over(40, Precision::F16, Memory::shared(&f16_bytes(&vectors))).unwrap();
    let found = block_on(owned.search(&vectors, 7)).unwrap();
    assert_eq!(block_on(shared.search(&vectors, 7)).unwrap(), found);
    for (query, list) in vectors.iter().zip(&found) {
        for neighbor in list {
            let exact = query.similarity(&vectors[neighbor.id as usize]);
            assert!((neighbor.score - exact).abs() < 5e-4);
        }
    }
}

#[test]
fn a_shared_row_that_is_no_number_is_never_found() {
    let vectors = vectors(40, 4);
    let mut bytes = f32_bytes(&vectors);
    bytes[4 * 4 * 11..][..4].copy_from_slice(&f32::NAN.to_ne_bytes());
    let index = FlatIndex::over(4, Precision::F32, Memory::shared(&bytes)).unwrap();
    let found = block_on(index.search(&vectors, 40)).unwrap();
    for list in found {
        assert_eq!(list.len(), 39);
        assert!(list.iter().all(|n| n.id != 11 && n.score.is_finite()));
    }
}

#[test]
fn shared_memory_that_holds_no_rows_is_refused() {
    let bytes = f32_bytes(&vectors(3, 4));
    let over = |dim, memory| FlatIndex::over(dim, Precision::F32, memory);
    let error = over(4, Memory::shared(&bytes[..47])).unwrap_err().chain().to_string();
    assert_eq!(error, "memory of the rows: expected rows of 16 bytes each, found 47 bytes");
    let odd: SharedRows = Arc::new(Memory(vec![0; 8], 1..33));
    let error = over(4, odd).unwrap_err().chain().to_string();
    assert!(error.contains("an address that is a multiple of 4, found 0x"), "{error}");
    assert!(over(0, Memory::shared(&bytes)).is_err());
    let mut index = over(4, Memory::shared(&bytes)).unwrap();
    let error = index.add(&vectors(1, 4)[0]).unwrap_err().chain().to_string();
    assert!(error.contains("expected one with rows of its own"), "{error}");
    assert_eq!(block_on(over(4, Memory::shared(&[])).unwrap().count()).unwrap(), 0);
}

#[test]
fn another_dimension_is_named() {
    let mut index = FlatIndex::new(4).unwrap();
    let error = index.add(&vectors(1, 3)[0]).unwrap_err().chain().to_string();
    assert_eq!(error, "embedding for Flat: expected 4 values, found 3 values");
    assert!(FlatIndex::new(0).is_err());
}
